"""The loader's settings for a machine, found by measuring: one at a time, the others as found so far."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from fastffdi.bench.memory import loader_gib
from fastffdi.bench.trial import Choice, Task, Trial
from fastffdi.errors import SettingError
from fastffdi.loaders.settings import Tuned
from fastffdi.recipe.kernels import Resize
from fastffdi.recipe.lowering import output_size, template
from fastffdi.recipe.program import Program
from fastffdi.recipe.recipe import Recipe

THREADS = (1, 2, 3, 4, 6, 8, 12, 16)
PREFETCH = (1, 2, 4)
BATCH_SIZES = (16, 32, 64, 128, 256)
HW_DECODER_LOADS = (0.0, 0.3, 0.65, 0.9)

#: train's own.
BATCH_SIZE = 64

#: Rates this near to the best count as equal to it: what lies between is noise.
NOISE = 0.03

#: Decoding smaller pays where images have so many times the sides that the recipe asks for.
LARGE = 2

#: How often the settings are gone through, at most: again only where something has changed.
ROUNDS = 2


@dataclass(frozen=True)
class Comparison:
    """The trials of one setting's values, smallest first, and the one taken.

    paced  whether the consumer took as long over each batch as the loader
    """

    name: str
    trials: Sequence[Trial]
    taken: Trial
    paced: bool


@dataclass(frozen=True)
class Found:
    """What was found beside the defaults, both measured once more in turn, and what was compared before.

    Where it turned out slower than the defaults, `chosen` is these.
    """

    defaults: Trial
    chosen: Trial
    comparisons: Sequence[Comparison]

    @property
    def gain(self) -> float | None:
        """How many times as fast as the defaults: median of the rounds' ratios; None where these fail."""
        if self.defaults.problem is not None:
            return None
        pairs = zip(self.chosen.rates, self.defaults.rates, strict=True)
        return statistics.median(own / other for own, other in pairs)


class Progress(Protocol):
    """Is told of turns."""

    def expect(self, total: int) -> None:
        """So many turns there will be, as far as is known."""

    def done(self, what: str) -> None:
        """One is over."""


def axes(task: Task) -> dict[str, tuple[Any, ...]]:
    """The settings to find and their values, smallest first, in the order in which they are tried."""
    threads = {count for count in (*THREADS, task.threads) if count <= task.threads}
    found: dict[str, tuple[Any, ...]] = {"threads": tuple(sorted(threads))}
    if task.batch_size is None:
        found["batch_size"] = BATCH_SIZES
    if task.loader != "torchvision":
        found["prefetch"] = PREFETCH
    if task.loader == "dali" and task.device.type == "cuda":
        found["hw_decoder_load"] = HW_DECODER_LOADS
    return found


def tuned(task: Task, choice: Choice) -> Tuned:
    """What is to be written of a choice: what was found, and the batch size that it holds for."""
    return Tuned(**{name: getattr(choice, name) for name in ("batch_size", *axes(task))})


def taken(trials: Sequence[Trial], preferred: Choice | None = None) -> Trial | None:
    """The first within NOISE of the fastest, or the preferred one if it is; None where none is sound.

    Compared are medians of the rates as shares of their round's, in which a machine that slows down cancels.
    """
    sound = [trial for trial in trials if trial.problem is None]
    if not sound:
        return None
    rates = np.array([trial.rates for trial in sound])
    scores = np.median(rates / rates.mean(axis=0), axis=1)
    near = [sound[k] for k in np.flatnonzero(scores >= (1 - NOISE) * scores.max())]
    return next((trial for trial in near if trial.choice == preferred), near[0])


def scaling_hint(recipe: Recipe, task: Task, sizes: np.ndarray) -> str | None:
    """That the recipe should decode images smaller, where it does not and they are large.

    sizes  (n, 2) height, width of images like those to come
    """
    first = template(recipe.train).kernels[0]
    if recipe.decode.scaled or task.loader != "cpu" or not isinstance(first, Resize):
        return None
    times = float(np.median((sizes / output_size(Program((first,)))).min(axis=1)))
    if times < LARGE:
        return None
    megapixels = float(np.median(sizes.astype(np.int64).prod(axis=1))) / 1e6
    return (
        f"The images have {megapixels:.1f} MP, {times:.1f} times the sides that the recipe resizes them "
        "to: decode: {scaled: true} in the recipe decodes them smaller, several times as fast; it changes "
        "pixels (docs/parity.md)."
    )


