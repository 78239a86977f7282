"""A bar chart of speeds with matplotlib: loaders with quartile whiskers, ceilings as lines; PNG or HTML."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from fastffdi.bench.stopwatch import Quartiles
from fastffdi.errors import SettingError
from fastffdi.escapes import escaped
from fastffdi.files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = (".png", ".html")

#: A ceiling is drawn where it is at most so many times as fast as the fastest loader; else it is named.
_IN_SIGHT = 2.5

_COLOURS = {"torchvision": "#9aa5b1", "cpu": "#2f6fb2", "dali": "#13795b"}
_CEILING, _OTHER, _TEXT = "#b3261e", "#6b7685", "#1c2430"
_STYLE = {"svg.fonttype": "none", "text.parse_math": False, "font.size": 9, "text.color": _TEXT}

#: Inches: width of the chart, height of a bar and of a line of text. Letters in a line of remarks.
_WIDTH, _BAR, _LINE, _WRAP = 8.6, 0.34, 0.19, 125


@dataclass(frozen=True)
class Panel:
    """One chart: images/s of loaders and of ceilings, by name."""

    title: str
    bars: dict[str, Quartiles]
    ceilings: dict[str, float]


def check(file: Path) -> None:
    """Raise SettingError for a name of no known kind, a folder that does not exist, or no matplotlib."""
    if file.suffix.lower() not in KINDS:
        raise SettingError(f"--plot {file}: is neither .png nor .html; name a file that ends so")
    if not file.resolve().parent.is_dir():
        raise SettingError(f"--plot {file}: the folder does not exist; make it first")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise SettingError(
            f"--plot {file}: matplotlib is not installed; pip install 'fastffdi[plot]'"
        ) from None


def plot(file: Path, title: str, panels: Sequence[Panel], remarks: Sequence[str]) -> None:
    """Draw the panels below each other, on one scale, with remarks below; the file is whole or absent."""
    import matplotlib

    title = escaped(title)
    with matplotlib.rc_context(_STYLE), atomic(file) as part:
        png = file.suffix.lower() == ".png"
        drawn = _drawn("png" if png else "svg", title, panels, [*map(escaped, remarks)])
        part.write_bytes(drawn if png else _page(title, drawn))


def _drawn(kind: str, title: str, panels: Sequence[Panel], remarks: Sequence[str]) -> bytes:
    from matplotlib.figure import Figure

    heights = [4.5 * _LINE + _BAR * max(1, len(panel.bars)) for panel in panels]
    figure = Figure(figsize=(_WIDTH, sum(heights) + 2 * _LINE), layout="constrained")
    figure.suptitle(title, fontsize=13, x=0.01, ha="left")
    rows = figure.subplots(len(panels), squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights})
    scale = _scale(panels)
    for axes, panel in zip(rows[:, 0], panels, strict=True):
        axes.set_xlim(0, scale)
        _draw(axes, panel, scale)
    lines = [line for remark in remarks for line in textwrap.wrap(remark, _WRAP)]
    figure.text(0.01, -0.02, "\n".join(lines), va="top", fontsize=8, color=_OTHER)
    out = io.BytesIO()
    figure.savefig(out, format=kind, dpi=200, bbox_inches="tight")
    return out.getvalue()


def _draw(axes: Axes, panel: Panel, scale: float) -> None:
    axes.set_title(panel.title, loc="left", fontsize=10, pad=16)
    for name, speed in panel.bars.items():
        whiskers = [[speed.median - speed.q25], [speed.q75 - speed.median]]
        colour = _COLOURS.get(name, _OTHER)
        axes.barh(name, speed.median, 0.6, xerr=whiskers, color=colour, ecolor=_TEXT, capsize=3)
        axes.annotate(
            f"{speed.median:,.0f}", (speed.q75, name), (6, 0), textcoords="offset points", va="center"
        )
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("images/s")
    axes.tick_params("x", labelbottom=True)
    axes.spines[["top", "right"]].set_visible(False)
    far = [f"{name} {rate:,.0f}" for name, rate in panel.ceilings.items() if rate > scale]
    if far:
        axes.set_title(f"beyond the scale: {', '.join(far)}", loc="right", fontsize=8, color=_OTHER, pad=16)
    for name, rate in panel.ceilings.items():
        if rate <= scale:
            axes.axvline(rate, color=_CEILING)
            text = axes.get_xaxis_transform()
            axes.text(
                rate, 1.03, f"{name} {rate:,.0f}", transform=text, color=_CEILING, ha="center", fontsize=8
            )


def _scale(panels: Sequence[Panel]) -> float:
    """Images/s at the right end."""
    fastest = max((speed.q75 for panel in panels for speed in panel.bars.values()), default=1.0)
    rates = [rate for panel in panels for rate in panel.ceilings.values()]
    return 1.08 * max([fastest, *(rate for rate in rates if rate <= _IN_SIGHT * fastest)])


def _page(title: str, svg: bytes) -> bytes:
    head = f'<!doctype html>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
    return head.encode() + svg[svg.index(b"<svg") :]
