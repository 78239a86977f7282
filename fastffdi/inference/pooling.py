"""How the scores of an image's views, and of several models, become one: on the device of the logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from fastffdi.errors import SettingError, did_you_mean

MEAN, LOGIT, TOPK = "mean", "logit", "topk"
KINDS = (MEAN, LOGIT, TOPK)


@dataclass(frozen=True)
class Pool:
    """What `--pool` asks for: the mean of P(fake), or of the logits' difference, or of the `most` highest."""

    kind: str = MEAN
    most: int = 0

    @classmethod
    def parsed(cls, text: str) -> Pool:
        """From mean, logit or topk:K. Raises SettingError."""
        kind, colon, number = text.partition(":")
        if kind not in KINDS:
            raise SettingError(
                f"--pool {text}: unknown{did_you_mean(kind, KINDS)}; give mean, logit or topk:K"
            )
        if kind != TOPK and not colon:
            return cls(kind)
        if kind != TOPK or not (number.isascii() and number.isdigit() and 1 <= int(number) <= 10_000):
            raise SettingError(f"--pool {text}: give mean, logit, or topk:K with a whole number K from 1 on")
        return cls(kind, int(number))

    def __str__(self) -> str:
        return f"{self.kind}:{self.most}" if self.kind == TOPK else self.kind

    def check(self, views: int) -> None:
        """Raise SettingError where an image has fewer views than are to be pooled."""
        if self.most > views:
            raise SettingError(
                f"--pool {self}: an image has {views} {'view' if views == 1 else 'views'}; "
                "give a lower number, or more --views or --scales"
            )

    def values(self, logits: torch.Tensor) -> torch.Tensor:
        """What is pooled, (N,) float32, of the logits (N, 2) of as many views."""
        logits = logits.float()
        return logits[:, 1] - logits[:, 0] if self.kind == LOGIT else logits.softmax(dim=1)[:, 1]

    def views(self, values: torch.Tensor) -> torch.Tensor:
        """(N,) of each image, of the values (N, V) of its views."""
        return (values.topk(self.most, dim=1).values if self.kind == TOPK else values).mean(dim=1)

    def models(self, values: torch.Tensor) -> torch.Tensor:
        """(N,) P(fake), of each model's values (M, N): their mean."""
        pooled = values.mean(dim=0)
        return pooled.sigmoid() if self.kind == LOGIT else pooled


#: The mean of P(fake).
POOL = Pool()
