"""The rows of the table: who is measured on what, and who is compared with whom."""

from __future__ import annotations

from dataclasses import dataclass

RECIPES = {
    "resize": "whole image to 256 × 256, flip, normalise; float32",
    "rrc": "random resized crop to 256 × 256, flip, normalise; float32",
    "uint8": "whole image to 256 × 256, flip; uint8",
}

CPU, DALI = "fastffdi cpu", "fastffdi dali"
CACHED, ENCODED = "fastffdi cpu, cached", "fastffdi cpu, FFCV's JPEGs"


@dataclass(frozen=True)
class Row:
    """A script of this folder on a recipe.

    Attributes:
        how: what it does otherwise than the others, or by what means
        arguments: for the script, besides those that all have
        peer: what must be installed, as install.PEERS names it; None where fastffdi's environment has it
        against: names of rows of the same recipe, fastffdi's own: how many times as fast they are
    """

    recipe: str
    name: str
    script: str
    how: str
    arguments: tuple[str, ...] = ()
    peer: str | None = None
    against: tuple[str, ...] = (CPU,)


_DALI = ("--loader", "dali")
_STOCK = ("--loader", "torchvision")
_OURS = "with_fastffdi.py"

ROWS = (
    Row("resize", "torchvision DataLoader", _OURS, "Pillow; antialiased bilinear", _STOCK),
    Row("resize", "timm create_loader", "with_timm.py", "Pillow; antialiased bilinear"),
    Row(
        "resize",
        "albumentations, OpenCV",
        "with_albumentations.py",
        "in a DataLoader; bilinear, not antialiased",
        peer="albumentations",
    ),
    Row(
        "resize",
        "TorchCodec",
        "with_torchcodec.py",
        "in a DataLoader; antialiased bilinear",
        peer="torchcodec",
    ),
    Row("resize", "SPDL", "with_spdl.py", "FFmpeg; antialiased bicubic", peer="spdl"),
    Row("resize", "DALI example", "with_dali.py", "on the CPU; antialiased bilinear", against=(CPU, DALI)),
    Row("resize", "FFCV", "with_ffcv.py", "packed as JPEG; the largest square only, by area", peer="ffcv"),
    Row("resize", CPU, _OURS, "antialiased bilinear", against=()),
    Row("resize", DALI, _OURS, "on the CPU; antialiased bilinear", _DALI, against=()),
    Row("rrc", "torchvision DataLoader", _OURS, "Pillow; antialiased bilinear", _STOCK),
    Row(
        "rrc",
        "DALI example",
        "with_dali.py",
        "on the CPU; decodes no more than the crop; antialiased bilinear",
        against=(CPU, DALI),
    ),
    Row(
        "rrc",
        "TorchCodec",
        "with_torchcodec.py",
        "in a DataLoader; antialiased bilinear",
        peer="torchcodec",
    ),
    Row("rrc", "FFCV", "with_ffcv.py", "packed as JPEG; by area", peer="ffcv", against=(CPU, ENCODED)),
    Row("rrc", CPU, _OURS, "antialiased bilinear", against=()),
    Row("rrc", ENCODED, _OURS, "files encoded as FFCV's; antialiased bilinear", ("--encoded",), against=()),
    Row("rrc", DALI, _OURS, "on the CPU; antialiased bilinear", _DALI, against=()),
    Row("uint8", "FFCV", "with_ffcv.py", "packed raw at 256 × 256", peer="ffcv", against=(CPU, CACHED)),
    Row("uint8", CPU, _OURS, "from the JPEG files", against=()),
    Row("uint8", CACHED, _OURS, "kept at 256 × 256", ("--cached",), against=()),
)
