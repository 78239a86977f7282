"""The process in which a loader is timed, seen from outside: it works only while it has its turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from typing import Any

from fastffdi.bench.budget import Budget
from fastffdi.bench.loader import CACHED, problem_of
from fastffdi.bench.processes import kill, resume, suspend, terminated_as_exit
from fastffdi.bench.stopwatch import Pass
from fastffdi.bench.stream import refusal
from fastffdi.bench.timed_loader import Asked, Ready, TimedLoader, Told, serve
from fastffdi.errors import RecipeError, RunError

#: Part of the time allowed for a turn after which the process is to end it with any batch.
_SOFT = 0.75


class LoaderProcess:
    """A Racer; see there. Its batches are not made ahead while others have their turns.

    Args:
        name: what it is called in results
        job: what it measures
        context: where its process starts

    Attributes:
        first_batch_seconds: from building the loader to its first batch, imports done; None where there is
            none
        memory_mib: most memory (PSS) of the process and its children, above imports; None likewise
        refused: why the loader refuses the recipe
    """

    ceiling = False
    weight = 1.0

    def __init__(self, name: str, job: TimedLoader, context: BaseContext) -> None:
        self.name, self.cost, self._job = name, 0.0, job
        self.passes: list[Pass] = []
        self.cut, self.problem = False, problem_of(job.name, job.settings)
        self.first_batch_seconds: float | None = None
        self.memory_mib: float | None = None
        self.refused: RecipeError | None = None
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(job, theirs))  # type: ignore[attr-defined]
        self._alive = False
        self._opening: Pass | None = None
        if self.problem is None:
            self._process.start()
            self._alive = True
        theirs.close()

    @property
    def ended(self) -> bool:
        return not self._alive

    def open(self, within: float) -> None:
        """See Racer. Raises UndecodableImage and what else loaders raise, RunError where the process dies."""
        budget = Budget(within)
        if not self._heard(budget, Ready):
            self._give_up(None, within)
            return
        self._pipe.send(Asked(0.0, within))
        timed, whole = self._listen(budget)
        if self._alive and not whole:
            self._give_up(timed, within)
        self._opening = timed
        self.cost = within if timed is None else timed.seconds

    def turn(self, seconds: float, within: float) -> None:
        """See Racer. Raises as `open`."""
        resume(self._process.pid)
        self._pipe.send(Asked(seconds, _SOFT * within))
        timed, whole = self._listen(Budget(within))
        if timed is not None:
            self.passes.append(timed)
            self.cost = timed.seconds * self._job.group / timed.batches
            self.cut |= timed.batches % self._job.group > 0
        if self._alive and not whole:
            self.cut = True
            self.close()

    def close(self) -> None:
        """End the process and its children at once."""
        if self._alive:
            kill(self._process.pid)
            self._process.join()
            self._alive = False
        self._pipe.close()

    def settle(self) -> None:
        """See Racer."""
        if not self.passes and self._opening is not None:
            self.passes, self.cut = [self._opening], True

    def _give_up(self, timed: Pass | None, seconds: float) -> None:
        self.cut = True
        if timed is None:
            missing = "cache not full" if self._job.name == CACHED else "no batch"
            self.problem = f"{missing} in {seconds:.0f} s"
        self.close()

    def _heard(self, budget: Budget, kind: type) -> bool:
        return any(isinstance(message, kind) for message in self._messages(budget))

    def _listen(self, budget: Budget) -> tuple[Pass | None, bool]:
        """What was counted when the time was over, and whether it is the whole pass."""
        timed = None
        for message in self._messages(budget):
            timed = message.timed
            self._note(message)
            if message.ended:
                suspend(self._process.pid)
                return timed, True
        return timed, False

    def _note(self, told: Told) -> None:
        if self.first_batch_seconds is None:
            self.first_batch_seconds = told.timed.seconds
        if told.memory_mib is not None:
            self.memory_mib = max(told.memory_mib, self.memory_mib or 0.0)

    def _messages(self, budget: Budget) -> Iterator[Any]:
        """What the process tells until the time is over, or the recipe is refused."""
        while self._pipe.poll(budget.left):
            try:
                message = self._pipe.recv()
            except (EOFError, ConnectionResetError):
                raise RunError(
                    f"the process in which {self.name} was to be measured has ended; if memory ran out, a "
                    "smaller --batch-size helps"
                ) from None
            if isinstance(message, RecipeError):
                self.refused, self.problem = message, refusal(self._job.name, message)
                self.close()
                return
            if isinstance(message, Exception):
                raise message
            yield message


@contextmanager
def started(jobs: Mapping[str, TimedLoader], context: BaseContext) -> Iterator[list[LoaderProcess]]:
    """A process for each job, by the name in results; all have ended afterwards, also on SIGTERM."""
    processes: list[LoaderProcess] = []
    with terminated_as_exit():
        try:
            for name, job in jobs.items():
                processes.append(LoaderProcess(name, job, context))
            yield processes
        finally:
            for process in processes:
                process.close()
