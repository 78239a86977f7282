"""What calibration does for images it has not seen, and whether the inconclusive band keeps its error rate.

    python benchmarks/calibration.py SCORES [--folds 5] [--splits 20] [--error-rate 0.05] [--json FILE]

SCORES is a table img_name,target,y_pred, such as a run's val_scores.csv. ECE and Cllr before and after, each
fold by a fit on the others; then the error rates outside of a band that was fitted on half of the images,
among the other half, over random splits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from fastffdi.cli.bench_tables import show, table
from fastffdi.cli.record import write_record
from fastffdi.evaluation import measures
from fastffdi.evaluation.calibration import METHODS, cross_fitted
from fastffdi.evaluation.decision import band
from fastffdi.evaluation.scored import Scored, read_scores

MEASURES: dict[str, Callable[..., Any]] = {"ECE": measures.ece, "Cllr": measures.cllr}


@click.command()
@click.argument("scores", type=click.Path(path_type=Path))
@click.option("--folds", default=5, show_default=True)
@click.option("--splits", default=20, show_default=True)
@click.option("--error-rate", default=0.05, show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write all figures to this file.")
def main(scores: Path, folds: int, splits: int, error_rate: float, file: Path | None) -> None:
    """Print ECE and Cllr before and after calibration, and the errors outside of the inconclusive band."""
    scored = read_scores(scores)
    results = calibrated(scored, folds)
    errors = np.array([held_out_errors(scored, error_rate, seed) for seed in range(splits)])
    rows = [[name, *(f"{value:.4f}" for value in found.values())] for name, found in results.items()]
    title = f"{len(scored):,} images, each of {folds} folds by the others"
    show(table(title, ["", *MEASURES], rows), "")
    for name, own in zip(("fakes called real", "reals called fake"), errors.T, strict=True):
        spread = f"{own.mean():.4f} ± {own.std(ddof=1):.4f}"
        print(f"{name} outside of the band: {spread} of {error_rate:g} asked for, {splits} splits")
    if file is not None:
        settings = {"folds": folds, "splits": splits, "error_rate": error_rate, "images": len(scored)}
        write_record(file, {"settings": settings, "calibration": results, "errors": errors.tolist()})


def calibrated(scored: Scored, folds: int) -> dict[str, dict[str, float]]:
    """The measures as the scores are, and after each method."""
    values = {"as it is": scored.scores} | {
        method: cross_fitted(scored.labels, scored.scores, method, folds) for method in METHODS
    }
    sets = {name: measures.whole(scored.labels, own) for name, own in values.items()}
    return {
        name: {word: float(measure(own)[0]) for word, measure in MEASURES.items()}
        for name, own in sets.items()
    }


def held_out_errors(scored: Scored, error_rate: float, seed: int) -> tuple[float, float]:
    """Of the half that a band was not fitted on: the share of fakes below it, and of reals above it."""
    first = np.random.default_rng(seed).random(len(scored)) < 0.5
    found, held = band(scored.labels[first], scored.scores[first], error_rate), scored.take(~first)
    low, high = held.scores < found.low, held.scores > found.high
    return float(low[held.labels == 1].mean()), float(high[held.labels == 0].mean())


if __name__ == "__main__":
    main()
