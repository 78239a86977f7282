"""Small inputs that each target takes, to begin with."""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from fuzz.targets import safetensors, scratch
from PIL import Image

from fastffdi.cache.store import Store
from fastffdi.data.source import Identity
from fastffdi.model.checkpoint import Checkpoint
from fastffdi.recipe.recipe import shipped_folder


def seeds(target: str) -> list[bytes]:
    """Valid inputs of a target of fuzz.targets."""
    return _SEEDS[target]()


def _images() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    image, exif = Image.fromarray(pixels), Image.Exif()
    exif[0x0112] = 6
    saved = [
        _saved(image.convert(mode), form, **options)
        for form, mode, options in (
            ("JPEG", "RGB", {"exif": exif}),
            ("JPEG", "L", {"progressive": True}),
            ("JPEG", "CMYK", {"comment": b"x"}),
            ("PNG", "RGB", {"exif": exif}),
            ("PNG", "I;16", {}),
            ("PNG", "P", {"transparency": 3}),
            ("WEBP", "RGB", {"exif": exif}),
            ("WEBP", "RGBA", {"lossless": True}),
            ("BMP", "RGB", {}),
            ("TIFF", "RGB", {"compression": "tiff_lzw"}),
            ("TIFF", "CMYK", {}),
            ("GIF", "P", {}),
            ("AVIF", "RGB", {}),
        )
    ]
    frames = [image, image.rotate(90)]
    moving = [
        _saved(frames[0], form, save_all=True, append_images=frames[1:]) for form in ("PNG", "GIF", "WEBP")
    ]
    return [*saved, *moving]


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _labels() -> list[bytes]:
    return [
        b"img_name,target\na.jpg,0\nb.png,1\nsub/c.jpg,1\n",
        b"\xef\xbb\xbfImg_Name;Target\r\na;real\r\nb;fake\r\n",
        b'target\timg_name\tmore\n1\t"a.jpg"\tx\n0.0\tset/b.png\t\n\n',
        b"img_name\n../a.jpg\n/etc/passwd\n",
    ]


def _recipes() -> list[bytes]:
    shipped = [path.read_bytes() for path in sorted(shipped_folder().glob("*.yaml"))]
    own = (
        b"train: &t [{resize: {size: [8, 9]}}, {random_apply: {transforms: [{python: 'a:b'}]}}, normalize]\n"
        b"eval: *t\nmix: {mixup: 0.2, per: batch}\ndecode: {scaled: true}\n"
    )
    return [*shipped, own, b"threads: 2\nhw_decoder_load: 0.5\nprocess: true\n"]


def _weights() -> list[bytes]:
    state = {"state_dict": {"a.weight": torch.zeros(2, 3), "a.bias": torch.zeros(2).half()}}
    zipped, legacy = io.BytesIO(), io.BytesIO()
    torch.save(state, zipped)
    torch.save(state, legacy, _use_new_zipfile_serialization=False)
    return [zipped.getvalue(), legacy.getvalue(), safetensors("{}"), pickle.dumps({"a": 1})]


def _headers() -> list[bytes]:
    steps = [{"resize": {"size": [8, 8]}}, {"normalize": {"mean": [0.5, 0.5, 0.5], "std": [1, 1, 1]}}]
    data = {"train": [{"python": "a:b"}, *steps], "eval": steps, "mix": {"mixup": 0.1}}
    described = Checkpoint("resnet18", data, (8, 8), (0.5,) * 3, (1.0,) * 3, 1, 2, {"auc": None})
    text = json.dumps({"format": 1} | asdict(described))
    return [text.encode(), safetensors(text)]


def _indices() -> list[bytes]:
    folder = scratch() / "seed" / ("1" * 32)
    store = Store.make(folder, {"steps": [{"resize": {"size": [4, 4]}}]})
    images = [np.full((4, k, 3), k, np.uint8) for k in (4, 5)]
    sizes = np.array([image.shape[:2] for image in images])
    numbers = store.reserve(np.array([b"a" * 16, b"b" * 16], "S16"), sizes)
    for number, image in zip(numbers.tolist(), images, strict=True):
        store.put(number, Identity(0, 0), image)
    return [Path(folder / name).read_bytes() for name in ("index", "meta.json")]


_SEEDS = {
    "probe": _images,
    "decode": _images,
    "check": _images,
    "labels": _labels,
    "recipe": _recipes,
    "weights": _weights,
    "header": _headers,
    "index": _indices,
}
