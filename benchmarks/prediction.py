"""Scoring images: the tutorial's loop, `fastffdi.Predictor`, and the Predictor with ten views of each image.

    python benchmarks/prediction.py DIR [--backbone NAME] [--images 256] [--turns 5] [--json FILE]

The tutorial's loop: torch's DataLoader with as many workers as cores, Pillow and torchvision transforms, the
model in float32 and in timm's memory format, softmax, scores to the CPU at every batch. The Predictor has the
same images, weights, batch size and cores, and what it chooses by itself. The recipe is `tutorial`: images of
256 × 256. They take turns; a turn is all images, with the start of the loader, without that of the model.
Weights are random, which costs as much as trained ones.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import click
import numpy as np
import torch

from fastffdi.bench import baseline, machine
from fastffdi.bench.stopwatch import Quartiles, median_ratio, speed_data
from fastffdi.cli.bench_tables import show, speed, table
from fastffdi.cli.record import write_record
from fastffdi.data.layout import plain_folder
from fastffdi.data.manifest import Manifest
from fastffdi.inference.predict import Predictor
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings, usable_cores
from fastffdi.loaders.torchvision import TorchvisionLoader
from fastffdi.model import backbone, checkpoint, precision
from fastffdi.recipe.recipe import Recipe

SIZE, MEAN, STD = (256, 256), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

CPU = torch.device("cpu")

#: Scores of the images of a manifest (N,).
Scores = Callable[[Manifest], np.ndarray]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--backbone", "name", default="efficientnet_b0", show_default=True)
@click.option("--images", default=256, show_default=True, help="At most so many of the folder's.")
@click.option("--batch-size", default=32, show_default=True)
@click.option("--turns", default=5, show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write every figure to this file.")
def main(folder: Path, name: str, images: int, batch_size: int, turns: int, file: Path | None) -> None:
    """Print images/s of each on the images in FOLDER, and the ratios."""
    found = plain_folder(folder)
    manifest = found.take(np.arange(min(images, len(found))))
    loading = LoaderSettings(threads=usable_cores(), batch_size=batch_size)
    facts, rates = machine.facts(), measured(contenders(name, loading), manifest, turns)
    of_tutorial = {way: median_ratio(each, rates["tutorial"]) for way, each in rates.items()}
    cost = median_ratio(rates["one view"], rates["ten_crop"])
    title = f"{name}, {len(manifest)} images, batches of {batch_size}, {turns} turns"
    rows = [[way, *speed(Quartiles.of(each), 1), f"{of_tutorial[way]:.2f}"] for way, each in rates.items()]
    show(
        table(title, ["", "images/s", "quartiles", "× tutorial"], rows),
        f"ten views cost {cost:.2f} times what one does",
        f"{machine.sentence(facts, loading.threads)} {precision.choose('auto', CPU).reason}.",
    )
    if file is not None:
        settings = {"backbone": name, "images": len(manifest), "batch_size": batch_size, "turns": turns}
        results = {
            way: speed_data(each) | {"times_tutorial": round(of_tutorial[way], 3)}
            for way, each in rates.items()
        }
        record = {
            "machine": facts,
            "settings": settings,
            "results": results,
            "ten_views_cost": round(cost, 3),
        }
        write_record(file, record)


def contenders(name: str, loading: LoaderSettings) -> dict[str, Scores]:
    """Each way to score, by its name; all with the same weights."""
    recipe = backbone.load_recipe("tutorial")
    model = baseline.build(name, CPU).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        described = checkpoint.Checkpoint(name, recipe.to_data(), SIZE, MEAN, STD, epoch=0, seed=0)
        checkpoint.save(described, model, path)
        one, ten = (
            Predictor(path, device="cpu", loading=loading, views=views) for views in (None, "ten_crop")
        )
    return {"tutorial": Tutorial(model, recipe, loading), "one view": one, "ten_crop": ten}


class Tutorial:
    """The loop that a tutorial predicts by."""

    def __init__(self, model: torch.nn.Module, recipe: Recipe, loading: LoaderSettings) -> None:
        self._model, self._recipe, self._loading = model, recipe, loading

    @torch.no_grad()
    def __call__(self, images: Manifest) -> np.ndarray:
        planner = BatchPlanner.of_split(self._recipe, "eval", images, self._loading)
        scores: list[float] = []
        with closing(TorchvisionLoader(planner, self._loading, CPU)) as loader:
            for batch in loader.epoch(0):
                logits = self._model(batch.images.permute(0, 3, 1, 2))
                scores.extend(logits.softmax(dim=1)[:, 1].cpu().numpy().tolist())
        return np.array(scores)


def measured(ways: dict[str, Scores], images: Manifest, turns: int) -> dict[str, list[float]]:
    """Images/s of each way in each turn, after one of a few images that is not counted."""
    few = images.take(np.arange(min(len(images), 16)))
    for score in ways.values():
        score(few)
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(turns):
        for way, score in ways.items():
            began = time.perf_counter()
            score(images)
            rates[way].append(len(images) / (time.perf_counter() - began))
    return rates


if __name__ == "__main__":
    main()
