"""What a model's scores do when images are degraded: all of them, or those of one class alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fastffdi.audit.shortcuts import telling
from fastffdi.data.manifest import Manifest
from fastffdi.errors import DataError
from fastffdi.evaluation import bias, stress
from fastffdi.evaluation.bias import Factor, Shift
from fastffdi.evaluation.decision import Decision
from fastffdi.evaluation.figures import Figure
from fastffdi.inference.degradations import AS_IT_IS, BIAS, Degradation
from fastffdi.inference.predict import Predictor
from fastffdi.inference.traits import Match, match, medians, traits
from fastffdi.loaders.settings import LoaderSettings


@dataclass(frozen=True)
class Stressed:
    """The figures when all images are degraded: `degradation` is AS_IT_IS for those as they are."""

    degradation: Degradation
    figures: dict[str, Figure]


@dataclass(frozen=True)
class Shifted:
    """What becomes of scores when reals alone are degraded, or fakes alone."""

    degradation: Degradation
    reals: Shift
    fakes: Shift


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of N images apart from their scores.

    Attributes:
        values: (N,) of each fact
        matches: how one class is given the other's, of the facts that differ
    """

    values: Mapping[str, np.ndarray]
    matches: Mapping[str, Match]

    @classmethod
    def of(cls, manifest: Manifest, settings: LoaderSettings) -> Facts:
        """Those of images with labels, by so many threads, of images within the settings' limits."""
        values, labels = traits(manifest, settings.threads, settings.limits), manifest.labels
        assert labels is not None
        found = {
            fact: match(fact, labels, known, manifest, settings.limits) for fact, known in values.items()
        }
        return cls(values, {fact: one for fact, one in found.items() if one is not None})

    def degradations(self) -> list[Degradation]:
        """Those that a look for bias needs scores of."""
        table = [one for family in BIAS.values() for one in family]
        return list(dict.fromkeys([*table, *(one.degradation for one in self.matches.values())]))


@dataclass(frozen=True, eq=False)
class Examined:
    """N images, of both classes, that have a score in every version.

    Attributes:
        kept: (N,) which rows of the manifest they are
        labels: (N,)
        scores: (N,) of each version, as they are among them
    """

    kept: np.ndarray
    labels: np.ndarray
    scores: Mapping[Degradation, np.ndarray]

    @classmethod
    def of(
        cls,
        predictor: Predictor,
        manifest: Manifest,
        degradations: Sequence[Degradation],
        progress: Callable[[int], None] | None = None,
    ) -> Examined:
        """Score images as they are and degraded; `progress` gets numbers of versions, `versions` for each.

        Raises DataError where a class is absent.
        """
        wanted = versions(degradations)
        scores = predictor.degraded(manifest, wanted, progress)
        assert manifest.labels is not None
        kept = np.flatnonzero(stress.common(scores[:, 0], scores))
        labels = manifest.labels[kept]
        if len(np.unique(labels)) < 2:
            raise DataError("--stress, --bias: need real and fake images; only one class is there")
        return cls(kept, labels, dict(zip(wanted, scores[kept].T, strict=True)))

    def stressed(
        self,
        degradations: Sequence[Degradation],
        threshold: float,
        resamples: int,
        seed: int,
        decision: Decision | None = None,
    ) -> list[Stressed]:
        """The figures of the images as they are and in each version; of calibrated scores by a decision."""
        found = []
        for one in (AS_IT_IS, *degradations):
            scores = self.scores[one] if decision is None else decision.calibrated(self.scores[one])
            found.append(Stressed(one, stress.stressed(self.labels, scores, threshold, resamples, seed)))
        return found

    def shifted(self, degradations: Sequence[Degradation], resamples: int, seed: int) -> list[Shifted]:
        """The shifts of both classes; none where the scores do not tell the classes apart."""
        every = np.stack([self.scores[one] for one in degradations], axis=1)
        found = bias.shifts(self.labels, self.scores[AS_IT_IS], every, resamples, seed)
        pairs = zip(degradations, found or (), strict=bool(found))
        return [Shifted(one, reals, fakes) for one, (reals, fakes) in pairs]

    def factors(self, facts: Facts, shifted: Sequence[Shifted]) -> list[Factor]:
        """What each fact has to do with the scores; `shifted` are those of its degradations."""
        by = {one.degradation: (one.reals, one.fakes) for one in shifted}
        found = []
        for fact, every in facts.values.items():
            values = every[self.kept]
            known, matched = np.isfinite(values), facts.matches.get(fact)
            told, tells = telling(self.labels[known], values[known])
            pair = by.get(matched.degradation) if matched is not None and tells else None
            shift = None if pair is None or matched is None else pair[matched.label]
            found.append(Factor(fact, medians(self.labels, values), told, tells, shift))
        return found


def versions(degradations: Sequence[Degradation]) -> list[Degradation]:
    """What is scored for them: the images as they are, and each degradation once."""
    return list(dict.fromkeys([AS_IT_IS, *degradations]))
