"""fastffdi's own loaders, the torchvision DataLoader among them.

resize, rrc  float32, normalised
uint8        resize's images as they are before they are normalised
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import cv2
import torch
import turns

from fastffdi.bench.stream import batches, endless
from fastffdi.data.named import image_files
from fastffdi.loaders.factory import build_loader
from fastffdi.loaders.planner import BatchPlanner, cached
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
    parser.add_argument("--pipeline", help="A recipe, by name or file, in place of the one of this folder.")
    options = parser.parse_args()
    stage, settings = DeviceStage(CPU, torch.float32), LoaderSettings(options.threads, options.batch_size)
    steps = load_recipe(options.pipeline or str(Path(__file__).with_name(RECIPES[options.recipe]))).train
    with tempfile.TemporaryDirectory() as folder:
        paths = turns.images(options.folder)
        files = image_files(encoded(paths, Path(folder)) if options.encoded else paths)
        planner = endless(BatchPlanner.over(files, steps, settings, shuffle=True), turns.EPOCH)
        if options.cached:
            (planner,) = cached([planner], Path(folder))
        with closing(build_loader(options.loader, planner, settings, CPU)) as loader:
            as_given = options.recipe == "uint8"
            given = (batch.images if as_given else stage(batch) for batch in batches(loader))
            turns.serve(given, options, ahead=2 * options.threads + 2)


def encoded(paths: list[str], folder: Path) -> list[str]:
    """Copies in quality 90, colours at half the resolution: OpenCV's encoder as FFCV's writer calls it."""
    copies = [str(folder / f"{k}.jpg") for k in range(len(paths))]
    for path, copy in zip(paths, copies, strict=True):
        cv2.imwrite(copy, cv2.imread(path), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return copies


if __name__ == "__main__":
    main()
