"""The training loop of a tutorial, with which ours is compared.

torch's DataLoader with Pillow and torchvision transforms; the model in float32 and in timm's memory format;
Adam; loss and accuracy read with `.item()` at every step. What changes the result of training but not its
speed (the schedule, choosing the best epoch) is left out, and benchmarks/learning.py adds it. Not to be tuned
beyond what a tutorial does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import nn

from fastffdi.bench.phases import PhaseTimer
from fastffdi.loaders.batch import Batch

LEARNING_RATE = 0.005


def build(name: str, device: torch.device) -> nn.Module:
    """A timm model with two logits and random weights."""
    import timm

    return timm.create_model(name.partition(".")[0], pretrained=False, num_classes=2).to(device)


class TutorialLoop:
    """Trains on batches of the torchvision loader.

    Args:
        model: on the device
        batches: images (N, H, W, 3) float32: views of (N, 3, H, W) tensors

    Attributes:
        optimiser: for a schedule
    """

    def __init__(self, model: nn.Module, batches: Iterator[Batch], device: torch.device) -> None:
        self._model, self._batches, self._device = model, batches, device
        self._criterion = nn.CrossEntropyLoss()
        self.optimiser = torch.optim.Adam(model.parameters(), LEARNING_RATE)

    def train(self, steps: int, timer: PhaseTimer) -> float:
        """Images/s of so many steps; `timer` gets the ends of their phases."""
        before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True  # as tutorials do
        try:
            began = time.perf_counter()
            self._model.train()
            timer.begin()
            count = sum(self._step(timer) for _ in range(steps))
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
            return count / (time.perf_counter() - began)
        finally:
            torch.backends.cudnn.benchmark = before

    def _step(self, timer: PhaseTimer) -> int:
        batch = next(self._batches)
        timer.end("data")
        images = batch.images.permute(0, 3, 1, 2).to(self._device, non_blocking=True)
        labels = torch.from_numpy(batch.labels).to(self._device, non_blocking=True)
        timer.end("copy")
        logits = self._model(images)
        timer.end("forward")
        loss = self._criterion(logits, labels)
        loss.item()
        (logits.argmax(1) == labels).float().mean().item()
        self.optimiser.zero_grad()
        loss.backward()
        timer.end("backward")
        self.optimiser.step()
        timer.end("optimiser")
        return len(batch)
