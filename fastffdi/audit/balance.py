"""Findings about how many images there are of each class."""

from __future__ import annotations

from collections.abc import Iterator

from fastffdi.audit.findings import Finding, percent
from fastffdi.data.manifest import LABELS, Manifest

#: A class with a smaller share of a split is a finding.
LEAST_SHARE = 0.1


def balance(split: Manifest, what: str) -> Iterator[Finding]:
    """At most one finding about the `what` split ("training")."""
    counts = split.class_counts()
    label, least = min(counts.items(), key=lambda item: item[1])
    if not least:
        text = f"no {what} image is {LABELS[label]}"
        cure = "add images of the other class: nothing can be learnt or measured from one"
        yield Finding("one-class", "error", text, cure, weight=2.0)
    elif least < LEAST_SHARE * len(split):
        text = f"{least:,} of {len(split):,} {what} images, {percent(least, len(split))}, are {LABELS[label]}"
        cure = "add some, or train with --balance; judge by AUC, not by accuracy"
        yield Finding("imbalance", "warning", text, cure, weight=1 - least / len(split))
