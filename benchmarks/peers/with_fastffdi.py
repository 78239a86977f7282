"""fastffdi's own loaders, torchvision's DataLoader among them.

resize, rrc  float32, normalised
uint8        resize's images as they are before they are normalised
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import cv2
import torch
import turns

from fastffdi.bench.loader import EPOCH
from fastffdi.bench.stream import batches, endless
from fastffdi.data.layout import image_files
from fastffdi.loaders import factory
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model.backbone import load_recipe
from fastffdi.render.device.stage import DeviceStage

CPU = torch.device("cpu")
RECIPES = {"resize": "resize.yaml", "rrc": "rrc.yaml", "uint8": "resize.yaml"}


def main() -> None:
    parser = turns.parser(__doc__, RECIPES)
    parser.add_argument("--loader", default="cpu")
    parser.add_argument("--cached", action="store_true", help="Images from a cache, filled at first.")
    parser.add_argument("--encoded", action="store_true", help="From JPEG files encoded as FFCV packs them.")
    parser.add_argument("--pipeline", help="A recipe, by name or file, instead of the one of this folder.")
    options = parser.parse_args()
    stage = None if options.recipe == "uint8" else DeviceStage(CPU, torch.float32)
    recipe = load_recipe(options.pipeline or str(Path(__file__).with_name(RECIPES[options.recipe])))
    settings = LoaderSettings(options.threads, options.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        paths = turns.images(options.folder)
        manifest = image_files(encoded(paths, Path(folder)) if options.encoded else paths)
        planner = endless(BatchPlanner.over(manifest, recipe.train, settings, shuffle=True), EPOCH)
        if options.cached:
            planner = planner.cached(planner.cache_plan(Path(folder)))
        with contextlib.closing(factory.build_loader(options.loader, planner, settings, CPU)) as loader:
            images = (stage(batch) if stage else batch.images for batch in batches(loader))
            turns.serve(images, options, ahead=2 * options.threads + 2)


def encoded(paths: list[str], folder: Path) -> list[str]:
    """Copies in quality 90, colours at half the resolution: OpenCV's encoder as FFCV's writer calls it."""
    copies = [str(folder / f"{k}.jpg") for k in range(len(paths))]
    for path, copy in zip(paths, copies, strict=True):
        cv2.imwrite(copy, cv2.imread(path), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return copies


if __name__ == "__main__":
    main()
