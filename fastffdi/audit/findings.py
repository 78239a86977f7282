"""What an audit says: one sentence for each kind of fault, and one what to do."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

#: Gravest first.
SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One fault.

    Attributes:
        kind: a fixed word for programs
        severity: one of SEVERITIES
        text: what was found, in one line
        advice: what to do
        rows: which images, as rows of the audit; empty where it is about all
        others: for each of `rows` the image that it is equal to; empty where there is no such
        weight: orders findings of one severity, the highest first
    """

    kind: str
    severity: str
    text: str
    advice: str
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    others: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    weight: float = 0.0


def ranked(findings: list[Finding]) -> list[Finding]:
    """Gravest first; those of equal severity and weight in the order given."""
    return sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), -one.weight))


def images(count: int, what: str = "") -> str:
    """`1 training image`, `2,000 training images`."""
    return f"{count:,} {what + ' ' if what else ''}image{'s' * (count != 1)}"


def are(count: int) -> str:
    """`is` or `are`."""
    return "is" if count == 1 else "are"


def percent(count: int, total: int) -> str:
    """`40 %`; `below 1 %` rather than 0."""
    share = 100 * count / max(total, 1)
    return f"{share:.0f} %" if share >= 1 or not count else "below 1 %"
