"""What DALI's pipeline is given of a batch at once, and how that is mended where an image stops it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from nvidia.dali import Pipeline

from fastffdi.errors import FastffdiError, RunError, UndecodableImage
from fastffdi.loaders.ahead import Planned
from fastffdi.loaders.corrupt import Corrupt
from fastffdi.loaders.placeholder import donor
from fastffdi.loaders.planner import BatchPlan, BatchPlanner
from fastffdi.recipe.program import EMPTY, Program
from fastffdi.render.cpu.decode import decode_path
from fastffdi.render.cpu.renderer import render
from fastffdi.render.dali import Arrays, arguments, graph, path_matrix


@dataclass(frozen=True)
class Part:
    """Images of a batch that are in the pipeline together.

    Attributes:
        first: the place of the first of them in the batch
        rendered: what the pipeline does to them
        arrays: what it is given for that, each with a row per image
        corrupt: those that cannot be decoded, by place in the part; the pipeline is given another image there
        patches: by place in the part, images that the CPU has rendered, since DALI does not know their format
    """

    plan: BatchPlan
    first: int
    rendered: Program
    remaining: Program
    paths: tuple[str, ...]
    arrays: Arrays
    corrupt: tuple[Corrupt, ...] = ()
    patches: tuple[tuple[int, torch.Tensor], ...] = ()

    @property
    def is_last(self) -> bool:
        """Whether it is the batch's last one."""
        return self.first + len(self.paths) >= len(self.plan.rows)

    @property
    def in_batch(self) -> list[Corrupt]:
        """The corrupt ones by their place in the batch."""
        return [Corrupt(self.first + place, error) for place, error in self.corrupt]

    def patch(self, images: torch.Tensor) -> None:
        """Put the CPU's images in their places."""
        for place, image in self.patches:
            images[place] = image.to(images.device, non_blocking=True)


def divided(
    plans: Iterator[Planned], planner: BatchPlanner, template: Program, place: str, at_once: int
) -> Iterator[Part]:
    """The parts of the batches, of `at_once` images or less, for a pipeline whose images are at `place`."""
    for plan, rendered, remaining in plans:
        whole = len(plan.rows) <= at_once
        for first in range(0, len(plan.rows), at_once):
            span = slice(first, first + at_once)
            own = rendered if whole else rendered.take(span)
            paths = planner.manifest.paths(plan.rows[span])
            arrays = path_matrix(paths), *arguments(own, template, place)
            yield Part(plan, first, own, remaining, tuple(paths), arrays)


def mended(part: Part) -> Part | None:
    """The part with the images that stop DALI replaced by its first other one; None where none does.

    Those that the CPU decodes are patches, the others corrupt.
    """
    corrupt = [Corrupt(i, error) for i, path in enumerate(part.paths) if (error := _undecodable(path))]
    unknown = [] if corrupt else [i for i, path in enumerate(part.paths) if not _decodes(path)]
    places = [*unknown, *(place for place, _ in corrupt)]
    if not places:
        return None
    patches = tuple((i, torch.from_numpy(_rendered(part, i))) for i in unknown)
    other = donor(len(part.paths), places)
    patched, broken = (*part.patches, *patches), (*part.corrupt, *corrupt)
    changed = replace(part, corrupt=tuple(sorted(broken, key=lambda one: one.place)), patches=patched)
    return changed if other is None else _without(changed, places, other)


def failure(paths: Sequence[str], error: RuntimeError) -> FastffdiError:
    """The error for the user when DALI has failed on a batch of these images: the first bad one, if any."""
    for path in paths:
        bad = _undecodable(path)
        if bad is not None:
            return bad
    for path in paths:
        if not _decodes(path):
            reason = "the dali loader does not know this kind of file, --loader cpu may"
            return UndecodableImage(path, reason)
    reason = str(error).partition("encountered:")[2] or str(error)
    return RunError(
        f"DALI failed on the {len(paths)} images from {paths[0]} to {paths[-1]} "
        f"({' '.join(reason.split())}); choose --loader cpu"
    )


def _without(part: Part, places: Sequence[int], other: int) -> Part:
    """The part with all that the pipeline is given in these places as in the place `other`."""
    order = np.arange(len(part.paths))
    order[list(places)] = other
    paths = tuple(part.paths[i] for i in order)
    return replace(part, paths=paths, arrays=tuple(array[order] for array in part.arrays))


def _rendered(part: Part, i: int) -> np.ndarray:
    return render(decode_path(part.paths[i]), part.rendered, i)


def _undecodable(path: str) -> UndecodableImage | None:
    try:
        decode_path(path)
    except UndecodableImage as error:
        return error
    return None


def _decodes(path: str) -> bool:
    """Whether DALI can decode a file on the CPU, where the state of a GPU does not blur the answer."""
    pipeline = Pipeline(batch_size=1, num_threads=1, device_id=None, prefetch_queue_depth=1)
    with pipeline:
        pipeline.set_outputs(graph(EMPTY, "cpu", lambda: (path_matrix([path]),)))
    try:
        pipeline.run()
    except RuntimeError:
        return False
    return True
