"""torch's stock DataLoader over a function of a path, for peers that are no loaders themselves."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
import turns
from torch.utils.data import DataLoader, Dataset


def serve(load: Callable[[str], torch.Tensor], options: argparse.Namespace) -> None:
    """Turns of batches of what `load` makes of a path: (3, H, W), normalised."""
    loader = DataLoader(
        Images(turns.again(turns.images(options.folder)), load),
        batch_size=options.batch_size,
        shuffle=True,
        num_workers=options.threads,
        drop_last=True,
        persistent_workers=True,
    )
    turns.serve(turns.forever(loader), options, ahead=2 * options.threads + 2)


class Images(Dataset[torch.Tensor]):
    """What a function makes of each path."""

    def __init__(self, paths: list[str], load: Callable[[str], torch.Tensor]) -> None:
        self.paths, self.load = paths, load

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> torch.Tensor:
        return self.load(self.paths[row])
