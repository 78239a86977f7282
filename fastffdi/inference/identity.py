"""What two predictions must have in common for one to go on with the scores of the other."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastffdi.data.manifest import Manifest
from fastffdi.loaders.settings import LoaderSettings

_CHUNK_BYTES = 2**20


def images_in_words(manifest: Manifest) -> str:
    """How many images, and a digest of where they are and what they are called."""
    columns = [manifest.names] if manifest.files is None else [manifest.names, manifest.files]
    digest = hashlib.sha256(manifest.root.encode("utf-8", "surrogatepass"))
    for column in columns:
        # File names that are not UTF-8 have surrogates.
        digest.update(b"\0\0" + "\0".join(column.tolist()).encode("utf-8", "surrogatepass"))
    return f"{len(manifest)} images ({digest.hexdigest()[:12]})"


def file_digest(path: Path) -> str:
    """Of all of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()[:16]


def settings_in_words(loading: LoaderSettings) -> dict[str, Any]:
    """The settings that decide pixel values, or how many images a model is given at once."""
    return {
        "--batch-size": loading.batch_size,
        "--max-megapixels": loading.max_megapixels,
        "hw_decoder_load": loading.hw_decoder_load,
        "jpeg_fancy_upsampling": loading.jpeg_fancy_upsampling,
        "torch": version("torch"),
        "fastffdi": version("fastffdi"),
    }
