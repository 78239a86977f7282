"""Whether `evaluate --bias` finds a planted shortcut, and none on the same images aligned.

    python benchmarks/bias.py FACES --weights FILE --json FILE

The images of FACES, a folder in the challenge's layout, are scaled by 7/8, so that nothing is left of the
blocks of their own compression, and saved twice: with fakes at JPEG quality 75 and reals at 95 (planted), and
all at 75 (aligned). A model is trained on each, as `fastffdi train` does it, and judged on its own validation
images. The record has both verdicts and what they rest on; the exit code is 1 where one is wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from PIL import Image

from fastffdi.bench import machine
from fastffdi.cli.record import write_record
from fastffdi.data.layout import find_dataset
from fastffdi.data.manifest import Manifest
from fastffdi.inference.degradations import Degradation
from fastffdi.loaders.settings import usable_cores
from fastffdi.render.cpu.decode import decode_path

#: The qualities of reals and of fakes.
SETS = {"planted": (95, 75), "aligned": (75, 75)}

SMALLER = Degradation("scale", 7 / 8)


@click.command()
@click.argument("faces", type=click.Path(path_type=Path))
@click.option("--json", "output", type=click.Path(path_type=Path), required=True)
@click.option("--weights", type=click.Path(path_type=Path), help="To start from.  [default: random weights]")
@click.option("--backbone", default="tf_efficientnet_lite0", show_default=True)
@click.option("--epochs", default=3, show_default=True)
@click.option("--lr", default=0.001, show_default=True)
@click.option("--batch-size", default=16, show_default=True)
@click.option("--threads", default=usable_cores(), help="Decoding threads.")
@click.option("--limit", type=int, help="Images to train on, and to validate on, of FACES.  [default: all]")
def main(faces: Path, output: Path, weights: Path | None, limit: int | None, **options: Any) -> None:
    """Train a model on each set, and look for what it learned in place of the forgery."""
    start = ("--no-pretrained",) if weights is None else ("--weights", str(weights))
    train = [*start, *(word for name, value in options.items() for word in (_option(name), str(value)))]
    record: dict[str, Any] = {"machine": machine.facts(), "options": options | {"limit": limit}}
    with tempfile.TemporaryDirectory() as kept:
        for name, qualities in SETS.items():
            folder = Path(kept) / name
            write_set(faces, folder, qualities, limit)
            record[name] = judged(folder, train, options["threads"])
            click.echo(f"{name}: {verdict(record[name])}")
    write_record(output, record)
    found = {name: verdict(record[name]) for name in SETS}
    raise SystemExit(found != {"planted": "shortcut found: JPEG quality", "aligned": "no shortcut found"})


def write_set(faces: Path, folder: Path, qualities: tuple[int, int], limit: int | None) -> None:
    """Save the images of both splits anew, each class with its quality."""
    data = find_dataset(faces)
    for split, manifest in (("train", data.train), ("val", data.val)):
        write_split(folder, split, manifest if limit is None else manifest.limit(limit, 0), qualities)


def write_split(folder: Path, split: str, manifest: Manifest, qualities: tuple[int, int]) -> None:
    """Write one split in the challenge's layout."""
    assert manifest.labels is not None
    (folder / f"{split}set").mkdir(parents=True)
    rows = ["img_name,target"]
    for k, (path, label) in enumerate(zip(manifest.paths(), manifest.labels.tolist(), strict=True)):
        image = Image.fromarray(SMALLER(decode_path(path)))
        image.save(folder / f"{split}set" / f"{k}.jpg", quality=qualities[label])
        rows.append(f"{k}.jpg,{label}")
    (folder / f"{split}set_label.txt").write_text("\n".join(rows) + "\n")


def judged(folder: Path, train: list[str], threads: int) -> dict[str, Any]:
    """What `evaluate --bias` finds of a model trained on these images."""
    run, file = folder / "run", folder / "evaluation.json"
    _fastffdi("train", "--data", str(folder), "--output", str(run), *train)
    model, words = str(run / "best.safetensors"), ("--data", str(folder), "--json", str(file))
    _fastffdi("evaluate", model, *words, "--bias", "--threads", str(threads))
    found: dict[str, Any] = json.loads(file.read_text())["models"][0]
    return {"auc": found["figures"]["auc"], "factors": found["factors"], "bias": found["bias"]}


def verdict(found: dict[str, Any]) -> str:
    """In a few words."""
    facts = [factor["fact"] for factor in found["factors"] if factor["found"]]
    return f"shortcut found: {', '.join(facts)}" if facts else "no shortcut found"


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _fastffdi(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "fastffdi", *words], check=True)


if __name__ == "__main__":
    main()
