"""What the tutorial's loop and `fastffdi train` learn in as many epochs of the same images, seed by seed.

    OMP_NUM_THREADS=1 python benchmarks/learning.py FACES --weights FILE --json FILE

The tutorial's loop: Adam at 0.005, StepLR(4, 0.85), float32, a contiguous model, both flips, ImageNet's mean
and std, torch's DataLoader. Ours is a run of the command by the default recipe, with a moving average: it
leaves the training as it is, so that one run tells the AUC without it (raw) and with it (ema; kept is the
better of the two in each epoch). Both loops have the same weights, batch size and number of threads.

With one torch thread the figures of ours are the same on every run; more of them add up in another order.
A run takes minutes, so the record is written after each, and a run that it holds already is not repeated.
"""

from __future__ import annotations

import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from fastffdi.bench import machine
from fastffdi.bench.baseline import LEARNING_RATE, TutorialLoop
from fastffdi.bench.phases import PhaseTimer
from fastffdi.cli.record import write_record
from fastffdi.evaluation import metrics
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings, usable_cores
from fastffdi.loaders.torchvision import TorchvisionLoader
from fastffdi.model import backbone, checkpoint, precision
from fastffdi.model.device import choose_device
from fastffdi.recipe.recipe import default_recipe
from fastffdi.training.settings import Settings

TUTORIAL, OURS = "tutorial", "ours"

#: torch's StepLR, stepped after each epoch.
STEP, GAMMA = 4, 0.85

CPU = torch.device("cpu")

#: The rows of the table: a loop, the AUC of its epochs, and what it is.
ROWS = {
    "tutorial": (TUTORIAL, "val_auc", "the tutorial's loop"),
    "raw": (OURS, "val_auc_raw", "fastffdi train"),
    "ema": (OURS, "val_auc_ema", "the moving average of its weights"),
    "kept": (OURS, "val_auc", "the better of these two"),
}

#: What is taken from metrics.csv.
FIGURES = ("train_loss", "val_auc", "val_auc_raw", "val_auc_ema", "val_accuracy", "val_log_loss")


@click.command()
@click.argument("faces", type=click.Path(path_type=Path))
@click.option(
    "--weights", type=click.Path(path_type=Path), required=True, help="ImageNet weights to start from."
)
@click.option("--json", "output", type=click.Path(path_type=Path), required=True)
@click.option("--backbone", default="tf_efficientnet_lite0", show_default=True)
@click.option("--epochs", default=3, show_default=True)
@click.option("--batch-size", default=16, show_default=True)
@click.option("--threads", default=usable_cores(), help="Decoding threads, or worker processes.")
@click.option("--ema", default=0.99, show_default=True, help="Decay of the moving average.")
@click.option("--limit", type=int, help="As train has it.")
@click.option("--seeds", default="0,1,2", show_default=True)
def main(faces: Path, weights: Path, output: Path, seeds: str, **options: Any) -> None:
    """Train on FACES with each loop once for each seed."""
    record = started(output, described(faces, weights, options))
    for seed in (int(word) for word in seeds.split(",")):
        for loop, run in ((TUTORIAL, tutorial_run), (OURS, our_run)):
            if (loop, seed) not in ((held["loop"], held["seed"]) for held in record["results"]):
                before = {"loop": loop, "seed": seed, "load": machine.facts()["load"]}
                record["results"].append(before | run(faces, weights, seed, options))
                record["summary"] = summary(record["results"])
                write_record(output, record)
    click.echo("\n".join(table(record)))
    click.echo(machine.sentence(record["machine"], options["threads"]))


def described(faces: Path, weights: Path, options: dict[str, Any]) -> dict[str, Any]:
    """What all runs of a record have in common."""
    data = Settings(data=faces, limit=options["limit"]).dataset()
    return {
        "data": data.description.removeprefix(f"{faces}: "),
        "weights": weights.name,
        **options,
        "tutorial": f"Adam {LEARNING_RATE}, StepLR({STEP}, {GAMMA}), float32, recipe tutorial",
        "pipeline": default_recipe(demo=False),
        "precision": precision.choose("auto", choose_device("auto")).reason,
        "torch_threads": torch.get_num_threads(),
    }


