from collections import deque
from dataclasses import replace

import psutil
import pytest
import torch
from recipes import normalised

from fastffdi.bench import loader_process as module
from fastffdi.bench.loader import Settings
from fastffdi.bench.loader_process import LoaderProcess, started
from fastffdi.bench.processes import fresh_processes
from fastffdi.bench.stopwatch import Pass
from fastffdi.bench.timed_loader import Asked, Ready, TimedLoader, Told
from fastffdi.data.manifest import Manifest
from fastffdi.errors import RecipeError, RunError, UndecodableImage
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps import STEPS

SETTINGS = Settings(torch.device("cpu"), torch.float32, LoaderSettings(2, 4))
JOB = TimedLoader("cpu", normalised(STEPS["resize"]((16, 16))), None, SETTINGS)
FIRST, BURST = Told(Pass(4, 1, 0.5, 0.5), False), Told(Pass(8, 2, 0.75, 0.75), True, 30.0)
TURN = Told(Pass(40, 10, 2.0, 2.0), True, 50.0)


class Context:
    """Starts nothing; its pipe has these messages for the one who asks."""

    pid = 7

    def __init__(self, *messages: object) -> None:
        self.messages, self.asked, self.log = deque(messages), [], []

    def Pipe(self):  # noqa: N802
        return self, self

    def Process(self, target, args):  # noqa: N802
        return self

    def start(self) -> None:
        self.log.append("start")

    def join(self) -> None:
        self.log.append("join")

    def close(self) -> None:
        pass

    def send(self, message: object) -> None:
        self.asked.append(message)

    def poll(self, seconds: float) -> bool:
        return bool(self.messages)

    def recv(self) -> object:
        message = self.messages.popleft()
        if isinstance(message, EOFError):
            raise message
        return message


@pytest.fixture(autouse=True)
def signals(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done to the process."""
    done: list[str] = []
    for name in ("suspend", "resume", "kill"):
        monkeypatch.setattr(module, name, lambda pid, name=name: done.append(name))
    return done


def test_a_loader_is_stopped_except_for_its_start_and_its_turns(signals: list[str]):
    context = Context(Ready(), FIRST, BURST, TURN)
    loader = LoaderProcess("cpu", JOB, context)
    loader.open(9.0)
    assert loader.cost == 0.75
    assert signals == ["suspend"]
    loader.turn(1.5, 4.0)
    assert signals == ["suspend", "resume", "suspend"]
    assert context.asked == [Asked(0.0, 9.0), Asked(1.5, 3.0)]
    assert (loader.passes, loader.cut, loader.ended) == ([TURN.timed], False, False)
    assert loader.cost == 0.4  # two batches of ten in 2 s
    assert (loader.first_batch_seconds, loader.memory_mib) == (0.5, 50.0)
    loader.close()
    assert (signals[-1], context.log, loader.ended) == ("kill", ["start", "join"], True)


def test_a_start_without_a_batch_in_time_is_a_problem(signals: list[str]):
    for messages in ((), (Ready(),)):
        loader = LoaderProcess("cpu", JOB, Context(*messages))
        loader.open(9.0)
        loader.settle()
        assert (loader.problem, loader.passes, loader.ended) == ("no batch in 9 s", [], True)
        assert (loader.cut, signals.pop()) == (True, "kill")


def test_a_cache_that_is_not_filled_in_time_is_a_problem():
    loader = LoaderProcess("cached", replace(JOB, name="cached"), Context(Ready()))
    loader.open(9.0)
    assert loader.problem == "cache not full in 9 s"


def test_a_start_that_does_not_end_in_time_counts_so_far():
    loader = LoaderProcess("cpu", JOB, Context(Ready(), FIRST))
    loader.open(9.0)
    loader.settle()
    assert (loader.passes, loader.cut, loader.problem, loader.ended) == ([FIRST.timed], True, None, True)


def test_a_start_counts_where_there_is_no_turn():
    loader = LoaderProcess("cpu", JOB, Context(Ready(), FIRST, BURST))
    loader.open(9.0)
    loader.settle()
    assert (loader.passes, loader.cut) == ([BURST.timed], True)


def test_a_turn_that_does_not_end_in_time_counts_so_far_and_is_the_last():
    part = Told(Pass(4, 1, 3.0, 3.0), False)
    loader = LoaderProcess("cpu", JOB, Context(Ready(), FIRST, BURST, part))
    loader.open(9.0)
    loader.turn(1.5, 4.0)
    assert (loader.passes, loader.cut, loader.ended) == ([part.timed], True, True)


def test_a_turn_that_ends_within_a_burst_is_cut():
    part = Told(Pass(12, 3, 3.0, 3.0), True, 40.0)
    loader = LoaderProcess("cpu", JOB, Context(Ready(), FIRST, BURST, part))
    loader.open(9.0)
    loader.turn(1.5, 4.0)
    assert (loader.passes, loader.cut, loader.ended) == ([part.timed], True, False)


def test_a_recipe_that_is_refused_is_a_problem():
    error = RecipeError("--loader cpu cannot render swirl; take another")
    loader = LoaderProcess("cpu", JOB, Context(Ready(), error))
    loader.open(9.0)
    assert (loader.problem, loader.refused, loader.ended) == ("cannot render swirl", error, True)


def test_what_cannot_be_measured_is_not_started():
    uint8 = Settings(torch.device("cpu"), torch.float32, to="uint8")
    context = Context()
    loader = LoaderProcess("torchvision", TimedLoader("torchvision", (), None, uint8), context)
    assert (loader.problem, loader.ended, context.log) == ("no uint8 batches", True, [])


def test_what_goes_wrong_in_the_process_is_raised_here():
    with pytest.raises(UndecodableImage, match=r"a\.jpg"):
        LoaderProcess("cpu", JOB, Context(Ready(), UndecodableImage("a.jpg", "no image"))).open(9.0)
    with pytest.raises(RunError, match="in which cpu was to be measured has ended; if memory ran out"):
        LoaderProcess("cpu", JOB, Context(EOFError())).open(9.0)


def test_all_processes_are_ended_whatever_happens(signals: list[str]):
    with started({"a": JOB, "b": JOB}, Context()) as processes:
        assert [process.name for process in processes] == ["a", "b"]
        assert signals == []
    assert signals == ["kill", "kill"]
    with pytest.raises(KeyboardInterrupt), started({"c": JOB}, Context()):
        raise KeyboardInterrupt
    assert signals == ["kill"] * 3


def test_a_real_loader_is_timed_and_makes_no_batches_between_its_turns(
    image_files: Manifest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.undo()
    context = fresh_processes("fastffdi.bench.timed_loader")
    job = TimedLoader("torchvision", JOB.steps, image_files, SETTINGS)
    with started({"torchvision": job}, context) as (loader,):
        loader.open(120.0)
        own = psutil.Process(loader._process.pid)
        family = [own, *own.children(recursive=True)]
        assert len(family) >= 3
        assert {process.status() for process in family} == {psutil.STATUS_STOPPED}
        loader.turn(0.05, 120.0)
    assert (len(loader.passes), loader.passes[0].batches % 2, loader.problem) == (1, 0, None)
    assert loader.passes[0].images == 4 * loader.passes[0].batches
    assert not any(process.is_running() for process in family if process.pid == own.pid)
