"""How a run learns: what the optimiser, the schedule and the loss are, and which weights take part."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from fastffdi.errors import SettingError, did_you_mean
from fastffdi.recipe.steps.base import shown

ScheduleName = Literal["cosine", "linear", "step", "one-cycle", "constant"]
Tuned = Literal["all", "head", "norm"]
Weighting = Literal["balanced"]

#: What timm also has: for packages of their own, of another kind of gradient, or whose state is more than
#: what they give of it, so that a run could not go on where it was.
_NOT = ("bnb*", "fused*", "adahessian", "kron*", "*adafactorbv*")


@dataclass(frozen=True)
class Optimisation:
    """How a run learns.

    Attributes:
        optimiser: any of timm's by its name: adamw, sgd, lamb, lion, muon and others
        weight_decay: of all weights but biases and norms
        momentum: for optimisers that have one, such as sgd
        schedule: of the learning rate, update by update: cosine, linear, step, one-cycle or constant
        warmup: share of all updates in which the learning rate rises
        decay_every: epochs between two steps of the step schedule
        decay_rate: what the step schedule multiplies the learning rate by
        clip_gradient: the highest norm of the gradient; a longer one is scaled down. None: as it is
        label_smoothing: share of each label that is spread over both classes
        class_weights: balanced: an image counts the more, the rarer its class is among the training images,
            with None as much as any other
        layer_decay: the learning rate of a layer is this times that of the layer above it. None: one for all
        drop_path: rate at which residual branches are left out in training. None: the backbone's own
        freeze: epochs at the beginning in which the head alone is trained
        tune: what is trained: all; head: the last layer, on a backbone that stays as it is; norm: norm layers
            and the last layer
        accumulate: batches per update
        ema: decay of a moving average of the weights, judged beside them after each epoch; the better of the
            two is kept. None: no average

    Raises SettingError for a value out of range, and for two that contradict each other.
    """

    optimiser: str = "adamw"
    weight_decay: float = 0.05
    momentum: float = 0.9
    schedule: ScheduleName = "cosine"
    warmup: float = 0.15
    decay_every: float = 1.0
    decay_rate: float = 0.7
    clip_gradient: float | None = None
    label_smoothing: float = 0.0
    class_weights: Weighting | None = None
    layer_decay: float | None = None
    drop_path: float | None = None
    freeze: int = 0
    tune: Tuned = "all"
    accumulate: int = 1
    ema: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name), field.default)
        if self.freeze and self.tune == "head":
            raise SettingError(
                f"freeze {self.freeze}: with tune head the backbone is frozen to the end; leave out one"
            )

    def updates(self, batches: int) -> int:
        """How many updates so many batches of an epoch make; its last may be of fewer batches."""
        return math.ceil(batches / self.accumulate)


def _check(name: str, value: Any, default: Any) -> None:
    if value == default and type(value) is type(default):
        return  # so that timm is not asked for the names of optimisers
    if name in _NAMES:
        allowed = _NAMES[name]()
        if value not in allowed:
            raise SettingError(f"{name}: unknown {shown(value)}{did_you_mean(str(value), allowed)}")
    elif value is not None or default is not None:
        valid, range = _ALLOWED[name]
        if not valid(value):
            raise SettingError(f"{name}: {shown(value)} is not {range}")


def optimisers() -> list[str]:
    """The names of those that a run can have."""
    from timm.optim import list_optimizers

    return [str(name) for name in list_optimizers(exclude_filters=list(_NOT))]


#: Per field that has names as values: which ones.
_NAMES: dict[str, Callable[[], list[str]]] = {
    "optimiser": optimisers,
    "schedule": lambda: list(get_args(ScheduleName)),
    "class_weights": lambda: list(get_args(Weighting)),
    "tune": lambda: list(get_args(Tuned)),
}


def _number(least: float, most: float, *, above: bool = False, below: bool = False) -> Callable[[Any], bool]:
    def valid(value: Any) -> bool:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return False
        return (least < value if above else least <= value) and (value < most if below else value <= most)

    return valid


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


#: Per field that has numbers as values: whether one is valid, and which ones are.
_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "weight_decay": (_number(0, math.inf, below=True), "a number from 0 on"),
    "momentum": (_number(0, 1, below=True), "a number from 0 to below 1"),
    "warmup": (_number(0, 1, below=True), "a share from 0 to below 1"),
    "decay_every": (_number(0, math.inf, above=True, below=True), "a number of epochs above 0"),
    "decay_rate": (_number(0, 1, above=True), "a number above 0, up to 1"),
    "clip_gradient": (_number(0, math.inf, above=True, below=True), "a number above 0"),
    "label_smoothing": (_number(0, 1, below=True), "a share from 0 to below 1"),
    "layer_decay": (_number(0, 1, above=True), "a number above 0, up to 1"),
    "drop_path": (_number(0, 1, below=True), "a rate from 0 to below 1"),
    "freeze": (_whole(0), "a whole number from 0 on"),
    "accumulate": (_whole(1), "a whole number from 1 on"),
    "ema": (_number(0, 1, above=True, below=True), "a number between 0 and 1"),
}
