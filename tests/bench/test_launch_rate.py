import itertools
import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fastffdi.data.manifest import Manifest
from fastffdi.loaders import factory
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "launch_rate.py"
KINDS = ["alone", "in-process", "own process"]


class Ready:
    """A loader whose batches are there at once; it notes which way of working was asked for."""

    processes: list[bool | None] = []  # noqa: RUF012

    def __init__(self, name: str, planner: BatchPlanner, settings: LoaderSettings, device: object) -> None:
        self.size = planner.batch_size
        self.processes.append(settings.process)

    def epoch(self, epoch: int) -> Iterator[list[int]]:
        return itertools.repeat([0] * self.size)

    def close(self) -> None:
        self.processes.append(None)


@pytest.mark.usefixtures("one_thread")
def test_each_kind_has_its_turns_and_both_ways_of_loading_are_measured(
    image_files: Manifest, tmp_path: Path, monkeypatch, capsys
):
    file = tmp_path / "turns.json"
    options = f"--turns 2 --seconds 0.01 --batch-size 4 --threads 1 --device cpu --json {file}".split()
    monkeypatch.setattr(sys, "argv", ["launch_rate.py", image_files.root, *options])
    monkeypatch.setattr(factory, "build_loader", Ready)
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert Ready.processes == [False, True, None, None]
    record, shown = json.loads(file.read_text()), capsys.readouterr().out
    assert list(record["turns"]) == [kind for kind in KINDS if kind in shown] == KINDS
    assert all(len(turns) == 2 for turns in record["turns"].values())
    assert all(turn["launches_per_second"] > 1000 for turns in record["turns"].values() for turn in turns)
    assert record["settings"]["batch_size"] == 4
    assert "jitter on cpu, 1 decoding threads, batches of 4" in shown


def test_an_operation_is_launched_as_often_as_asked(monkeypatch):
    calls: list[torch.Tensor] = []
    monkeypatch.setattr(torch, "add", lambda a, b, out: calls.append(out))
    runpy.run_path(str(SCRIPT))["launcher"](torch.device("cpu"))(37)
    assert [out.shape for out in calls] == [(64,)] * 37
