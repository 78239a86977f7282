"""What training reaches on the faces: the validation AUC of every epoch, for several seeds.

    OMP_NUM_THREADS=1 python benchmarks/faces.py FACES --weights FILE --json FILE

With one torch thread the figures are the same on every run; more of them add up in another order.

Every seed is one run of `fastffdi train`, as its user would start it, by the default recipe. It takes
minutes, so the record is written after each, and a seed that it holds already is not trained again.
"""

from __future__ import annotations

import csv
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import torch

from fastffdi.bench import machine
from fastffdi.cli.record import write_record
from fastffdi.data.layout import find_dataset
from fastffdi.model import checkpoint, precision
from fastffdi.model.device import choose_device
from fastffdi.recipe.recipe import default_recipe

FIGURES = ("train_loss", "val_auc", "val_accuracy", "val_log_loss")


@click.command()
@click.argument("faces", type=click.Path(path_type=Path))
@click.option(
    "--weights", type=click.Path(path_type=Path), required=True, help="ImageNet weights to start from."
)
@click.option("--json", "output", type=click.Path(path_type=Path), required=True)
@click.option("--backbone", default="tf_efficientnet_lite0", show_default=True)
@click.option("--epochs", default=3, show_default=True)
@click.option("--batch-size", default=16, show_default=True)
@click.option("--seeds", default="0,1,2", show_default=True)
def main(faces: Path, weights: Path, output: Path, seeds: str, **options: Any) -> None:
    """Train on FACES once for each seed."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    data = find_dataset(faces)
    described = data.description.removeprefix(f"{faces}: ")
    settings = {"data": described, "pipeline": default_recipe(demo=False), "weights": weights.name, **options}
    settings["torch_threads"] = torch.get_num_threads()
    settings["precision"] = precision.choose("auto", choose_device("auto")).reason
    record = started(output, settings, ["fastffdi", "train", "--data", "FACES", *words])
    for seed in (int(word) for word in seeds.split(",")):
        if seed not in (run["seed"] for run in record["results"]):
            record["results"].append(one_run(["--data", str(faces), "--weights", str(weights), *words], seed))
            write_record(output, record | summary(record["results"]))


def started(file: Path, settings: dict[str, Any], command: list[str]) -> dict[str, Any]:
    """The record so far; an empty one where the file is not there. One of other settings is refused."""
    words = " ".join([*command, "--weights", settings["weights"], "--seed", "SEED"])
    empty = {"machine": machine.facts(), "settings": settings, "command": words, "results": []}
    if not file.exists():
        return empty
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if record["settings"] != settings:
        raise click.UsageError(f"{file}: holds runs of other settings; name another file")
    return record


def one_run(words: list[str], seed: int) -> dict[str, Any]:
    """Train with `seed`: the figures of every epoch; no time, since other work may run beside it."""
    load = machine.facts()["load"]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "fastffdi", "train", *words]
        subprocess.run([*command, "--seed", str(seed), "--output", str(run)], check=True)
        with (run / "metrics.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        versions = checkpoint.read(run / "last.safetensors").versions
    epochs = [{name: float(row[name]) for name in FIGURES} for row in rows]
    best = max(epoch["val_auc"] for epoch in epochs)
    return {"seed": seed, "best_auc": best, "epochs": epochs, "load": load, "versions": versions}


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The median and the range over the seeds of the best epoch's AUC, and of the last epoch's."""
    best = [run["best_auc"] for run in results]
    last = [run["epochs"][-1]["val_auc"] for run in results]
    return {
        name: {"median": statistics.median(values), "least": min(values), "most": max(values)}
        for name, values in (("auc_of_best_epoch", best), ("auc_of_last_epoch", last))
    }


if __name__ == "__main__":
    main()
