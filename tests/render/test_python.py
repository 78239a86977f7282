import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fastffdi.errors import RecipeError, RunError
from fastffdi.recipe.kernels import Normalize, Python
from fastffdi.recipe.program import Program
from fastffdi.render.device.python import imported
from fastffdi.render.device.stage import DeviceStage

MODULE = """
import numpy as np

calls = []
not_a_function = 3

def inverted(images):
    calls.append(images.shape)
    images[:] = 255 - images
    return images

def cropped(images):
    return images[:, 1:]

def widened(images):
    return images.astype(np.float32)

def nothing(images):
    pass

def failing(images):
    nothing(images)
    return np.zeros(3) + np.zeros(4)

def deeper(images):
    import beside
    return beside.fails()

def refusing(images):
    raise RunError("as it is")

from fastffdi.errors import RunError
"""

N = 5
IMAGES = torch.arange(N * 4 * 6 * 3, dtype=torch.int64).remainder(256).to(torch.uint8).view(N, 4, 6, 3)
PLAIN = Normalize((0, 0, 0), (1 / 255,) * 3)


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module `own` that can be imported."""
    (tmp_path / "own.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)


def staged(name: str, chosen: list[int] | None = None) -> torch.Tensor:
    members = np.ones(N, bool) if chosen is None else np.isin(np.arange(N), chosen)
    stage = DeviceStage(torch.device("cpu"), torch.float32)
    program = Program((Python(f"own:{name}", members),), PLAIN)
    return stage(SimpleNamespace(images=IMAGES, remaining=program)).permute(0, 2, 3, 1)


def test_a_function_is_called_once_with_the_whole_batch() -> None:
    before = IMAGES.clone()
    assert torch.equal(staged("inverted").round().to(torch.uint8), 255 - before)
    assert torch.equal(before, IMAGES)
    assert sys.modules["own"].calls == [(N, 4, 6, 3)]


def test_only_those_that_it_falls_to_are_changed() -> None:
    out = staged("inverted", [0, 3]).round().to(torch.uint8)
    assert torch.equal(out[[0, 3]], 255 - IMAGES[[0, 3]])
    assert torch.equal(out[[1, 2, 4]], IMAGES[[1, 2, 4]])


@pytest.mark.parametrize(
    ("name", "given"),
    [("cropped", r"uint8 \(5, 3, 6, 3\)"), ("widened", r"float32 \(5, 4, 6, 3\)"), ("nothing", "NoneType")],
)
def test_what_is_not_of_the_same_kind_ends_the_run(name: str, given: str) -> None:
    line = rf"^python: own:{name}: gave {given} for uint8 \(5, 4, 6, 3\); it must keep shape and type$"
    with pytest.raises(RunError, match=line):
        staged(name)


MISSING = [
    (
        "nowhere:f",
        r"cannot be imported \(No module named 'nowhere'\); install it, or put its folder on PYTHONPATH",
    ),
    ("own:absent", "module own has no function 'absent'"),
    ("own:not_a_function", "module own has no function 'not_a_function'"),
]


@pytest.mark.parametrize(("reference", "reason"), MISSING)
def test_a_function_that_is_not_there_is_refused(reference: str, reason: str) -> None:
    with pytest.raises(RecipeError, match=f"^python: {reference}: {reason}$"):
        imported(reference)


def called(name: str, folder: Path) -> None:
    kernel = Python(f"own:{name}", np.ones(N, bool), str(folder))
    stage = DeviceStage(torch.device("cpu"), torch.float32)
    stage(SimpleNamespace(images=IMAGES, remaining=Program((kernel,), PLAIN)))


def test_an_error_in_a_function_is_one_line_with_file_and_line(tmp_path: Path) -> None:
    line = MODULE.splitlines().index("    return np.zeros(3) + np.zeros(4)") + 1
    with pytest.raises(RunError) as error:
        called("failing", tmp_path)
    assert str(error.value) == (
        f"python: own:failing: {tmp_path}/own.py, line {line}: ValueError: operands could not be broadcast "
        "together with shapes (3,) (4,); correct it"
    )
    assert isinstance(error.value.__cause__, ValueError)


def test_modules_beside_are_found_while_it_runs_and_blamed(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "beside.py").write_text("def fails():\n    import json\n    json.loads('{')\n")
    monkeypatch.delitem(sys.modules, "beside", raising=False)
    with pytest.raises(RunError, match=rf"own:deeper: {tmp_path}/there/beside.py, line 3: JSONDecodeError: "):
        called("deeper", tmp_path / "there")
    assert str(tmp_path / "there") not in sys.path


def test_an_error_of_ours_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"^as it is$"):
        called("refusing", tmp_path)


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is not on the path; a module `written` there is not imported yet."""
    monkeypatch.delitem(sys.modules, "written", raising=False)
    (tmp_path / "recipes").mkdir()
    return tmp_path / "recipes"


def test_a_module_beside_the_recipe_comes_first(beside: Path, tmp_path: Path) -> None:
    (tmp_path / "written.py").write_text("def f(images): return 1\n")  # on the path
    (beside / "written.py").write_text("def f(images): return 2\n")
    path = list(sys.path)
    assert imported("written:f", str(beside))(None) == 2
    assert sys.path == path
    sys.modules.pop("written")
    assert imported("written:f")(None) == 1


WRONG = [
    ("x = 1\n\ndef f(:\n", 3, "SyntaxError: invalid syntax"),
    ("\nimport no_such_thing\n", 2, "ModuleNotFoundError: No module named 'no_such_thing'"),
    ("\n\nraise RuntimeError('two\\nlines')\n", 3, "RuntimeError: two lines"),
    ("def g():\n    raise KeyError(1)\ng()\n", 2, "KeyError: 1"),
    ("import json\njson.loads('{')\n", 2, "JSONDecodeError: Expecting property name"),
    ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3"),
    ("raise ValueError\n", 1, "ValueError"),
]


@pytest.mark.parametrize(("text", "line", "said"), WRONG)
def test_an_error_in_a_module_is_one_line_with_file_and_line(
    beside: Path, text: str, line: int, said: str
) -> None:
    (beside / "written.py").write_text(text)
    with pytest.raises(RecipeError) as error:
        imported("written:f", str(beside))
    found = str(error.value)
    assert found.startswith(f"python: written:f: {beside}/written.py, line {line}: {said}")
    assert found.endswith("; correct it")
    assert "\n" not in found


def test_where_a_module_may_be_put(beside: Path) -> None:
    line = rf"\(No module named 'written'\); install it, put it in {beside}, or its folder on PYTHONPATH$"
    with pytest.raises(RecipeError, match=line):
        imported("written:f", str(beside))
