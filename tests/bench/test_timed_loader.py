from collections import deque
from dataclasses import replace

import pytest
import torch
from recipes import normalised

from fastffdi.bench import timed_loader as module
from fastffdi.bench.loader import Settings
from fastffdi.bench.timed_loader import Asked, Ready, TimedLoader, Told, serve
from fastffdi.data.manifest import Manifest
from fastffdi.errors import RecipeError
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps import STEPS

SETTINGS = Settings(torch.device("cpu"), torch.float32, LoaderSettings(2, 4))
TINY = normalised(STEPS["resize"]((16, 16)))


class Pipe:
    """One end of a pipe, whose other end asks for what is given here and then closes."""

    def __init__(self, *asked: Asked) -> None:
        self.asked, self.told = deque(asked), []

    def send(self, message: object) -> None:
        self.told.append(message)

    def recv(self) -> Asked:
        if not self.asked:
            raise EOFError
        return self.asked.popleft()


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of the tests is none that serves: its signals and start method stay."""
    monkeypatch.setattr(module.signal, "signal", lambda *how: None)
    monkeypatch.setattr(module, "set_start_method", lambda *how, force: None)


def told(job: TimedLoader, *asked: Asked) -> list:
    pipe = Pipe(*asked)
    serve(job, pipe)
    return pipe.told


def test_nothing_runs_until_it_is_asked_for(image_files: Manifest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "opened", None)  # it would fail where it was called
    assert told(TimedLoader("cpu", TINY, image_files, SETTINGS)) == [Ready()]


def test_a_start_tells_of_the_first_batch_and_ends_with_a_burst(image_files: Manifest):
    ready, first, burst = told(TimedLoader("cpu", TINY, image_files, SETTINGS), Asked(0.0, 9.0))
    assert ready == Ready()
    assert [(t.timed.images, t.timed.batches, t.ended) for t in (first, burst)] == [
        (4, 1, False),
        (8, 2, True),
    ]
    assert 0 < first.timed.seconds < burst.timed.seconds


def test_a_turn_is_told_with_the_memory_at_its_end(image_files: Manifest, monkeypatch: pytest.MonkeyPatch):
    sizes = iter([100.0, 110.0, 120.0, 150.0])
    monkeypatch.setattr(module, "memory_mib", lambda: next(sizes))
    job = TimedLoader("cpu", TINY, image_files, SETTINGS)
    *_, burst, turn = told(job, Asked(0.0, 9.0), Asked(1e-6, 9.0))
    assert (burst.memory_mib, turn.memory_mib) == (20.0, 50.0)
    assert (turn.timed.images, turn.timed.batches, turn.ended) == (8, 2, True)


def test_what_goes_wrong_is_told(image_files: Manifest, monkeypatch: pytest.MonkeyPatch):
    def refused(*how):
        raise RecipeError("--loader cpu cannot render swirl; take another")

    monkeypatch.setattr(module, "built", refused)
    _, error = told(TimedLoader("cpu", TINY, image_files, SETTINGS), Asked(0.0, 9.0))
    assert isinstance(error, RecipeError)


def test_a_cache_is_filled_before_the_time_runs(image_files: Manifest, tmp_path, monkeypatch):
    names: list[str] = []
    made = module.built
    monkeypatch.setattr(module, "built", lambda name, *how: names.append(name) or made(name, *how))
    monkeypatch.setattr(module, "cpu_seconds", lambda: names.append("time") or 0.0)
    job = TimedLoader("cached", TINY, image_files, replace(SETTINGS, cache=tmp_path))
    assert isinstance(told(job, Asked(0.0, 9.0))[-1], Told)
    assert names[:3] == ["cached", "time", "cached"]


def test_the_process_is_held_to_its_cores(image_files: Manifest, monkeypatch: pytest.MonkeyPatch):
    held: list[int] = []
    only_cores = module.only_cores
    monkeypatch.setattr(module, "only_cores", lambda count: held.append(count) or only_cores(count))
    job = TimedLoader("cpu", TINY, image_files, SETTINGS)
    told(job)
    told(replace(job, cores=1))
    assert held == [2, 1]


def test_a_consumer_may_take_time_over_each_batch(image_files: Manifest, monkeypatch: pytest.MonkeyPatch):
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    job = TimedLoader("cpu", TINY, image_files, SETTINGS, pause=0.25)
    with module.opened(job) as arrivals:
        assert [next(arrivals) for _ in range(2)] == [4, 4]
    assert pauses == [0.25, 0.25]
