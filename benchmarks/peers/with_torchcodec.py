"""TorchCodec and torchvision's transforms of tensors in torch's DataLoader.

After https://meta-pytorch.org/torchcodec/stable/generated_examples/decoding/image_decoding.html and, for the
transforms, https://docs.pytorch.org/vision/stable/transforms.html#performance-considerations: uint8 until the
end, in workers with one thread each.
"""

from __future__ import annotations

import torch
import turns
from torch.utils.data import DataLoader, Dataset
from torchcodec.decoders import decode_image
from torchvision.transforms import v2

SIZE = (turns.SIZE, turns.SIZE)


def main() -> None:
    options = turns.parser(__doc__, ("resize", "rrc")).parse_args()
    sizing = v2.Resize(SIZE) if options.recipe == "resize" else v2.RandomResizedCrop(SIZE)
    transform = v2.Compose(
        [
            sizing,
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(turns.MEAN, turns.STD),
        ]
    )
    loader = DataLoader(
        Images(turns.again(turns.images(options.folder)), transform),
        batch_size=options.batch_size,
        shuffle=True,
        num_workers=options.threads,
        drop_last=True,
        persistent_workers=True,
    )
    turns.serve(turns.forever(loader), options, ahead=2 * options.threads + 2)


class Images(Dataset[torch.Tensor]):
    """Files, decoded to (3, H, W) uint8 and transformed."""

    def __init__(self, paths: list[str], transform: v2.Compose) -> None:
        self.paths, self.transform = paths, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> torch.Tensor:
        images: torch.Tensor = self.transform(decode_image(self.paths[row], mode="RGB"))
        return images


if __name__ == "__main__":
    main()
