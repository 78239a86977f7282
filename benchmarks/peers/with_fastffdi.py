"""fastffdi's own loaders, the stock torchvision DataLoader among them.

resize, rrc  float32, normalised
uint8        resize's images as they are before they are normalised
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import torch
import turns

from fastffdi.bench.stream import endless
from fastffdi.cache.plan import cached
from fastffdi.data.layout import image_files
from fastffdi.loaders import factory
from fastffdi.loaders.batch import Loader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe import recipe
from fastffdi.render.device.stage import DeviceStage

CPU = torch.device("cpu")
RECIPES = {"resize": "resize.yaml", "rrc": "rrc.yaml", "uint8": "resize.yaml"}


def main() -> None:
    parser = turns.parser(__doc__, RECIPES)
    parser.add_argument("--loader", default="cpu")
    parser.add_argument("--cached", action="store_true", help="Images from a cache, filled at first.")
    parser.add_argument("--encoded", action="store_true", help="From JPEG files encoded as FFCV packs them.")
    parser.add_argument("--pipeline", help="A recipe, by name or file, in place of the one of this folder.")
    options = parser.parse_args()
    stage = None if options.recipe == "uint8" else DeviceStage(CPU, torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        paths = turns.images(options.folder)
        planner = images(encoded(paths, Path(folder)) if options.encoded else paths, options)
        if options.cached:
            (planner,) = cached([planner], Path(folder), options.threads)
        loader = factory.build_loader(options.loader, planner, LoaderSettings(options.threads), CPU)
        with contextlib.closing(loader):
            turns.serve(batches(loader, stage), options, ahead=2 * options.threads + 2)


def encoded(paths: list[str], folder: Path) -> list[str]:
    """Copies in quality 90, colours at half the resolution: OpenCV's encoder as FFCV's writer calls it."""
    copies = [str(folder / f"{k}.jpg") for k in range(len(paths))]
    for path, copy in zip(paths, copies, strict=True):
        cv2.imwrite(copy, cv2.imread(path), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return copies


def images(paths: list[str], options: argparse.Namespace) -> BatchPlanner:
    """The files again and again, shuffled."""
    pipeline = options.pipeline or str(Path(__file__).with_name(RECIPES[options.recipe]))
    steps = recipe.load(pipeline).resolve((turns.SIZE, turns.SIZE), turns.MEAN, turns.STD).train
    planner = BatchPlanner.over(image_files(paths), steps, options.batch_size, options.threads, shuffle=True)
    return endless(planner, turns.EPOCH)


def batches(loader: Loader, stage: DeviceStage | None) -> Iterator[torch.Tensor]:
    for epoch in itertools.count():
        for batch in loader.epoch(epoch):
            yield stage(batch.images, batch.program, batch.done) if stage else batch.images


if __name__ == "__main__":
    main()