class Search:
    """Coordinate descent over a task's settings; each choice has `repeats` turns, choices taking turns.

    sizes  (n, 2) height, width of images like those to come
    """

    def __init__(self, task: Task, sizes: np.ndarray, progress: Progress) -> None:
        self.task, self._sizes, self._progress = task, sizes, progress
        self._comparisons: list[Comparison] = []
        self._expected = 0

    def run(self) -> Found:
        """Find the settings. Raises UndecodableImage, and SettingError where none keeps within the cap."""
        values, repeats = axes(self.task), self.task.repeats
        in_round = repeats * sum(map(len, values.values()))
        self._expect(1 + in_round + 2 * repeats)
        defaults = current = self._defaults()
        self._turns([Trial(defaults)], 1)  # reads the files, starts the libraries
        for number in range(ROUNDS):
            self._expect(in_round if number else 0)
            before, current = current, self._round(values, current)
            if current == before:
                break
        own = Trial(defaults)
        chosen = own if current == defaults else Trial(current)
        self._turns([own] if chosen is own else [own, chosen], repeats)
        if chosen.problem is not None:
            raise _beyond([chosen])
        found = Found(own, chosen, self._comparisons)
        slower = found.gain is not None and found.gain < 1 - 2 * NOISE
        return replace(found, chosen=own) if slower else found

    def _defaults(self) -> Choice:
        """train's own choice, with a smaller batch where theirs would take too much."""
        size = self.task.batch_size
        sizes = [n for n in reversed(BATCH_SIZES) if n <= BATCH_SIZE] if size is None else [size]
        trials = [self._trial(Choice(self.task.threads, size)) for size in sizes]
        sound = [trial.choice for trial in trials if trial.problem is None]
        if not sound:
            raise _beyond(trials)
        return sound[0]

    def _round(self, values: dict[str, tuple[Any, ...]], current: Choice) -> Choice:
        """The choice after all settings have been gone through once."""
        rate = 0.0
        for name in values:
            trials = [self._trial(replace(current, **{name: value})) for value in values[name]]
            # A consumer that is always ready would find no use in batches made ahead.
            paced = name == "prefetch"
            self._turns(trials, self.task.repeats, current.batch_size / rate if paced else 0.0)
            # Another batch size changes what is learnt as well: not for nothing.
            best = taken(trials, current if name == "batch_size" else None)
            if best is None:
                raise _beyond(trials)
            self._comparisons.append(Comparison(name, trials, best, paced))
            current, rate = best.choice, best.rate
        return current

    def _trial(self, choice: Choice) -> Trial:
        """A trial; with its problem at once where it is going to take too much memory."""
        program = template(self.task.planner.steps)
        images = (choice.batch_size * program.views, *output_size(program), 3)
        gib = loader_gib(self.task.loader, choice.settings(), images, self.task.dtype.itemsize, self._sizes)
        beyond = f"would take {gib:.2f} GiB, more than the cap of {self.task.cap_gib:.2f}"
        return Trial(choice, gib=gib, problem=beyond if gib > self.task.cap_gib else None)

    def _turns(self, trials: Sequence[Trial], repeats: int, pause_seconds: float = 0.0) -> None:
        for _ in range(repeats):
            for trial in trials:
                if trial.problem is None:
                    trial.turn(self.task, pause_seconds)
                self._progress.done(trial.choice.described())

    def _expect(self, more: int) -> None:
        self._expected += more
        self._progress.expect(self._expected)


def _beyond(trials: Sequence[Trial]) -> SettingError:
    least = min(trials, key=lambda trial: (trial.choice.batch_size, trial.choice.threads))
    return SettingError(
        f"no settings are possible ({least.choice.described()}: {least.problem}); raise --memory-cap, or "
        "take a smaller --batch-size"
    )
