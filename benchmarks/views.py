"""What several views of each image are worth: AUC with and without each, and what they cost.

    python benchmarks/views.py CHECKPOINT FACES --json FILE

The images are the validation images of FACES. Every kind of views is scored with each pool, in turn and as
often as `--repeats` says, so that what else the machine does meets all alike. All of these passes are timed,
since pools cost the same: images/s are of the median, and the cost is how many times as long it takes as one
look at each image. The gain's interval is the 95 % one of a paired bootstrap: both AUCs by the same draws.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from fastffdi.bench import machine
from fastffdi.cli.record import write_record
from fastffdi.data.layout import find_dataset
from fastffdi.data.manifest import Manifest
from fastffdi.evaluation import bootstrap, metrics
from fastffdi.inference.predict import Predictor
from fastffdi.loaders.settings import LoaderSettings, usable_cores
from fastffdi.model import checkpoint

#: One look at each image; what everything else is held against.
ONE = "one"

WAYS = "flip,five_crop,ten_crop,tiles:2,random:5"
POOLS = ("mean", "logit")


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("faces", type=click.Path(path_type=Path))
@click.option("--json", "output", type=click.Path(path_type=Path), required=True)
@click.option("--views", default=WAYS, show_default=True)
@click.option("--batch-size", default=64, show_default=True)
@click.option("--threads", default=usable_cores(), help="Decoding threads.")
@click.option("--amp", default="auto", show_default=True)
@click.option("--repeats", default=1, show_default=True, help="Turns of each, with each pool.")
@click.option("--limit", type=int, help="About so many of the images.")
def main(
    model: Path, faces: Path, output: Path, views: str, repeats: int, limit: int | None, **how: Any
) -> None:
    """Score the validation images of FACES by MODEL in each kind of views."""
    images = find_dataset(faces).val if limit is None else find_dataset(faces).val.limit(limit, 0)
    assert images.labels is not None
    ways = [ONE, *views.split(",")]
    predictors = {(way, pool): predictor(model, way, pool, how) for pool in POOLS for way in ways}
    scores, seconds = scored(predictors, images, repeats)
    record = {
        "machine": machine.facts(),
        "settings": {"model": checkpoint.read(model).backbone, "images": len(images), "views": views, **how},
        "torch_threads": torch.get_num_threads(),
        "versions": checkpoint.versions(),
        "results": [result(way, scores, images.labels, seconds) for way in ways],
    }
    write_record(output, record)
    click.echo("\n".join(table(record["results"], len(images))))
    click.echo(machine.sentence(record["machine"], how["threads"]))


def predictor(model: Path, way: str, pool: str, how: dict[str, Any]) -> Predictor:
    """The one for a kind of views and a way to pool them."""
    loading = LoaderSettings(threads=how["threads"], batch_size=how["batch_size"])
    views = None if way == ONE else way
    return Predictor(model, amp=how["amp"], loading=loading, views=views, pool=pool)


def scored(
    predictors: dict[tuple[str, str], Predictor], images: Manifest, repeats: int
) -> tuple[dict[tuple[str, str], np.ndarray], dict[str, list[float]]]:
    """The scores by kind of views and pool, and the seconds of each turn by kind of views."""
    seconds: dict[str, list[float]] = {way: [] for way, _ in predictors}
    found = {}
    predictors[ONE, POOLS[0]](images.take(np.arange(min(8, len(images)))))  # what comes first is slower
    for _ in range(repeats):
        for (way, pool), one in predictors.items():
            began = time.perf_counter()
            found[way, pool] = one(images)
            seconds[way].append(round(time.perf_counter() - began, 3))
    return found, seconds


def result(
    way: str, scores: dict[tuple[str, str], np.ndarray], labels: np.ndarray, seconds: dict[str, list[float]]
) -> dict[str, Any]:
    """The row of a kind of views."""
    took = statistics.median(seconds[way])
    return {
        "views": way,
        "auc": {pool: metrics.auc(labels, scores[way, pool]) for pool in POOLS},
        "gain": {pool: gain(labels, scores[way, pool], scores[ONE, POOLS[0]]) for pool in POOLS},
        "seconds": seconds[way],
        "images_per_second": round(len(labels) / took, 1),
        "cost": round(took / statistics.median(seconds[ONE]), 2),
    }


def gain(labels: np.ndarray, scores: np.ndarray, one: np.ndarray) -> dict[str, Any]:
    """By how much the AUC is above that of one look, with its interval on the same resamples."""
    drawn = [bootstrap.resampled(labels, each, {"auc": bootstrap.auc})["auc"] for each in (scores, one)]
    with_views, alone = (metrics.auc(labels, each) for each in (scores, one))
    assert with_views is not None
    assert alone is not None
    return {"auc": with_views - alone, "interval": asdict(bootstrap.interval(drawn[0] - drawn[1]))}


def table(results: Sequence[dict[str, Any]], count: int) -> Iterator[str]:
    """Lines of Markdown: a row for each kind of views."""
    heads = [f"`--views`, {count} images", "AUC", "gain (95 %)", "`--pool logit`: gain", "images/s", "cost"]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for one in results:
        name = "one look" if one["views"] == ONE else f"`{one['views']}`"
        gains = [told(one["gain"][pool]) if one["views"] != ONE else "–" for pool in POOLS]
        speed = f"{one['images_per_second']:.0f}", f"{one['cost']:.1f}×"
        yield f"| {' | '.join([name, format(one['auc'][POOLS[0]], '.4f'), *gains, *speed])} |"


def told(found: dict[str, Any]) -> str:
    """`+0.0041 (−0.0010 to 0.0092)`"""
    low, high = found["interval"]["low"], found["interval"]["high"]
    return f"{found['auc']:+.4f} ({low:+.4f} to {high:+.4f})"


if __name__ == "__main__":
    main()
