"""What stands in a batch for an image that could not be decoded."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fastffdi.loaders.corrupt import Corrupt

#: Of a batch without any valid image.
GREY = 128


def donor(n: int, places: Sequence[int]) -> int | None:
    """The first of n images that is at none of the places; None where there is none."""
    taken = set(places)
    return next((i for i in range(n) if i not in taken), None)


def fill(images: torch.Tensor, corrupt: Sequence[Corrupt]) -> None:
    """Put copies of the first valid image in the places of those that are corrupt; images (N, …) on the CPU.

    Copies, since means and variances over the batch are then those of images. Grey where none is valid.
    """
    if not corrupt:
        return
    places = [place for place, _ in corrupt]
    valid = donor(len(images), places)
    pixels = images.numpy()  # torch would not write to tensors made in inference mode
    for place in places:
        pixels[place] = GREY if valid is None else pixels[valid]
