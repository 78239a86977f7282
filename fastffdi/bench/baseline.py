"""The training loop as a tutorial writes it: what ours is compared with.

torch's DataLoader with Pillow and torchvision transforms; the model in float32 and in the memory format that
timm gives; Adam; loss and accuracy read with `.item()` at every step. What changes what is learnt but not the
speed (the schedule, the measure of the best epoch) is left out. Never tuned beyond what a tutorial does.
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
    """Trains on batches of the stock loader.

    model    on the device
    batches  images (N, H, W, 3) float32 as the stock loader gives them: views of (N, 3, H, W) tensors
    """

    def __init__(self, model: nn.Module, batches: Iterator[Batch], device: torch.device) -> None:
        self._model, self._batches, self._device = model, batches, device
        self._criterion = nn.CrossEntropyLoss()
        self._optimiser = torch.optim.Adam(model.parameters(), LEARNING_RATE)

    def train(self, steps: int, timer: PhaseTimer) -> float:
        """Images/s of so many steps; `laps` is told of their phases."""
        before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True  # as tutorials do
        try:
            began, count = time.perf_counter(), 0
            self._model.train()
            timer.begin()
            for _ in range(steps):
                count += self._step(timer)
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
        self._optimiser.zero_grad()
        loss.backward()
        timer.end("backward")
        self._optimiser.step()
        timer.end("optimiser")
        return len(batch)
