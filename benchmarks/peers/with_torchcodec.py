"""TorchCodec and torchvision's transforms of tensors in torch's DataLoader.

After https://meta-pytorch.org/torchcodec/stable/generated_examples/decoding/image_decoding.html and, for the
transforms, https://docs.pytorch.org/vision/stable/transforms.html#performance-considerations: uint8 until the
end, in workers with one thread each.
"""

from __future__ import annotations

import torch
import turns
import workers
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

    def load(path: str) -> torch.Tensor:
        image: torch.Tensor = transform(decode_image(path, mode="RGB"))
        return image

    workers.serve(load, options)


if __name__ == "__main__":
    main()
