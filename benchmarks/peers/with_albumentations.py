"""albumentations and OpenCV in torch's DataLoader.

After https://albumentations.ai/docs/examples/migrating-from-torchvision-to-albumentations, with OpenCV's own
threads off, as https://albumentations.ai/docs/3-basic-usage/performance-tuning asks for in workers.
"""

from __future__ import annotations

import albumentations as A
import cv2
import torch
import turns
import workers
from albumentations.pytorch import ToTensorV2

SIZE = (turns.SIZE, turns.SIZE)


def main() -> None:
    options = turns.parser(__doc__, ("resize", "rrc")).parse_args()
    cv2.setNumThreads(0)
    sizing = A.Resize(*SIZE) if options.recipe == "resize" else A.RandomResizedCrop(size=SIZE)
    transform = A.Compose(
        [sizing, A.HorizontalFlip(p=0.5), A.Normalize(mean=turns.MEAN, std=turns.STD), ToTensorV2()]
    )

    def load(path: str) -> torch.Tensor:
        image: torch.Tensor = transform(image=cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB))["image"]
        return image

    workers.serve(load, options)


if __name__ == "__main__":
    main()
