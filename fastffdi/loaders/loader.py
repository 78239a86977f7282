"""The loader that a training loop iterates over: images and labels on the device, ready for the model."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from fastffdi.data.manifest import Manifest
from fastffdi.errors import RunError, SettingError
from fastffdi.loaders import factory
from fastffdi.loaders.batch import Backend, Batch
from fastffdi.loaders.mix import Mixer
from fastffdi.loaders.planner import BatchPlanner, cached
from fastffdi.loaders.quarantine import FAIL, Quarantine, skips
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model.device import choose_device
from fastffdi.recipe.decode import Decode
from fastffdi.recipe.mix import Mix
from fastffdi.recipe.recipe import DECODE
from fastffdi.recipe.steps.base import Step
from fastffdi.render.cpu.decode import SourceDecoder
from fastffdi.render.device.stage import DeviceStage
from fastffdi.render.device.tensors import to_device

L = TypeVar("L", bound="DeviceLoader")

#: The label of a placeholder: what torch.nn.functional.cross_entropy leaves out by default.
IGNORED = -100


class Prepared(NamedTuple):
    """A batch on the device; N counts every view of its images.

    Attributes:
        images: (N, 3, H, W) channels-last, normalised, in the stage's dtype
        labels: (N,) int64, or (N, 2) float32 real and fake mass where a mixer is there
        valid: (N,) float32: 0 where an image is a placeholder, else 1
    """

    images: torch.Tensor
    labels: torch.Tensor
    valid: torch.Tensor


class DeviceLoader:
    """A backend, the DeviceStage and the Mixer behind one iterable; one iteration is one epoch.

    Args:
        backend: decodes and renders; closed with this loader
        stage: does on the device what the backend has left
        mixer: mixes the batches; None where nothing is mixed
        quarantine: takes note of images that are skipped; None where none are

    Attributes:
        corrupt: the rows of the images skipped in the present epoch
    """

    def __init__(
        self,
        backend: Backend,
        stage: DeviceStage,
        mixer: Mixer | None = None,
        quarantine: Quarantine | None = None,
    ) -> None:
        self.backend, self.stage, self.mixer, self.quarantine = backend, stage, mixer, quarantine
        self.corrupt: set[int] = set()
        self._epoch, self._consumed = 0, 0  # where the present iteration is, or the next one begins
        self._iteration: object | None = None  # the one that is under way
        self._begun: tuple[int, Iterator[Batch]] | None = None
        self._close = weakref.finalize(self, backend.close)

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        return len(self.backend)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The next epoch's batches, or the rest of the epoch that `load_state_dict` has restored.

        Raises UndecodableImage, and RunError where another iteration has begun meanwhile.
        """
        # All of it at the first batch: an iteration of which none is taken, as Lightning begins one, is none.
        if self._iteration is not None:
            self._begin(self._epoch + 1)
        iteration = self._iteration = object()
        for batch in self.backend.epoch(self._epoch, self.batches_in(self._consumed)):
            self._consumed += len(batch)
            # Without a name here, which would keep its memory from being used again.
            yield _ignoring_invalid(self.prepared(batch)) if batch.corrupt else self.prepared(batch)[:2]
            if self._iteration is not iteration:
                raise RunError("loader: another iteration has begun meanwhile; build a loader for each")
        self._begin(self._epoch + 1)

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be this epoch, counted from 0; without it, they follow one another.

        Of the epoch that `load_state_dict` has restored, only the rest comes.
        """
        if self._iteration is not None or epoch != self._epoch:
            self._begin(epoch)

    def state_dict(self) -> dict[str, int]:
        """The place in the data, between two batches: plain integers, for a checkpoint.

        A batch counts as consumed as soon as the loop has got it.
        """
        return {"epoch": self._epoch, "consumed": self._consumed, **self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration go on where `state_dict` was taken: the same batches, bit for bit.

        Raises SettingError for a state of other images, of another seed or batch size.
        """
        for name, own in self._identity().items():
            if state.get(name) != own:
                raise SettingError(
                    f"loader state: {name} is {state.get(name)} and the loader's {own}; build the loader "
                    "as the one whose state it is"
                )
        self._begin(int(state["epoch"]), int(state["consumed"]))

    def begin(self, epoch: int) -> None:
        """Let the backend render the first batches of an epoch, which `batches` gives later."""
        # It may be asked to while another loader's images are scored, whose tensors are for inference only.
        with torch.inference_mode(False):
            self._begun = epoch, self.backend.epoch(epoch)

    def batches(self, epoch: int, images: int = 0) -> Iterator[Batch]:
        """The backend's batches of an epoch, for `prepared`, without those of its first `images` images.

        They are those of the epoch that has begun, or are rendered from now on.
        """
        self.corrupt.clear()
        begun, self._begun = self._begun, None
        if images:
            return self.backend.epoch(epoch, self.batches_in(images))
        return begun[1] if begun is not None and begun[0] == epoch else self.backend.epoch(epoch)

    def batches_in(self, images: int) -> int:
        """How many batches the first `images` images of an epoch make."""
        return -(-images // self.backend.planner.batch_size) if images else 0

    def prepared(self, batch: Batch) -> Prepared:
        """A batch of the backend's, on the device and ready for the model.

        Raises RunError where too many images have been skipped.
        """
        if batch.corrupt:
            self.corrupt.update(batch.rows[~batch.valid].tolist())
            if self.quarantine is not None:
                self.quarantine.add(batch, self.backend.planner)
        images = self.stage(batch).contiguous(memory_format=torch.channels_last)
        labels, valid = self._labels(batch)
        if self.mixer is not None:
            images, partners, share = self.mixer(images, labels, batch)
            labels = soft_labels(labels, partners, share)
        return Prepared(images, labels, valid)

    def close(self) -> None:
        """Free threads, processes and pipelines; the loader cannot be used again."""
        self._close()

    def __enter__(self: L) -> L:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _begin(self, epoch: int, consumed: int = 0) -> None:
        self._epoch, self._consumed, self._iteration = epoch, consumed, None

    def _identity(self) -> dict[str, int]:
        planner = self.backend.planner
        return {"images": len(planner.sampler), "seed": planner.rng.seed, "batch_size": planner.batch_size}

    def _labels(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Labels (N,) int64 and validity (N,) float32 on the device, in one copy."""
        host = torch.from_numpy(np.stack([batch.labels, batch.valid]).repeat(batch.views, axis=1))
        both = to_device(host, self.stage.device)
        return both[0], both[1].float()


class Loader(DeviceLoader):
    """Batches of images and labels on the device, ready for the model: iterate over it, once per epoch.

    Every batch is a pair of

    - images: (N, 3, H, W) in `dtype` on `device`, channels-last, rendered by the steps and normalised
    - labels: (N,) int64 on `device`, 0 real, 1 fake, -1 where the manifest has none; with `mix` they are
      (N, 2) float32, the shares of real and fake, as `torch.nn.functional.cross_entropy` takes them.
      Of an image that was skipped they are -100, and with `mix` 0 and 0: it adds nothing to the loss

    N is `batch_size`, less in the last batch, and times the number of views for steps such as `ten_crop`.
    Each iteration is the next epoch, with other random numbers. Images depend on (seed, epoch, row) alone,
    not on threads or batch size.

    Args:
        manifest: the images; `find_dataset(...).train`, for one
        steps: what is done to them, `train` or `eval` of a recipe from `load_recipe`
        batch_size: images per batch
        shuffle: another order in every epoch; else the manifest's
        seed: decides order, augmentation and mixing
        device: where the batches are to be: auto (CUDA where there is one), cpu, cuda or cuda:N
        dtype: of the images: float32, float16 or bfloat16
        balance: repeat images of the smaller class until classes are equal
        mix: a recipe's `mix`: MixUp and CutMix, with soft labels
        epochs: how many epochs there will be; for a `mix` that leaves out the last ones
        decode: a recipe's `decode`
        backend: auto, dali, cpu or torchvision, as `--loader` of the command; the last has random numbers of
            its own, which do not follow from the seed
        threads: decoding threads; the usable cores, at most 16, where it is None
        cache: folder to keep decoded images in, and to read them from
        on_corrupt: what happens to an image that cannot be decoded: with fail its error ends the iteration,
            with skip another image of the batch is in its place, see labels; `loader.quarantine.reasons` has
            the names and reasons
        max_megapixels: images with more pixels, in millions, are not decoded; 178.96 where it is None, which
            is Pillow's limit

    Raises SettingError for what this machine or the images do not allow, RecipeError for steps that the
    backend cannot render, DataError for images that are too small, and UndecodableImage where image sizes
    cannot be read.

    >>> data = fastffdi.find_dataset("DIR")
    >>> recipe = fastffdi.load_recipe("tutorial", backbone="efficientnet_b0")
    >>> loader = fastffdi.Loader(data.train, recipe.train, batch_size=8, device="cpu", shuffle=True)
    >>> images, labels = next(iter(loader))
    >>> images.shape, images.dtype, labels.shape, labels.dtype
    (torch.Size([8, 3, 256, 256]), torch.float32, torch.Size([8]), torch.int64)
    """

    def __init__(
        self,
        manifest: Manifest,
        steps: tuple[Step, ...],
        *,
        batch_size: int = 64,
        shuffle: bool = False,
        seed: int = 0,
        device: str | torch.device = "auto",
        dtype: torch.dtype = torch.float32,
        balance: bool = False,
        mix: Mix | None = None,
        epochs: int | None = None,
        decode: Decode = DECODE,
        backend: str = "auto",
        threads: int | None = None,
        cache: str | os.PathLike[str] | None = None,
        on_corrupt: str = FAIL,
        max_megapixels: float | None = None,
    ) -> None:
        place = choose_device(str(device))
        settings = LoaderSettings.merged(
            batch_size=batch_size, threads=threads, max_megapixels=max_megapixels
        )
        mixer = _mixer(mix, seed, epochs)
        name = factory.choose_loader(backend, place, cache=cache is not None)
        decoder = SourceDecoder(scaled=decode.scaled, limits=settings.limits)
        planner = BatchPlanner.over(
            manifest,
            steps,
            settings,
            seed=seed,
            shuffle=shuffle,
            balance=balance,
            decoder=decoder,
            skip_corrupt=skips(on_corrupt),
        )
        if cache is not None:
            (planner,) = cached([planner], Path(cache))
        built = factory.build_loader(name, planner, settings, place)
        super().__init__(built, DeviceStage(place, dtype), mixer, Quarantine())


def _ignoring_invalid(batch: Prepared) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels, with labels of which cross-entropy makes no loss where images are placeholders."""
    images, labels, valid = batch
    if labels.dim() == 1:
        return images, labels.masked_fill(valid == 0, IGNORED)
    return images, labels * valid[:, None]


def soft_labels(labels: torch.Tensor, partners: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Real and fake mass (N, 2) float32: `share` (N,) on the own label, the rest on the partner's."""
    fake = torch.lerp(partners.float(), labels.float(), share)
    return torch.stack([1 - fake, fake], dim=1)


def _mixer(mix: Mix | None, seed: int, epochs: int | None) -> Mixer | None:
    if mix is not None and mix.off_epochs and epochs is None:
        raise SettingError(
            f"mix: off_epochs {mix.off_epochs} leaves out the last epochs; say of how many with epochs=N"
        )
    return Mixer.of_run(mix, seed, epochs or 0)
