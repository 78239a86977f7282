"""The examples of README.md and docs/api.md run, and docs/api.md is what `make tables` writes."""

import doctest
import re
import runpy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import fastffdi

if TYPE_CHECKING:
    from fastffdi.training.experiment import Experiment

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.S)


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "api.py"))


@pytest.fixture
def folder(tiny: Path, tiny_run: "Experiment", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with what the examples name in it."""
    (tmp_path / "DIR").symlink_to(tiny)
    shutil.copy(tiny_run.settings.output / "best.safetensors", tmp_path)
    for name in ("a.jpg", "b.png"):
        shutil.copy(tiny / "valset" / "00.jpg", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_is_up_to_date(api: dict[str, Any]) -> None:
    assert (ROOT / "docs" / "api.md").read_text(encoding="utf-8") == api["page"](), "run `make tables`"


def test_the_page_has_every_public_name(api: dict[str, Any]) -> None:
    assert {thing.__name__ for thing in api["ORDER"]} == set(fastffdi.__all__)


@pytest.mark.parametrize("name", ["find_dataset", "load_recipe", "Loader", "Predictor", "train"])
def test_the_example_in_a_docstring_runs(name: str, folder: Path) -> None:
    thing = getattr(fastffdi, name)
    (test,) = doctest.DocTestFinder(recurse=False).find(thing, name, globs={"fastffdi": fastffdi})
    assert len(test.examples) >= 2
    report: list[str] = []
    doctest.DocTestRunner().run(test, out=report.append)
    assert report == []


def test_the_readme_has_python_in_it() -> None:
    assert any("fastffdi.Loader(" in example for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_in_the_readme_runs(example: str, folder: Path) -> None:
    exec(compile(example, "README.md", "exec"), {})
