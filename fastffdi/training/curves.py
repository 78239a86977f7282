"""A picture of a run's epochs, drawn with matplotlib: losses, AUC, learning rate, images/s."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fastffdi.files import atomic
from fastffdi.training.result import EMA, RAW, EpochResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What to do where `can_be_drawn` is False.
CURE = "matplotlib is not installed; pip install 'fastffdi[plot]'"

#: What the weights are called that are validated side by side.
_KINDS = {RAW: "weights as trained", EMA: "their moving average"}

_TRAINING, _VALIDATION, _BEST, _TEXT = "#2f6fb2", "#13795b", "#b3261e", "#1c2430"
_STYLE = {
    "font.size": 9,
    "text.color": _TEXT,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e8ee",
    "axes.edgecolor": "#9aa5b1",
    "lines.marker": "o",
    "lines.markersize": 3.5,
    "legend.frameon": False,
}


def can_be_drawn() -> bool:
    """Whether matplotlib is there."""
    return find_spec("matplotlib") is not None


def save(path: Path, title: str, epochs: Sequence[EpochResult], best: EpochResult) -> None:
    """Write the picture as PNG. Raises as `atomic`."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_STYLE}):
        figure = Figure(figsize=(9, 6), layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, parse_math=False)
        grid = figure.subplots(2, 2, sharex=True)
        for axes, draw in zip(grid.flat, (_losses, _auc, _rate, _speed), strict=True):
            draw(axes, epochs, best)
            axes.tick_params("x", labelbottom=True)
        grid[0, 0].set_xlim(0.75, len(epochs) + 0.25)
        grid[0, 0].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        for axes in grid[1]:
            axes.set_xlabel("epoch")
        with atomic(path) as part:
            figure.savefig(part, format="png", dpi=150)


def _losses(axes: Axes, epochs: Sequence[EpochResult], best: EpochResult) -> None:
    axes.set_title("Loss (nats)")
    _line(axes, epochs, [epoch.train_loss for epoch in epochs], _TRAINING, "training")
    _line(axes, epochs, [epoch.validation["log_loss"] for epoch in epochs], _VALIDATION, "validation")
    axes.legend()


def _auc(axes: Axes, epochs: Sequence[EpochResult], best: EpochResult) -> None:
    axes.set_title("Validation AUC")
    kinds = dict.fromkeys(kind for epoch in epochs for kind in epoch.aucs)
    for kind, colour in zip(kinds, (_TRAINING, _VALIDATION), strict=False):
        _line(axes, epochs, [epoch.aucs.get(kind) for epoch in epochs], colour, _KINDS.get(kind, kind))
    if not kinds:
        _line(axes, epochs, [epoch.validation["auc"] for epoch in epochs], _VALIDATION)
    value = best.validation["auc"]
    if value is None:
        return
    said = f"best: {value:.4f}, epoch {best.epoch + 1}"
    axes.plot([best.epoch + 1], [value], color=_BEST, markersize=7, linestyle="none", label=said)
    axes.legend()


def _rate(axes: Axes, epochs: Sequence[EpochResult], best: EpochResult) -> None:
    axes.set_title("Highest learning rate")
    _from_zero(axes, epochs, [epoch.learning_rate for epoch in epochs])


def _speed(axes: Axes, epochs: Sequence[EpochResult], best: EpochResult) -> None:
    axes.set_title("Training images/s")
    _from_zero(axes, epochs, [epoch.images_per_second for epoch in epochs])


def _from_zero(axes: Axes, epochs: Sequence[EpochResult], values: Sequence[float]) -> None:
    _line(axes, epochs, values, _TRAINING)
    axes.set_ylim(0, 1.1 * max(values) or 1)


def _line(
    axes: Axes,
    epochs: Sequence[EpochResult],
    values: Sequence[float | None],
    colour: str,
    label: str | None = None,
) -> None:
    """Undefined values are gaps."""
    drawn = [float("nan") if value is None else value for value in values]
    axes.plot([epoch.epoch + 1 for epoch in epochs], drawn, color=colour, label=label)
