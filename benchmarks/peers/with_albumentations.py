"""albumentations and OpenCV in torch's DataLoader.

After https://albumentations.ai/docs/examples/migrating-from-torchvision-to-albumentations, with OpenCV's own
threads off, as https://albumentations.ai/docs/3-basic-usage/performance-tuning asks for in workers.
"""

from __future__ import annotations

import albumentations as A
import cv2
import torch
import turns
from albumentations.pytorch import ToTensorV2
from torch.utils.data import DataLoader, Dataset

SIZE = (turns.SIZE, turns.SIZE)


def main() -> None:
    options = turns.parser(__doc__, ("resize", "rrc")).parse_args()
    cv2.setNumThreads(0)
    sizing = A.Resize(*SIZE) if options.recipe == "resize" else A.RandomResizedCrop(size=SIZE)
    transform = A.Compose(
        [sizing, A.HorizontalFlip(p=0.5), A.Normalize(mean=turns.MEAN, std=turns.STD), ToTensorV2()]
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
    """Files, opened with OpenCV and transformed."""

    def __init__(self, paths: list[str], transform: A.Compose) -> None:
        self.paths, self.transform = paths, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> torch.Tensor:
        image = cv2.cvtColor(cv2.imread(self.paths[row]), cv2.COLOR_BGR2RGB)
        return self.transform(image=image)["image"]


if __name__ == "__main__":
    main()
