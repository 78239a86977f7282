"""The means of `make torture`; a little of it runs here."""

import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torture import page
from torture.faults import Ending
from torture.files import Outcome, compare, files_below, torture
from torture.matrix import Place, Row, signalled
from torture.reader import REFERENCE


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """An image, the same cut short, a text, and an image whose name is odd."""
    folder = tmp_path / "hostile"
    (folder / "below").mkdir(parents=True)
    Image.radial_gradient("L").convert("RGB").save(folder / "a.jpg")
    (folder / "b.jpg").write_bytes((folder / "a.jpg").read_bytes()[:3000])
    (folder / "c.jpg").write_text("no image")
    Image.linear_gradient("L").save(folder / "below" / 'd\n"[bold]\udcff.png')
    return folder


def test_files_are_decoded_as_pillow_does_or_named(hostile: Path, tmp_path: Path) -> None:
    paths = files_below([hostile])
    found = torture(paths, tmp_path, ["cpu"])
    names = [Path(path).name for path in paths]
    assert len(names) == 4
    for name in (REFERENCE, "cpu"):
        assert {names[k] for k in found[name].named} == {"b.jpg", "c.jpg"}
        assert found[name].answered == {0, 1, 2, 3}
    assert found["cpu"].faults == {}
    assert page.wrong(paths, found, []) == []


def test_what_is_decoded_otherwise_is_a_fault(tmp_path: Path) -> None:
    ours, theirs = Outcome({0: 0.1, 1: 0.1, 2: 0.1}), Outcome({0: 0.1, 1: 0.1}, {2: 0.1}, {2: "cut short"})
    for k, levels in ((0, 2), (1, 3)):
        np.save(tmp_path / f"cpu-{k}.npy", np.full((2, 2, 3), 10, np.uint8))
        np.save(tmp_path / f"{REFERENCE}-{k}.npy", np.full((2, 2, 3), 10 + levels, np.uint8))
    compare(ours, theirs, "cpu", tmp_path)
    assert ours.faults == {1: "differs by 3.0 levels", 2: "decoded, Pillow says cut short"}


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (Ending(130, 0.5, ("interrupted",), (), ()), []),
        (Ending(1, 0.5, (), (), ()), ["exit code 1"]),
        (Ending(130, 2.5, (), (), ()), ["took 2.5 s to end"]),
        (Ending(130, 0.5, ("Traceback (most recent call last):",), (), ()), ["a traceback"]),
        (Ending(130, 0.5, (), ("process 7",), ("pymp-x",)), ["left process 7", "left pymp-x"]),
    ],
)
def test_how_a_command_may_end(ending: Ending, expected: list[str]) -> None:
    assert ending.faults([130]) == expected
    row = Row("SIGINT", "predict")
    row.add(ending, [130])
    assert (len(row.seconds), row.survived) == (1, 0 if expected else 1)


def test_the_page_says_what_was_lost_and_what_went_wrong() -> None:
    found = {
        REFERENCE: Outcome({0: 0.1}, {1: 0.1, 2: 0.1}),
        "cpu": Outcome({0: 0.1}, {1: 0.002}, {}, {1: "hung"}),
    }
    row = Row("SIGTERM to the group", "predict, cpu", [0.25, 0.75], ["exit code 1"])
    text = page.text([Path("odd")], 3, found, [], [row], 2.0)
    assert "3 files of `odd`" in text
    assert "| cpu | 3 | 1 | 1 | 1 | 1 | 2.00 / 2.00 |" in text
    assert "| SIGTERM to the group | predict, cpu | 2 | 1 | ? | 0.50 / 0.75 |" in text
    assert page.wrong(["a", "b", "c"], found, [row]) == [
        "cpu: b: hung",
        "cpu: c: no answer",
        "SIGTERM to the group, predict, cpu: exit code 1",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("loader", ["cpu", "process", "dali", "torchvision"])
def test_commands_end_soon_and_clean(loader: str, number: int, tiny_run, tiny: Path, tmp_path: Path) -> None:
    checkpoint = tiny_run.settings.output / "best.safetensors"
    place = Place(tiny, checkpoint, tiny / "recipe.yaml", tmp_path)
    whom = "parent" if number == signal.SIGKILL else "group"
    row = signalled(place, f"predict, {loader}", number, whom, (128 + number, -number), [0.2, 3, 6])
    assert row.faults == []
