"""The automatic policies: steps that choose operations at random, as torchvision's of the same names.

The operations are torchvision's on uint8 tensors, except that ours round where it truncates, that saturation
takes its floored grey on average only, and that with a `fill` other than 0 bilinear edges blend into that
pixel value, where torchvision's are darkened on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastffdi.recipe.kernels import Blend, Fill, Kernel
from fastffdi.recipe.program import Program
from fastffdi.recipe.steps.base import (
    Draws,
    Step,
    flag,
    known,
    one_of,
    param,
    real,
    shown,
    whole,
)
from fastffdi.recipe.steps.forms import fill, interpolation
from fastffdi.recipe.steps.operations import (
    KINDS,
    MIXED,
    MIXED_PARTLY,
    NAMES,
    STANDARD,
    WIDE,
    Space,
    lowered,
    signed,
)
from fastffdi.recipe.steps.subpolicies import SUBPOLICIES

#: Magnitudes that AutoAugment's policies and AugMix's severity count in.
_TEN = 10

_interpolation = interpolation("nearest", "bilinear")


def count(least: int, most: int) -> Callable[[Any], int]:
    """Reads a whole number from `least` to `most`."""

    def read(value: Any) -> int:
        if not least <= whole(value) <= most:
            raise ValueError(f"{shown(value)} is not from {least} to {most}")
        return int(value)

    return read


def depth(value: Any) -> int:
    """A number of operations, or −1."""
    if whole(value) != -1 and not 1 <= value <= 16:
        raise ValueError(f"{shown(value)} is neither from 1 to 16 nor -1 for 1 to 3 at random")
    return int(value)


def positive(value: Any) -> float:
    if real(value) <= 0:
        raise ValueError(f"{value} is not above 0")
    return float(value)


@dataclass(frozen=True)
class AutoAugment(Step):
    """Do one of the 25 pairs of operations of a learned `policy`: imagenet, cifar10 or svhn.

    Each operation of a pair is applied with its own probability. Cubuk et al., arXiv 1805.09501.
    """

    policy: str = param(one_of(*SUBPOLICIES), "imagenet")
    interpolation: str = param(_interpolation, "nearest")
    fill: Fill = param(fill, 0)
    draws = Draws(pair=1, p=2, sign=2)
    kernels = KINDS * 2

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        size, drawn = known(size), self.draws.split(u)
        operations, chances, places = _policy(self.policy)
        pair = np.floor(drawn["pair"] * len(operations)).astype(np.int64)
        # The first operation is the identity.
        chosen = np.where(drawn["p"] < chances[pair], operations[pair], 0).T
        unsigned = STANDARD.magnitude(chosen, places[pair].T, _TEN, size)
        magnitude = signed(chosen, unsigned, drawn["sign"].T)
        slots = lowered(chosen, magnitude, size, self.interpolation, self.fill)
        return [kernel for slot in slots for kernel in slot]


@dataclass(frozen=True)
class RandAugment(Step):
    """Do `num_ops` random operations in turn, all of strength `magnitude` out of `num_magnitude_bins`.

    Cubuk et al., arXiv 1909.13719.
    """

    num_ops: int = param(count(0, 16), 2)
    magnitude: int = param(count(0, 999), 9)
    num_magnitude_bins: int = param(count(2, 1000), 31)
    interpolation: str = param(_interpolation, "nearest")
    fill: Fill = param(fill, 0)

    def __post_init__(self) -> None:
        if self.magnitude >= self.num_magnitude_bins:
            raise ValueError(
                f"rand_augment: magnitude: {self.magnitude} is not from 0 to {self.num_magnitude_bins - 1}, "
                "one less than num_magnitude_bins"
            )

    @property
    def draws(self) -> Draws:
        return Draws(operation=self.num_ops, sign=self.num_ops)

    @property
    def kernels(self) -> tuple[type[Kernel], ...]:
        return KINDS * self.num_ops

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        size, drawn = known(size), self.draws.split(u)
        chosen = STANDARD.choose(_by_slot(drawn["operation"]))
        place = np.full(chosen.shape, self.magnitude)
        unsigned = STANDARD.magnitude(chosen, place, self.num_magnitude_bins, size)
        magnitude = signed(chosen, unsigned, _by_slot(drawn["sign"]))
        slots = lowered(chosen, magnitude, size, self.interpolation, self.fill)
        return [kernel for slot in slots for kernel in slot]


@dataclass(frozen=True)
class TrivialAugmentWide(Step):
    """Do one random operation of random strength, up to very strong, in `num_magnitude_bins` steps.

    Müller and Hutter, arXiv 2103.10158.
    """

    num_magnitude_bins: int = param(count(2, 1000), 31)
    interpolation: str = param(_interpolation, "nearest")
    fill: Fill = param(fill, 0)
    draws = Draws(slot=3)
    kernels = KINDS

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        size, bins = known(size), self.num_magnitude_bins
        chosen, magnitude = _drawn(WIDE, u.T[None], bins, bins, size)
        return lowered(chosen, magnitude, size, self.interpolation, self.fill)[0]


@dataclass(frozen=True)
class AugMix(Step):
    """Mix the image with `mixture_width` chains of `chain_depth` (−1: 1 to 3) random operations on it.

    `severity` 1 … 10 is the strongest operation, `alpha` shapes the weights (large: even), and `all_ops`
    brings in brightness, colour, contrast and sharpness. Hendrycks et al., arXiv 1912.02781.
    """

    severity: int = param(count(1, _TEN), 3)
    mixture_width: int = param(count(1, 16), 3)
    chain_depth: int = param(depth, -1)
    alpha: float = param(positive, 1.0)
    all_ops: bool = param(flag, True)
    interpolation: str = param(_interpolation, "bilinear")
    fill: Fill = param(fill, 0)
    kernels = (Blend,)

    @property
    def draws(self) -> Draws:
        width = self.mixture_width
        return Draws(own_weight=1, chain_weights=width, chain_depths=width, slots=3 * width * self._slots)

    @property
    def needs_size(self) -> bool:
        return True

    @property
    def _slots(self) -> int:
        """Operations of the longest chain."""
        return 3 if self.chain_depth < 0 else self.chain_depth

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        size, drawn = known(size), self.draws.split(u)
        space = MIXED if self.all_ops else MIXED_PARTLY
        of_slots = drawn["slots"].T.reshape(self.mixture_width * self._slots, 3, len(u))
        chosen, magnitude = _drawn(space, of_slots, self.severity, _TEN, size)
        chosen = np.where(self._within(_by_slot(drawn["chain_depths"])), chosen, 0)
        slots = lowered(chosen, magnitude, size, self.interpolation, self.fill)
        chain_weights = _by_slot(drawn["chain_weights"]).T
        return [Blend(self._chains(slots), mixing_weights(self.alpha, drawn["own_weight"], chain_weights))]

    def _within(self, u: np.ndarray) -> np.ndarray:
        """Whether each slot is within its chain's depth, from u (chains, N): (S, N) bool."""
        deep = 1 + np.floor(3 * u) if self.chain_depth < 0 else np.full(u.shape, self.chain_depth)
        return np.asarray(np.arange(self._slots)[:, None] < deep[:, None]).reshape(-1, u.shape[1])

    def _chains(self, slots: list[list[Kernel]]) -> tuple[Program, ...]:
        firsts = range(0, len(slots), self._slots)
        chains = (slots[first : first + self._slots] for first in firsts)
        return tuple(Program(tuple(kernel for slot in chain for kernel in slot)) for chain in chains)


