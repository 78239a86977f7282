"""From a checkpoint and images to P(fake)."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fastffdi.data.layout import plain_folder
from fastffdi.data.manifest import Manifest
from fastffdi.data.named import image_files
from fastffdi.errors import SettingError
from fastffdi.inference import views as test_time
from fastffdi.inference.degradations import Degradation
from fastffdi.inference.degraded import DegradedDecoder, versions
from fastffdi.inference.forward import Forward, compiled_forward
from fastffdi.inference.identity import file_digest, images_in_words, settings_in_words
from fastffdi.inference.member import load
from fastffdi.inference.parts import SECONDS, Known, Parts
from fastffdi.inference.pooling import Pool
from fastffdi.inference.scoring import Pass, pooled
from fastffdi.inference.showing import divided, shares, sharing, showings
from fastffdi.loaders import factory
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.loaders.planner import BatchPlanner, cached
from fastffdi.loaders.quarantine import FAIL, SKIP, Quarantine, skips
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model.device import choose_device, tune_convolutions
from fastffdi.model.processes import Processes
from fastffdi.render.cpu.decode import SourceDecoder
from fastffdi.render.device.stage import DeviceStage

#: Rows (n,) int64 and the scores (n,) of them, as they come.
Stream = Iterator[tuple[np.ndarray, np.ndarray]]

Images = Manifest | str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Checkpoints = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class Predictor:
    """Scores images by a trained model, with the preprocessing it was trained with; or by several.

    Args:
        checkpoint: a .safetensors file that training wrote; of several, each looks at the images in its own
            way, and their scores are pooled
        device: auto (CUDA where there is one), cpu, cuda or cuda:N
        amp: precision: auto, bf16, fp16 or off (float32)
        backend: what decodes and renders: auto, dali, cpu or torchvision
        loading: threads, images per batch and what else the loader works with
        cache: folder to keep decoded images in, and to read them from
        on_corrupt: fail at the first image that cannot be decoded, or skip such images: their score is NaN
        compile: compile the forward pass of whole batches with torch.compile when the first one comes
        follow_symlinks: of folders, also take images by links that lead out of them
        processes: that each score a share of the images, and all get the scores of all; they have to make
            the same calls. None: this process is on its own
        views: score each image in several views, whatever the recipe: flip (it and its mirror), five_crop,
            ten_crop, tiles:N (N × N, of all of it at N times the size) or random:N (N draws of the training
            recipe). None: as the recipe says, in one view mostly. So many images make a batch that the model
            is given no more than its size, or one image's views
        pool: what the score of several views is: mean (of P(fake)), logit (the mean of the logits'
            differences, as a probability) or topk:K (the mean of the K highest); and in the same way, then
            without choosing any, that of several models
        scales: sizes of the model's input, in times its own, as multiples of 32 pixels; each is one more look
            at every view
        seed: decides the draws of random views, with the image's row

    Raises SettingError for a file that is no checkpoint and for arguments that do not fit this machine,
    RecipeError for a checkpoint whose recipe is not valid. Nothing is imported because a checkpoint names it.

    >>> predictor = fastffdi.Predictor("best.safetensors", device="cpu")
    >>> scores = predictor(["a.jpg", "b.png"])
    >>> scores.shape, scores.dtype
    ((2,), dtype('float64'))
    """

    def __init__(
        self,
        checkpoint: Checkpoints,
        *,
        device: str = "auto",
        amp: str = "auto",
        backend: str = "auto",
        loading: LoaderSettings | None = None,
        cache: str | os.PathLike[str] | None = None,
        compile: bool = False,
        on_corrupt: str = FAIL,
        follow_symlinks: bool = False,
        processes: Processes | None = None,
        views: str | None = None,
        pool: str = "mean",
        scales: Sequence[float] = (1.0,),
        seed: int = 0,
    ) -> None:
        self._skip, self._processes = skips(on_corrupt), processes or Processes()
        self.reasons: dict[str, str] = {}
        self._follow_symlinks, self._compile = follow_symlinks, compile
        self._pool, self._seed = Pool.parsed(pool), seed
        asked, sizes = test_time.parsed(views), test_time.read_scales(scales)
        self._loading = loading or LoaderSettings()
        self._cache = None if cache is None else Path(cache)
        self._device = choose_device(device)
        tune_convolutions(self._device)
        self._backend = factory.choose_loader(backend, self._device, self._loading.process, cache is not None)
        test_time.check_loader(asked, self._backend)
        paths = [checkpoint] if isinstance(checkpoint, str | os.PathLike) else checkpoint
        self._members = [load(Path(path), self._device, amp, asked, sizes) for path in paths]
        if not self._members:
            raise SettingError("checkpoint: none is given; name one at least")
        self.recipe = self._members[0].recipe
        self.decision = self._members[0].decision if len(self._members) == 1 else None
        self.manner = test_time.manner(asked, self._pool, sizes)
        most = max(one.views for member in self._members for one in member.viewings)
        for member in self._members:
            self._pool.check(sum(one.views for one in member.viewings))
        self._rows = max(1, self._loading.batch_size // most) if asked else self._loading.batch_size

        def forward_of(plain: Forward, full: int) -> Forward:
            return compiled_forward(plain, self._device, full) if compile else plain

        normalised = self._backend == "torchvision"
        self._showings = showings(self._members, self._rows, forward_of, normalised)
        self._stage = DeviceStage(self._device, self._members[0].forward.precision.dtype)

    def __call__(
        self,
        images: Images,
        progress: Callable[[int], None] | None = None,
        parts: Parts | None = None,
    ) -> np.ndarray:
        """P(fake) of each image: (N,) float64 from 0 to 1, in the order of the images.

        Args:
            images: paths of files, a folder (all images below it, sorted by name), or a manifest
            progress: called after each batch with its number of images
            parts: keeps scores as they come; only rows that it does not know are scored

        Raises DataError for files that do not exist, UndecodableImage for one that cannot be decoded; where
        such are skipped, `reasons` says why, by name, until the next call.
        """
        manifest = _manifest(images, self._follow_symlinks)
        known = Known.none() if parts is None else parts.known
        scores = np.full(len(manifest), np.nan)
        scores[known.rows] = known.scores
        stream = self._streamed(manifest, known.rows, progress, SECONDS if parts else math.inf)
        kept = stream if parts is None else self._kept(stream, manifest, parts)
        scores = self._whole(kept, scores, known.reasons)
        self.reasons = self._reasons_of(manifest, np.flatnonzero(np.isnan(scores)))
        return scores

    def stream(
        self, images: Images, progress: Callable[[int], None] | None = None, seconds: float = SECONDS
    ) -> Stream:
        """As a call, as the scores come: rows (n,) int64 of the images and P(fake) (n,), about so often.

        The rows are those of this process's share. Raises as a call does.

        >>> for rows, scores in predictor.stream("DIR/valset"):
        ...     print(rows.shape, scores.dtype)
        (16,) float64
        """
        yield from self._streamed(
            _manifest(images, self._follow_symlinks), np.empty(0, np.int64), progress, seconds
        )

    def key(self, images: Images) -> dict[str, Any]:
        """What decides the scores of images, by option, for Parts."""
        return {
            "checkpoints": " ".join(file_digest(member.path) for member in self._members),
            "images": images_in_words(_manifest(images, self._follow_symlinks)),
            "looks": self.manner or "one",
            "seed": self._seed,
            "--loader": self._backend,
            "--device": self._device.type,
            "--amp": self._members[0].forward.precision.name,
            "--compile": self._compile,
            "--on-corrupt": SKIP if self._skip else FAIL,
            **settings_in_words(self._loading),
        }

    def _streamed(
        self,
        manifest: Manifest,
        known: np.ndarray,
        progress: Callable[[int], None] | None,
        seconds: float,
    ) -> Stream:
        """Rows of this process's share that are not known, and their scores."""
        planners = [one.divided(self._processes.world) for one in self._planners(manifest)]
        self.reasons = {}
        missing = np.setdiff1d(planners[0].sampler.epoch(0)[0], known)
        if not len(missing):
            return
        if len(known):
            planners = [one.only(missing) for one in planners]
        yield from self._scored(self._decoding(planners), self._backend, progress, seconds)

    def degraded(
        self,
        images: Images,
        degradations: Sequence[Degradation],
        progress: Callable[[int], None] | None = None,
    ) -> np.ndarray:
        """P(fake) of each image in each of K degraded versions: (N, K) float64, NaN for one that was skipped.

        Decoded images are degraded, and then preprocessed as the checkpoint says, always by the cpu loader
        and without a cache. `progress` is called with numbers of versions; images and errors are those of a
        plain call.
        """
        manifest, chosen = _manifest(images, self._follow_symlinks), tuple(degradations)
        known = replace(manifest, sizes=self._planners(manifest)[-1].manifest.sizes)
        planners = [
            _degrading(one, chosen).divided(self._processes.world)
            for one in self._planners(versions(known, chosen))
        ]
        stream = self._scored(planners, "cpu", progress, math.inf)
        scores = self._whole(stream, np.full(len(manifest) * len(chosen), np.nan))
        scores = scores.reshape(len(manifest), len(chosen))
        self.reasons = self._reasons_of(manifest, np.flatnonzero(np.isnan(scores).any(axis=1)))
        return scores

    def _scored(
        self,
        planners: Sequence[BatchPlanner],
        backend: str,
        progress: Callable[[int], None] | None,
        seconds: float,
    ) -> Stream:
        """The rows of these planners and their scores."""
        settings = divided(self._loading, len(planners), self._device)
        quarantine = Quarantine()
        self.reasons = quarantine.reasons
        with ExitStack() as loaders:
            passes = []
            for showing, planner in zip(self._showings, planners, strict=True):
                draws = showing.viewing.draws
                built = factory.build_loader(backend, planner.repeated(draws), settings, self._device)
                loader = loaders.enter_context(DeviceLoader(built, self._stage, None, quarantine))
                passes.append(Pass(loader, showing.looks, draws))
            yield from pooled(passes, len(self._members), self._pool, progress, seconds)

    def _kept(self, stream: Stream, manifest: Manifest, parts: Parts) -> Stream:
        for rows, some in stream:
            parts.add(rows, some, self._reasons_of(manifest, rows[np.isnan(some)]))
            yield rows, some

    def _whole(
        self, stream: Stream, scores: np.ndarray, reasons: Mapping[str, str] | None = None
    ) -> np.ndarray:
        """The scores of all rows, of which `scores` has those that are known, and the stream this process's.

        `reasons` are those of rows that are known, and `self.reasons` become those of all.
        """
        own = [np.empty(0, np.int64)]
        for rows, some in stream:
            scores[rows] = some
            own.append(rows)
        self.reasons = {**(reasons or {}), **self.reasons}
        return self._of_all(np.concatenate(own), scores)

    def _reasons_of(self, manifest: Manifest, rows: np.ndarray) -> dict[str, str]:
        """Why rows were skipped, in their order."""
        names = map(str, manifest.names[rows])
        return {name: self.reasons[name] for name in names if name in self.reasons}

    def _decoding(self, planners: Sequence[BatchPlanner]) -> Sequence[BatchPlanner]:
        """The planners with where images come from: a cache, or one decoder for all that can share it."""
        if self._cache is not None:
            return cached(planners, self._cache)
        draws = [showing.viewing.draws for showing in self._showings]
        able, together = shares(self._backend, self._loading, self._device)
        settings = divided(self._loading, len(planners), self._device)
        return sharing(planners, draws, settings, together) if able else planners

    def _planners(self, manifest: Manifest) -> list[BatchPlanner]:
        """For each showing the batches of all processes, of which the first alone probes images' sizes."""
        settings = replace(self._loading, batch_size=self._rows)

        def planned(manifest: Manifest) -> list[BatchPlanner]:
            found = []
            for showing in self._showings:
                planner = BatchPlanner.of_split(
                    showing.recipe, "eval", manifest, settings, seed=self._seed, skip_corrupt=self._skip
                )
                manifest = planner.manifest
                found.append(planner)
            return found

        planners = self._processes.only_first(lambda: planned(manifest))
        sizes = self._processes.first(lambda: None if planners is None else planners[-1].manifest.sizes)
        return planned(replace(manifest, sizes=sizes)) if planners is None else planners

    def _of_all(self, rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """The scores of all rows, of which these are this process's; `reasons` become those of all too."""
        if self._processes.world.alone:
            return scores
        for others, own, reasons in self._processes.all((rows, scores[rows], self.reasons)):
            scores[others] = own
            self.reasons |= reasons
        return scores


def _degrading(planner: BatchPlanner, degradations: tuple[Degradation, ...]) -> BatchPlanner:
    assert isinstance(planner.decoder, SourceDecoder), "it has no cache"
    return replace(planner, decoder=DegradedDecoder(planner.decoder, degradations))


def _manifest(images: Images, follow_symlinks: bool) -> Manifest:
    if isinstance(images, Manifest):
        return images
    if isinstance(images, str | os.PathLike) and os.path.isdir(images):
        return plain_folder(Path(images), follow_symlinks=follow_symlinks)
    files = [images] if isinstance(images, str | os.PathLike) else images
    return image_files([os.fspath(image) for image in files], follow_symlinks=follow_symlinks)
