"""What decoding costs by file format: this library's decoder, Pillow, OpenCV and TorchCodec, on one core.

    python benchmarks/formats.py PHOTOS [--images 40] [--repeats 5] [--json FILE]

The photographs are encoded anew in every format. Decoders take turns; processor time, median of the repeats
after one that is not counted. `same` counts the images whose pixels are Pillow's. A decoder that is not
installed (TorchCodec, HEIC for Pillow: pillow-heif) is left out, and so is a format that it cannot read.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from PIL import Image

from fastffdi.bench import machine
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.cli.bench_tables import show, table
from fastffdi.cli.record import write_record
from fastffdi.render.cpu.decode import decode

Decode = Callable[[bytes], np.ndarray]

OURS, PILLOW = "fastffdi", "Pillow"

#: Name → Pillow's format and options.
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG": ("jpeg", {"quality": 90}),
    "PNG": ("png", {}),
    "WebP": ("webp", {"quality": 80}),
    "WebP, lossless": ("webp", {"lossless": True}),
    "AVIF": ("avif", {"quality": 75}),
    "HEIC": ("heif", {"quality": 75}),
}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--images", default=40, show_default=True)
@click.option("--repeats", default=5, show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write every repeat to this file.")
def main(folder: Path, images: int, repeats: int, file: Path | None) -> None:
    """Print ms per image of each format by each decoder, for the first images below FOLDER."""
    facts, originals = machine.facts(), list(opened(folder, images))
    results = [row for name in FORMATS for row in measured(name, originals, repeats)]
    rows = [
        [
            row["format"],
            row["decoder"],
            f"{row['ms']['median']:.2f}",
            f"{row['times_pillow']:.2f}×",
            f"{row['same']} of {row['images']}",
        ]
        for row in results
    ]
    headings = ["format", "decoder", "ms per image", "× Pillow", "same"]
    show(table(f"{len(originals)} images", headings, rows), machine.sentence(facts, 1))
    if file is not None:
        write_record(
            file, {"machine": facts, "settings": {"images": images, "repeats": repeats}, "results": results}
        )


def opened(folder: Path, count: int) -> Iterator[Image.Image]:
    """The first images below a folder, in RGB."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file())[:count]:
        with Image.open(path) as image:
            yield image.convert("RGB")


def measured(name: str, originals: Iterable[Image.Image], repeats: int) -> Iterator[dict[str, Any]]:
    """A row for each decoder that can read the format; none where it cannot be written."""
    form, options = FORMATS[name]
    try:
        files = [encoded(image, form, options) for image in originals]
    except (KeyError, OSError):  # Pillow without that encoder
        return
    readers = {reader: read for reader, read in decoders().items() if reads(read, files[0])}
    pixels = {reader: [read(data) for data in files] for reader, read in readers.items()}
    times: dict[str, list[float]] = {reader: [] for reader in readers}
    for _ in range(repeats):
        for reader, read in readers.items():
            times[reader].append(milliseconds(read, files))
    for reader in readers:
        pairs = zip(pixels[reader], pixels[PILLOW], strict=True)
        found, pillow = Quartiles.of(times[reader]), Quartiles.of(times[PILLOW])
        yield {
            "format": name,
            "decoder": reader,
            "ms": found.to_data(3),
            "times_pillow": round(pillow.median / found.median, 2),
            "same": sum(np.array_equal(one, other) for one, other in pairs),
            "images": len(files),
        }


def decoders() -> dict[str, Decode]:
    """Those that are installed."""
    found: dict[str, Decode] = {OURS: decode, PILLOW: by_pillow, "OpenCV": by_opencv}
    try:
        from torchcodec.decoders import decode_image
    except ImportError:
        return found
    return found | {"TorchCodec": lambda data: decode_image(data, mode="RGB").permute(1, 2, 0).numpy()}


def by_pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image.convert("RGB"))


def by_opencv(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def reads(read: Decode, data: bytes) -> bool:
    try:
        return read(data) is not None
    except Exception:  # each refuses in its own way
        return False


def encoded(image: Image.Image, form: str, options: dict[str, Any]) -> bytes:
    written = io.BytesIO()
    image.save(written, form, **options)
    return written.getvalue()


def milliseconds(read: Decode, files: list[bytes]) -> float:
    """Processor time per image."""
    began = time.process_time()
    for data in files:
        read(data)
    return (time.process_time() - began) / len(files) * 1e3


if __name__ == "__main__":
    main()