def mixing_weights(alpha: float, u_own: np.ndarray, u_chains: np.ndarray) -> np.ndarray:
    """AugMix's weights (N, 1 + chains) float32, from numbers (N,) and (N, chains); they sum to 1.

    The image's own is distributed as Beta(α, α); the chains share the rest as Dirichlet(α, …) does, whose
    parts are Gamma(α) numbers over their sum.
    """
    # Imported here: it takes longer than everything else that reading a recipe imports.
    from scipy.special import betaincinv, gammaincinv

    own = betaincinv(alpha, alpha, u_own)[:, None]
    # With a tiny α every part can come out as 0; then they are even.
    parts = np.maximum(gammaincinv(alpha, u_chains), np.finfo(float).tiny)
    shares = parts / parts.sum(axis=1, keepdims=True)
    return np.concatenate([own, (1 - own) * shares], axis=1).astype(np.float32)


def _by_slot(u: np.ndarray) -> np.ndarray:
    """Numbers (N, S), or (N,) where there is one slot, as (S, N)."""
    return u.T.reshape(-1, len(u))


def _drawn(
    space: Space, u: np.ndarray, places: int, bins: int, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Operations, and magnitudes from the weakest `places` of `bins`, both (S, N), from u (S, 3, N)."""
    operation, strength, sign = u.swapaxes(0, 1)
    chosen = space.choose(operation)
    place = np.floor(strength * places).astype(np.int64)
    return chosen, signed(chosen, space.magnitude(chosen, place, bins, size), sign)


def _policy(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A policy's operations, their probabilities, and the bins of their magnitudes: (25, 2) each."""
    names, chances, places = zip(*(part for pair in SUBPOLICIES[name] for part in pair), strict=True)
    operations = [NAMES.index(operation) for operation in names]
    columns = np.array(operations), np.array(chances), np.array([place or 0 for place in places])
    operation, chance, place = (column.reshape(-1, 2) for column in columns)
    return operation, chance, place
