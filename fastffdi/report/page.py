"""The report: one HTML file that holds all it shows, and asks for nothing from elsewhere."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fastffdi.data.manifest import Manifest
from fastffdi.escapes import escaped
from fastffdi.evaluation.calibration import Calibration, Linear
from fastffdi.evaluation.figures import worst
from fastffdi.evaluation.words import p_value, shown, word
from fastffdi.report import charts, curves, degradation, plots
from fastffdi.report.assessed import Assessed
from fastffdi.report.charts import Chart
from fastffdi.report.data import notes
from fastffdi.report.provenance import Provenance, described, preprocessing
from fastffdi.report.thumbnails import Mistakes, mistakes

#: The figures that stand large at the top.
_HEADLINES = ("auc", "eer", "tpr_at_fpr_0.01", "balanced_accuracy_at_0.5", "cllr")


@dataclass(frozen=True)
class Model:
    """One model's part of the page.

    Attributes:
        name: what it is called on the page; short where there are several
        threshold: where the slider stands: its place among `thresholds`, of which each has its counts
        reals_called, fakes_called: how many images of each class are called fake at each threshold
    """

    one: Assessed
    name: str
    charts: Sequence[Chart]
    bias: Sequence[Chart]
    mistakes: Sequence[Mistakes]
    worst_group: str | None
    threshold: int
    thresholds: Sequence[float]
    reals_called: Sequence[int]
    fakes_called: Sequence[int]


def page(
    models: Sequence[Assessed],
    images: Mapping[str, Manifest],
    made_of: Provenance,
    by: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
    threads: int = 1,
) -> str:
    """The page, of one or more models.

    Args:
        images: the files of the sets of which they are there
        by: the column of the groups
        resamples, seed: of the bootstrap
        threads: to look at files with
    """
    names = _names(models)
    parts = [
        _model(one, name, images.get(one.set), len(models)) for one, name in zip(models, names, strict=True)
    ]
    sets = {one.set: one for one in reversed(models)}
    return _rendered(
        models=parts,
        figures=list(dict.fromkeys(name for one in models for name in one.figures)),
        headlines=[name for name in _HEADLINES if name in models[0].figures],
        overlaid=plots.overlaid(models, names, resamples, seed),
        stress=degradation.stress(models, names),
        data=[notes(one.set, one.scored, images.get(one.set), threads) for one in reversed(sets.values())],
        made_of=made_of,
        by=by,
        resamples=resamples,
    )


def _model(one: Assessed, name: str, images: Manifest | None, models: int) -> Model:
    choices = curves.thresholds(one.cut)
    called = curves.called_fake(one.scored.labels, one.scored.scores, choices)
    found = worst(one.groups)
    return Model(
        one,
        name,
        plots.own(one),
        degradation.bias(one),
        mistakes(one, images, models),
        None if found is None else found.value,
        choices.searchsorted(one.cut).item(),
        choices.tolist(),
        *called,
    )


def _names(models: Sequence[Assessed]) -> list[str]:
    """What the models are called: letters go before them where there are several."""
    if len(models) == 1:
        return [models[0].name]
    several = len({one.set for one in models}) > 1
    names = [f"{one.name} on {one.set}" if several and one.name != one.set else one.name for one in models]
    return [f"{_letter(k)}: {name}" for k, name in enumerate(names)]


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else str(number + 1)


def _calibration(known: Calibration | None) -> str:
    if known is None:
        return "none"
    if isinstance(known, Linear):
        return f"log-odds × {known.slope:.4f} {known.offset:+.4f}"
    return f"isotonic, by {len(known.scores)} knots"


def _rendered(**values: Any) -> str:
    """The template with these values: every text in it is escaped, for a reader and for a browser."""
    environment = Environment(
        loader=PackageLoader("fastffdi.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.globals |= {
        "word": word,
        "shown": shown,
        "p_value": p_value,
        "calibration": _calibration,
        "described": described,
        "preprocessing": preprocessing,
        "frame": charts,
    }
    style, script = (_text(name) for name in ("style.css", "matrix.js"))
    values |= {"style": style, "script": script, "hash": _hash}
    return environment.get_template("page.html").render(values)


def _visible(value: object) -> object:
    """Text without control characters and halves of letters; the template's own markup as it is."""
    return escaped(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _text(name: str) -> str:
    return files("fastffdi.report").joinpath("templates", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What a Content-Security-Policy calls the one text that may be run, or style the page."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
