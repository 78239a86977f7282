"""A bar chart of speeds: loaders with quartile whiskers, ceilings as lines; a PNG, or an HTML page with an SVG."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from fastffdi.bench.stopwatch import Quartiles
from fastffdi.errors import SettingError
from fastffdi.files import atomic

KINDS = (".png", ".html")

#: A ceiling is drawn where it is at most so many times as fast as the fastest loader; else it is listed.
_IN_SIGHT = 2.5

_COLOURS = {"torchvision": "#9aa5b1", "cpu": "#2f6fb2", "cached": "#7b4fb2", "dali": "#13795b"}
_CEILING, _FAINT = "#b3261e", "#6b7685"


@dataclass(frozen=True)
class Panel:
    """One chart: img/s of loaders and of ceilings, by name."""

    title: str
    bars: dict[str, Quartiles]
    ceilings: dict[str, float]


def check(file: Path) -> None:
    """Raise SettingError where the chart cannot be drawn: another kind of file, no folder, no matplotlib."""
    if file.suffix.lower() not in KINDS:
        raise SettingError(f"--plot {file}: is neither .png nor .html; name a file that ends so")
    if not file.resolve().parent.is_dir():
        raise SettingError(f"--plot {file}: the folder does not exist; make it first")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise SettingError("--plot: needs matplotlib; pip install 'fastffdi[plot]'") from None


def plot(file: Path, title: str, panels: Sequence[Panel], remarks: Sequence[str]) -> None:
    """Draw the panels one below the other, all on one scale, with remarks below; whole or not at all."""
    from matplotlib.figure import Figure

    foot = "\n".join(line for remark in remarks for line in textwrap.wrap(remark, 118))
    rows = [1.6 + len(panel.bars) for panel in panels]
    height = 0.34 * sum(rows) + 0.16 * foot.count("\n") + 1.2
    figure = Figure(figsize=(8.6, height), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left")
    axes = figure.subplots(len(panels), squeeze=False, sharex=True, height_ratios=rows)[:, 0]
    for ax, panel in zip(axes, panels, strict=True):
        _draw(ax, panel, max(speed.q75 for one in panels for speed in one.bars.values()))
    axes[-1].set_xlabel("images/s")
    figure.supxlabel(foot, x=0.01, ha="left", fontsize=7, color=_FAINT)
    with atomic(file) as part:
        part.write_bytes(_png(figure) if file.suffix.lower() == ".png" else _html(figure, title))


def _draw(ax: Any, panel: Panel, fastest: float) -> None:
    names, speeds = list(panel.bars), list(panel.bars.values())
    medians = [speed.median for speed in speeds]
    spread = [
        [speed.median - speed.q25 for speed in speeds],
        [speed.q75 - speed.median for speed in speeds],
    ]
    bars = ax.barh(
        names, medians, xerr=spread, color=[_COLOURS.get(name, _FAINT) for name in names], capsize=3
    )
    ax.bar_label(bars, fmt="{:,.0f}", padding=6)
    near = {name: rate for name, rate in panel.ceilings.items() if rate <= _IN_SIGHT * fastest}
    for name, rate in near.items():
        ax.axvline(rate, color=_CEILING, label=f"{name} {rate:,.0f}")
    far = [f"{name} {rate:,.0f}" for name, rate in panel.ceilings.items() if name not in near]
    beyond = f"\nbeyond the scale: {', '.join(far)}" if far else ""
    ax.set_title(panel.title + beyond, loc="left", fontsize=9)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.spines[["top", "right"]].set_visible(False)
    if near:
        ax.legend(fontsize=7, loc="lower right")


def _png(figure: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=160)
    return file.getvalue()


def _html(figure: Any, title: str) -> bytes:
    file = io.StringIO()
    figure.savefig(file, format="svg")
    svg = file.getvalue().partition("<svg")
    head = f'<!doctype html>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
    return f"{head}{svg[1]}{svg[2]}".encode()
