"""What evaluate says of several sets of images together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastffdi.cli.columns import aligned
from fastffdi.escapes import escaped
from fastffdi.evaluation.words import shown, word

if TYPE_CHECKING:
    from fastffdi.cli.evaluate_judged import Judged
    from fastffdi.evaluation.across import Across

#: The figures of each set, side by side.
_COLUMNS = ("eer", "accuracy_at_0.5", "balanced_accuracy_at_0.5")


def together(record: Sequence[Judged]) -> tuple[list[str], list[dict[str, Any]]]:
    """Each model over all sets, as lines and as plain data; of several models also their AUCs by set."""
    from fastffdi.evaluation.across import across

    lines, data, models = [], [], {}
    for model in dict.fromkeys(one.part.model for one in record):
        own = {one.part.set: one for one in record if one.part.model == model}
        models[model] = own, across({name: one.figures for name, one in own.items()})
        lines += ["", *_over_sets(model, *models[model])]
        figures = {name: asdict(one) for name, one in models[model][1].items()}
        data.append({"scores_of": model or None, "sets": list(own), "figures": figures})
    return [*lines, *(["", *_by_model(models)] if len(models) > 1 else [])], data


def _over_sets(model: str, own: Mapping[str, Judged], found: Mapping[str, Across]) -> list[str]:
    """A line for each set, then one for each measure."""
    headings = ["set", "reals", "fakes", "AUC", "95 % interval", *map(word, _COLUMNS)]
    rows = [
        [name, f"{one.reals:,}", f"{one.fakes:,}", _value(one, "auc"), shown(one.figures["auc"].interval)]
        + [_value(one, column) for column in _COLUMNS]
        for name, one in own.items()
    ]
    measures = [
        [word(name), f"{one.mean:.4f}", _number(one.sd), f"{one.worst:.4f}", one.worst_set]
        for name, one in found.items()
    ]
    return [
        f"{escaped(model)}{' over ' * bool(model)}{len(own)} sets:",
        *_indented(aligned([headings, *rows], {0, 4})),
        "",
        *_indented(aligned([["", "mean", "sd", "worst", "of"], *measures], {0, 4})),
    ]


def _by_model(models: Mapping[str, tuple[Mapping[str, Judged], Mapping[str, Across]]]) -> list[str]:
    """The AUC of each model for each set."""
    sets = next(iter(models.values()))[0]
    rows = [[name, *(_value(own[name], "auc") for own, _ in models.values())] for name in sets]
    aucs = [found.get("auc") for _, found in models.values()]
    for name in ("mean", "sd", "worst"):
        rows.append([name, *(_number(None if one is None else getattr(one, name)) for one in aucs)])
    return _indented(aligned([["AUC", *models], *rows], {0}))


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}".rstrip() for line in lines]


def _value(one: Judged, name: str) -> str:
    return _number(one.figures[name].value)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
