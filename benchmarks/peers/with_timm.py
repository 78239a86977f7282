"""timm's `create_loader` with its prefetcher, as its training script calls it where there is no GPU.

After https://github.com/huggingface/pytorch-image-models/blob/main/train.py. timm has no training transform
that resizes the whole image, so `resize` takes torchvision's in place of timm's random crop.
"""

from __future__ import annotations

import torch
import turns
from timm.data import create_dataset, create_loader
from torchvision.transforms import Resize


def main() -> None:
    options = turns.parser(__doc__, ("resize", "rrc")).parse_args()
    dataset = create_dataset("", root=str(options.folder))
    dataset.reader.samples *= -(-turns.EPOCH // len(dataset))
    loader = create_loader(
        dataset,
        input_size=(3, turns.SIZE, turns.SIZE),
        batch_size=options.batch_size,
        is_training=True,
        color_jitter=None,
        mean=turns.MEAN,
        std=turns.STD,
        num_workers=options.threads,
        device=torch.device("cpu"),
    )
    if options.recipe == "resize":
        dataset.transform.transforms[0] = Resize((turns.SIZE, turns.SIZE))
    turns.serve(turns.forever(loader), options, ahead=2 * options.threads + 3)


if __name__ == "__main__":
    main()
