import itertools
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import torch
from recipes import normalised

from fastffdi.bench import stream as module
from fastffdi.bench.stopwatch import Pass
from fastffdi.bench.stream import Runner, Stream, arrivals, arrived, endless, refusal, repeated, take_turns
from fastffdi.data.manifest import Manifest
from fastffdi.errors import RecipeError
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps import STEPS
from fastffdi.render.device.stage import DeviceStage

TINY = normalised(STEPS["resize"]((16, 16)))


def test_a_number_arrives_once_the_next_batch_is_started():
    asked = []

    def batches():
        for k in itertools.count():
            asked.append(k)
            yield torch.zeros(1), k

    counts = arrived(batches())
    assert (next(counts), asked) == (0, [0, 1])
    assert (next(counts), asked) == (1, [0, 1, 2])


@pytest.mark.parametrize("stage", [None, DeviceStage(torch.device("cpu"), torch.float32)])
def test_batches_arrive_epoch_after_epoch(image_files: Manifest, stage):
    loader = CpuLoader(BatchPlanner.over(image_files, TINY, LoaderSettings(1, 10)), LoaderSettings(1))
    counts = arrivals(loader, stage)
    assert [next(counts) for _ in range(5)] == [10, 10, 3, 10, 10]
    counts.close()
    loader.close()


def test_an_endless_planner_shows_every_image_again_and_again_in_whole_batches(image_files: Manifest):
    planner = endless(BatchPlanner.over(image_files, TINY, LoaderSettings(1, 10)), 100)
    assert len(planner.manifest) == len(planner.sampler) == 110  # 5 × 23 = 115
    assert planner.manifest.names[:46].tolist() == 2 * image_files.names.tolist()


def test_an_endless_planner_has_at_least_a_batch(image_files: Manifest):
    assert len(endless(BatchPlanner.over(image_files, TINY, LoaderSettings(1, 64)), 10).manifest) == 64


def stream(**fields) -> Stream:
    @contextmanager
    def opened():
        yield itertools.repeat(10)

    return Stream(**{"name": "tens", "open": opened, "ahead": 2, "group": 1, "seconds": 5.0, **fields})


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What turns ask of the stopwatch, which then says 30 images in 6 s; and how long they pause."""
    asked: list[tuple] = []
    monkeypatch.setattr(module, "timed_pass", lambda *how: asked.append(how[1:]) or Pass(30, 3, 6.0, 0.0))
    monkeypatch.setattr(module.time, "sleep", lambda seconds: asked.append((seconds,)))
    return asked


def test_the_first_turn_is_short_and_not_counted_and_a_pause_lets_the_rest_be_made(timed: list[tuple]):
    with ExitStack() as stack:
        runner = Runner(stream(), stack)
        runner.turn(counted=False)
        assert (runner.passes, timed) == ([], [(1.0, 2, 1), (4.0,)])
        runner.turn(counted=True)
    assert runner.passes == [Pass(30, 3, 6.0, 0.0)]
    assert timed[2] == (5.0, 2, 1)


def test_in_every_round_each_has_its_turn_and_the_first_round_is_not_counted():
    turns = []

    class Counted:
        def __init__(self, name):
            self.name = name

        def turn(self, counted):
            turns.append((self.name, counted))

    names = []
    take_turns([Counted("a"), Counted("b")], 2, names.append)
    assert turns == [("a", False), ("b", False), ("a", True), ("b", True), ("a", True), ("b", True)]
    assert names == ["a", "b"] * 3


def test_what_has_a_problem_is_neither_opened_nor_timed(timed: list[tuple]):
    with ExitStack() as stack:
        runner = Runner(stream(problem="broken", open=None), stack)
        runner.turn(counted=True)
    assert (runner.passes, timed) == ([], [])


def test_a_recipe_that_is_refused_is_a_problem():
    def refused():
        raise RecipeError("--loader tens cannot render Swirl; take another")

    with ExitStack() as stack:
        assert Runner(stream(open=refused), stack).problem == "cannot render Swirl"
    assert refusal("cpu", RecipeError("elsewhere: no")) == "elsewhere: no"


def test_rows_are_repeated_in_whole_batches():
    manifest = Manifest("/root", np.array(["a", "b", "c"], object))
    rows = repeated(manifest, 5, 16)
    assert len(rows) == 15
    assert rows.names.tolist() == ["a", "b", "c"] * 5
    assert len(repeated(manifest, 40, 16)) == 40
