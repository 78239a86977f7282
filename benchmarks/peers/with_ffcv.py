"""FFCV from a file it has packed first; packing is not timed.

After https://docs.ffcv.io/making_dataloaders.html and
https://github.com/libffcv/ffcv/blob/main/examples/imagenet/train_imagenet.py; on a CPU the normalisation
comes before the tensor.

    resize  JPEGs of the original size; the largest centred square, since no decoder resizes the whole image
    rrc     JPEGs of the original size; RandomResizedCrop
    uint8   raw images of 256 × 256; not normalised

FFCV encodes the JPEGs anew when it packs: quality 90, colours at half the resolution.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import turns
from ffcv.fields import RGBImageField
from ffcv.fields.rgb_image import (
    CenterCropRGBImageDecoder,
    RandomResizedCropRGBImageDecoder,
    SimpleRGBImageDecoder,
)
from ffcv.loader import Loader, OrderOption
from ffcv.pipeline.operation import Operation
from ffcv.transforms import NormalizeImage, RandomHorizontalFlip, ToTensor, ToTorchImage
from ffcv.writer import DatasetWriter
from PIL import Image

SIZE = (turns.SIZE, turns.SIZE)


def main() -> None:
    options = turns.parser(__doc__, ("resize", "rrc", "uint8")).parse_args()
    paths = turns.images(options.folder)
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "images.beton"
        pack(paths, packed, options.recipe, options.threads)
        loader = Loader(
            str(packed),
            batch_size=options.batch_size,
            num_workers=options.threads,
            order=OrderOption.RANDOM,
            indices=np.resize(np.arange(len(paths)), turns.EPOCH),
            pipelines={"image": operations(options.recipe)},
        )
        turns.serve(turns.forever(loader), options, ahead=5)


def pack(paths: list[str], packed: Path, recipe: str, workers: int) -> None:
    raw = recipe == "uint8"
    field = RGBImageField(write_mode="raw" if raw else "jpg")
    images = Images(paths, SIZE if raw else None)
    DatasetWriter(str(packed), {"image": field}, num_workers=workers).from_indexed_dataset(images)


def operations(recipe: str) -> list[Operation]:
    if recipe == "uint8":
        return [SimpleRGBImageDecoder(), RandomHorizontalFlip(), ToTensor(), ToTorchImage()]
    crop = CenterCropRGBImageDecoder(SIZE, ratio=1) if recipe == "resize" else None
    mean, std = (255 * np.array(values) for values in (turns.MEAN, turns.STD))
    return [
        crop or RandomResizedCropRGBImageDecoder(SIZE),
        RandomHorizontalFlip(),
        NormalizeImage(mean, std, np.float32),
        ToTensor(),
        ToTorchImage(),
    ]


class Images:
    """What is packed: one field, the image; resized where a size is given."""

    def __init__(self, paths: list[str], size: tuple[int, int] | None) -> None:
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[Image.Image]:
        image = Image.open(self.paths[row]).convert("RGB")
        return (image.resize(self.size, Image.Resampling.BILINEAR) if self.size else image,)


if __name__ == "__main__":
    main()
