"""Data sets with planted faults."""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

#: Split ("train", "val") → rows of name, bytes (None for a file that is not there) and label.
Rows = dict[str, list[tuple[str, bytes | None, int]]]


def photo(seed: int, height: int = 64, width: int = 64, contrast: float = 1.0) -> np.ndarray:
    """An (H, W, 3) uint8 image unlike that of any other seed."""
    coarse = np.random.default_rng(seed).uniform(-60, 316, (8, 8, 3))
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return (128 + contrast * (fine - 128)).clip(0, 255).astype(np.uint8)


def encoded(image: np.ndarray | Image.Image, format: str = "JPEG", **options: object) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, format, **options)
    return file.getvalue()


def jpeg(seed: int, **options: object) -> bytes:
    """A JPEG of 64×64 unlike that of any other seed."""
    return encoded(photo(seed), **({"quality": 90} | options))


def write(folder: Path, rows: Rows) -> None:
    """Write a data set in the challenge's layout."""
    for split, images in rows.items():
        (folder / f"{split}set").mkdir(parents=True)
        lines = ["img_name,target"]
        for name, data, label in images:
            if data is not None:
                (folder / f"{split}set" / name).write_bytes(data)
            lines.append(f'"{name}",{label}')
        (folder / f"{split}set_label.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def clean(train: int = 12, val: int = 8) -> Rows:
    """Rows without a fault; row k of the training set shows `photo(k)`, of validation `photo(100 + k)`."""
    return {
        "train": [(f"{k:02d}.jpg", jpeg(k), k % 2) for k in range(train)],
        "val": [(f"v{k:02d}.jpg", jpeg(100 + k), k % 2) for k in range(val)],
    }
