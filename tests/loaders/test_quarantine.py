"""What is noted of images that were skipped, and when they are too many."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fastffdi.data.manifest import Manifest
from fastffdi.errors import RunError, SettingError, UndecodableImage
from fastffdi.files import DiskFull
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.corrupt import Corrupt
from fastffdi.loaders.quarantine import Quarantine, skips
from fastffdi.recipe.program import EMPTY

PLANNER = SimpleNamespace(manifest=Manifest("/", np.array([f"{n}.jpg" for n in range(100)], object)))


def batch(places: list[int], first: int = 0, epoch: int = 0) -> Batch:
    """Four images from row `first` on, of which those in the places are corrupt."""
    rows = np.arange(first, first + 4)
    corrupt = tuple(Corrupt(k, UndecodableImage(f"/{rows[k]}.jpg", "cut short")) for k in places)
    images = torch.zeros(4, 1, 1, 3, dtype=torch.uint8)
    return Batch(images, rows, rows, 0 * rows, ~np.isin(range(4), places), epoch, EMPTY, 1, corrupt)


def test_each_is_named_once(tmp_path: Path) -> None:
    found = Quarantine(table=tmp_path / "q.csv", loader="cpu")
    for epoch in (0, 1):
        found.add(batch([1, 3], epoch=epoch), PLANNER)
        found.add(batch([0], 8, epoch), PLANNER)
    assert found.reasons == dict.fromkeys(("1.jpg", "3.jpg", "8.jpg"), "cut short")
    with (tmp_path / "q.csv").open(newline="") as file:
        head, *lines = csv.reader(file)
    assert head == ["img_name", "reason", "loader", "epoch"]
    assert lines == [[f"{row}.jpg", "cut short", "cpu", "1"] for row in (1, 3, 8)]


def test_without_any_there_is_no_table(tmp_path: Path) -> None:
    Quarantine(table=tmp_path / "q.csv").add(batch([]), PLANNER)
    assert not (tmp_path / "q.csv").exists()


def test_more_than_the_share_is_an_error(tmp_path: Path) -> None:
    found = Quarantine(100, 0.02, table=tmp_path / "q.csv")
    found.add(batch([1, 3]), PLANNER)
    found.add(batch([1, 3]), PLANNER)
    with pytest.raises(RunError) as raised:
        found.add(batch([0], 8), PLANNER)
    assert str(raised.value) == (
        "3 of 100 images cannot be decoded, more than --max-corrupt 0.02 of them, such as 1.jpg (cut short), "
        f"all of them in {tmp_path / 'q.csv'}; take them off the list, or raise --max-corrupt"
    )


def test_one_is_never_too_many() -> None:
    found = Quarantine(10, 0.0)
    found.add(batch([2]), PLANNER)
    with pytest.raises(RunError, match="2 of 10 images"):
        found.add(batch([3]), PLANNER)


def test_another_word_is_refused() -> None:
    assert [skips("skip"), skips("fail")] == [True, False]
    with pytest.raises(SettingError, match="--on-corrupt skpi: unknown, did you mean 'skip'"):
        skips("skpi")


def test_what_is_known_goes_on_in_another_run_and_the_table_with_it(tmp_path: Path) -> None:
    table = tmp_path / "q.csv"
    first = Quarantine(table=table, loader="dali")
    first.add(batch([1]), PLANNER)
    state = json.loads(json.dumps(first.state_dict()))
    first.add(batch([3], epoch=1), PLANNER)  # after the state, and lost with the process
    second = Quarantine(table=table, loader="cpu")
    second.load_state_dict(state)
    assert second.reasons == {"1.jpg": "cut short"}
    second.write_table()
    second.add(batch([1, 3], epoch=1), PLANNER)
    assert table.read_text().splitlines()[1:] == ["1.jpg,cut short,dali,1", "3.jpg,cut short,cpu,2"]
    second.load_state_dict({"found": []})
    second.write_table()
    assert not table.exists()
    second.add(batch([0]), PLANNER)
    assert table.read_text().splitlines() == ["img_name,reason,loader,epoch", "0.jpg,cut short,cpu,1"]


def test_without_room_for_a_line_the_table_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Quarantine(table=tmp_path / "q.csv")
    found.add(batch([1]), PLANNER)
    before = (tmp_path / "q.csv").read_bytes()

    def full(path: Path, data: bytes) -> None:
        raise DiskFull(path, len(data))

    monkeypatch.setattr("fastffdi.loaders.quarantine.append", full)
    with pytest.raises(DiskFull, match=r"q\.csv: the disk is full; 1 MiB are needed"):
        found.add(batch([3]), PLANNER)
    assert (tmp_path / "q.csv").read_bytes() == before