def started(file: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The record so far; an empty one where the file is not there. One of other settings is refused."""
    words = " ".join(command(Path("FACES"), Path(settings["weights"]), "SEED", settings)[2:])
    empty = {"machine": machine.facts(), "settings": settings, "command": words, "results": []}
    if not file.exists():
        return empty
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if record["settings"] != settings:
        raise click.UsageError(f"{file}: holds runs of other settings; name another file")
    return record


def command(faces: Path, weights: Path, seed: int | str, options: dict[str, Any]) -> list[str]:
    """Our run, as its user would start it."""
    given = {"data": faces, "weights": weights, "seed": seed}
    given |= {name: options[name] for name in ("backbone", "epochs", "batch_size", "threads", "ema")}
    given |= {"limit": options["limit"]} if options["limit"] else {}
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return [sys.executable, "-m", "fastffdi", "train", *words]


def our_run(faces: Path, weights: Path, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    """The figures of every epoch, and the seconds of the whole process."""
    with tempfile.TemporaryDirectory() as folder:
        run, began = Path(folder) / "run", time.perf_counter()
        subprocess.run([*command(faces, weights, seed, options), "--output", str(run)], check=True)
        seconds = time.perf_counter() - began
        with (run / "metrics.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        versions = checkpoint.read(run / "last.safetensors").versions
    images = len(Settings(data=faces, limit=options["limit"]).dataset().train)
    epochs = [
        {name: float(row[name]) for name in FIGURES}
        | {"train_seconds": round(images / float(row["images_per_second"]), 1)}
        for row in rows
    ]
    return {"seconds": round(seconds, 1), "epochs": epochs, "versions": versions}


def tutorial_run(faces: Path, weights: Path, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    """The figures of every epoch, and the seconds without the start of a process."""
    began = time.perf_counter()
    dataset = Settings(data=faces, limit=options["limit"], seed=seed).dataset()
    recipe = backbone.load_recipe("tutorial")  # without a backbone: with ImageNet's mean and std
    loading = LoaderSettings(threads=options["threads"], batch_size=options["batch_size"])
    torch.manual_seed(seed)
    model = backbone.build(options["backbone"], pretrained=False, weights=weights)
    model = model.to(memory_format=torch.contiguous_format)
    train, val = (
        TorchvisionLoader(BatchPlanner.of_split(recipe, split, images, loading, seed=seed), loading, CPU)
        for split, images in (("train", dataset.train), ("eval", dataset.val))
    )
    with closing(train), closing(val):
        epochs = list(tutorial_epochs(model, train, val, options["epochs"]))
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "epochs": epochs,
        "versions": checkpoint.versions(),
    }


def tutorial_epochs(
    model: torch.nn.Module, train: TorchvisionLoader, val: TorchvisionLoader, epochs: int
) -> Iterator[dict[str, float | None]]:
    """Train, and judge after each epoch."""
    loop = TutorialLoop(model, (batch for epoch in range(epochs) for batch in train.epoch(epoch)), CPU)
    schedule = torch.optim.lr_scheduler.StepLR(loop.optimiser, STEP, GAMMA)
    for _ in range(epochs):
        rate = loop.train(len(train), PhaseTimer(CPU))
        schedule.step()
        yield judged(model, val.epoch(0)) | {"train_seconds": round(train.planner.images / rate, 1)}


@torch.inference_mode()
def judged(model: torch.nn.Module, batches: Iterator[Batch]) -> dict[str, float | None]:
    """AUC, accuracy and log-loss of the model on the batches."""
    model.eval()
    found = [(batch.labels, model(batch.images.permute(0, 3, 1, 2)).softmax(1)[:, 1]) for batch in batches]
    labels = np.concatenate([one for one, _ in found])
    scores = torch.cat([one for _, one in found]).double().numpy()
    figures = metrics.summary(labels, scores)
    return {f"val_{name}": figures[name] for name in ("auc", "accuracy", "log_loss")}


def summary(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By row of the table: mean, least and most AUC over the seeds after each epoch, and mean seconds."""
    return {
        name: {
            "auc": [spread([epoch[column] for epoch in epochs]) for epochs in zip(*runs, strict=True)],
            "seconds_per_epoch": round(
                statistics.mean(epoch["train_seconds"] for run in runs for epoch in run), 1
            ),
        }
        for name, (loop, column, _) in ROWS.items()
        if (runs := [run["epochs"] for run in results if run["loop"] == loop])
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, least and most."""
    return {"mean": round(statistics.mean(values), 6), "least": min(values), "most": max(values)}


def table(record: dict[str, Any]) -> Iterator[str]:
    """Lines of Markdown: a row for each way to train. How fast it is, bench-train and the speedrun tell."""
    epochs = range(1, record["settings"]["epochs"] + 1)
    heads = [f"{record['settings']['backbone']}, AUC after epoch", *map(str, epochs)]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for name, found in record["summary"].items():
        aucs = [f"{one['mean']:.3f} ({one['least']:.3f}–{one['most']:.3f})" for one in found["auc"]]
        yield f"| {' | '.join([ROWS[name][2], *aucs])} |"


if __name__ == "__main__":
    main()
