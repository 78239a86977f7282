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
