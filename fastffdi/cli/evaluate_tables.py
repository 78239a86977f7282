"""What evaluate prints: the figures as lines of text."""

from __future__ import annotations

from fastffdi.escapes import escaped
from fastffdi.evaluation.figures import Comparison, Figure, Group, worst
from fastffdi.evaluation.scored import Scored
from fastffdi.evaluation.words import p_value, shown, word


def headed(name: str, scored: Scored) -> list[str]:
    """Whose scores of how many images these are."""
    reals, fakes = (int((scored.labels == label).sum()) for label in (0, 1))
    left = f"; {scored.left_out:,} more without a score" * bool(scored.left_out)
    return [f"{escaped(name)}: {len(scored):,} images, {reals:,} real and {fakes:,} fake{left}"]


def told(found: dict[str, Figure]) -> list[str]:
    """A line for each figure."""
    width = max(len(word(name)) for name in found)
    lines = [f"  {'':<{width}}   value   95 % interval"]
    for name, figure in found.items():
        value = "–" if figure.value is None else f"{figure.value:.4f}"
        note = f"   ({figure.note})" * bool(figure.note)
        lines.append(f"  {word(name):<{width}}  {value:>6}   {shown(figure.interval)}{note}".rstrip())
    return lines


def grouped(column: str | None, parts: list[Group]) -> list[str]:
    """A line for each group, and which is worst."""
    if column is None:
        return []
    width = max(len(column), *(len(escaped(group.value)) for group in parts))
    lines = [
        "",
        f"  {escaped(column):<{width}}    reals    fakes     AUC   95 % interval     balanced accuracy",
    ]
    for group in parts:
        auc, balanced = group.figures["auc"], group.figures["balanced_accuracy_at_0.5"]
        counts = [f"{n:>7,}" if n else f"{'all':>7}" for n in (group.reals, group.fakes)]
        values = [f"{'–':>6}" if one.value is None else f"{one.value:.4f}" for one in (auc, balanced)]
        line = (
            f"  {escaped(group.value):<{width}}  {'  '.join(counts)}  {values[0]}   {shown(auc.interval):<16}"
        )
        lines.append(f"{line}  {values[1]}")
    found = worst(parts)
    return [*lines, *([] if found is None else [f"  worst: {column} {escaped(found.value)}"])]


def compared(first: str, other: str, found: Comparison) -> list[str]:
    """The difference of two models' AUCs, and what chance has to do with it."""
    if found.auc is None:
        return [f"{escaped(first)} and {escaped(other)}: too few images of a class to compare"]
    interval = shown(found.intervals["auc"], sign=True)
    return [
        f"{escaped(first)} less {escaped(other)}: AUC {found.auc.value:+.4f}, 95 % interval {interval}, "
        f"{p_value(found.auc.p)} (DeLong)"
    ]
