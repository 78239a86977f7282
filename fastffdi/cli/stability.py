"""predict --stability: columns that say whether an answer stays when the image is degraded a little."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click
import numpy as np

if TYPE_CHECKING:
    from fastffdi.data.manifest import Manifest
    from fastffdi.evaluation.decision import Decision
    from fastffdi.inference.predict import Predictor

stability = click.option(
    "--stability",
    is_flag=True,
    help="Also score eight mild degradations of each image (JPEG, WebP, blur, scaling, a crop), by the cpu "
    "loader: adds spread (highest less lowest score), flips (of the verdict) and reason; with --decide, an "
    "image with flips is inconclusive.  [default: off]",
)


def passes() -> int:
    """How often each image is scored with --stability, the plain one included."""
    from fastffdi.inference.degradations import MILD

    return 1 + len(MILD)


def columns(
    predictor: Predictor,
    manifest: Manifest,
    scores: np.ndarray,
    decide: bool,
    progress: Callable[[int], None] | None = None,
) -> dict[str, np.ndarray]:
    """The columns of these images, of which `scores` (N,) are those as they are: (N,) words and numbers.

    Verdicts are by the stored decision; where there is none, fake from 0.5 on.
    """
    from fastffdi.evaluation.decision import Decision
    from fastffdi.evaluation.stability import Stability
    from fastffdi.inference.degradations import MILD

    decision = predictor.decision or Decision(0.5, "0.5", 0)
    found = Stability.of(scores, predictor.degraded(manifest, MILD, progress), decision)
    decided = {"decision": found.decisions} if decide else {}
    reasons = found.reasons([str(one) for one in MILD])
    return {**decided, "spread": found.spread, "flips": found.flips, "reason": reasons}


def told(flips: np.ndarray, decision: Decision | None) -> str:
    """How many verdicts flip, and by which threshold they were found."""
    unstable = int((flips > 0).sum())
    by = "0.5, as the checkpoint holds none" if decision is None else f"{decision.threshold:.4g}, as stored"
    return f"verdicts that a mild degradation flips: {unstable:,} of {len(flips):,}; threshold {by}"
