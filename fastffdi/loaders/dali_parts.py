"""What DALI's pipeline is given of a batch at once, and how that is mended where an image stops it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from nvidia.dali import Pipeline

from fastffdi.errors import RunError, UndecodableImage
from fastffdi.loaders.admission import Admission
from fastffdi.loaders.ahead import Planned
from fastffdi.loaders.corrupt import Corrupt
from fastffdi.loaders.placeholder import donor
from fastffdi.loaders.planner import BatchPlan, BatchPlanner
from fastffdi.recipe.program import EMPTY, Program
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
        tried: DALI has failed on it, although no image is bad
    """

    plan: BatchPlan
    first: int
    rendered: Program
    remaining: Program
    paths: tuple[str, ...]
    arrays: Arrays
    corrupt: tuple[Corrupt, ...] = ()
    patches: tuple[tuple[int, torch.Tensor], ...] = ()
    tried: bool = False

    @property
    def is_last(self) -> bool:
        """Whether it is the batch's last one."""
        return self.first + len(self.paths) >= len(self.plan.rows)

    @property
    def replaced(self) -> set[int]:
        """The places of images that the pipeline does not have."""
        return {place for place, _ in self.corrupt} | {place for place, _ in self.patches}

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing in it for the pipeline."""
        return len(self.replaced) == len(self.paths)

    @property
    def in_batch(self) -> list[Corrupt]:
        """The corrupt ones by their place in the batch."""
        return [Corrupt(self.first + place, error) for place, error in self.corrupt]

    def patch(self, images: torch.Tensor) -> None:
        """Put the CPU's images in their places."""
        for place, image in self.patches:
            images[place] = image.to(images.device, non_blocking=True)


def divided(
    plans: Iterator[Planned],
    planner: BatchPlanner,
    admission: Admission,
    template: Program,
    place: str,
    at_once: int,
) -> Iterator[Part]:
    """The parts of the batches, of `at_once` images or less, for a pipeline whose images are at `place`.

    Images that are not admitted are not in what it is given.
    """
    for plan, rendered, remaining in plans:
        whole = len(plan.rows) <= at_once
        for first in range(0, len(plan.rows), at_once):
            span = slice(first, first + at_once)
            own = rendered if whole else rendered.take(span)
            paths = planner.manifest.paths(plan.rows[span])
            arrays = path_matrix(paths), *arguments(own, template, place)
            part = Part(plan, first, own, remaining, tuple(paths), arrays)
            yield without(part, *admission.refused(plan.rows[span], paths), admission)


def mended(part: Part, admission: Admission) -> Part | None:
    """The part without the images that stop DALI; where none does, as it is for another try, then None."""
    own = [place for place in range(len(part.paths)) if place not in part.replaced]
    corrupt = [Corrupt(i, error) for i in own if (error := _undecodable(part.paths[i], admission))]
    unknown = [] if corrupt else [i for i in own if not _decodes(part.paths[i])]
    if corrupt or unknown:
        return without(part, corrupt, unknown, admission)
    # A read error, perhaps, that has passed.
    return None if part.tried else replace(part, tried=True)


def failure(paths: Sequence[str], error: RuntimeError) -> RunError:
    """The error for the user when DALI has failed on a batch of these images, of which none is bad."""
    reason = str(error).partition("encountered:")[2] or str(error)
    return RunError(
        f"DALI failed on the {len(paths)} images from {paths[0]} to {paths[-1]} "
        f"({' '.join(reason.split())}); choose --loader cpu"
    )


def without(part: Part, corrupt: Sequence[Corrupt], foreign: Sequence[int], admission: Admission) -> Part:
    """The part with its first other image in the places of those that are corrupt or `foreign`.

    Those that are foreign to DALI are rendered by the CPU, and corrupt where it cannot either.
    """
    if not corrupt and not foreign:
        return part
    patches, broken = [*part.patches], [*part.corrupt, *corrupt]
    for place in foreign:
        try:
            patches.append((place, torch.from_numpy(_rendered(part, place, admission))))
        except UndecodableImage as error:
            broken.append(Corrupt(place, error))
    broken.sort(key=lambda one: one.place)
    changed = replace(part, corrupt=tuple(broken), patches=tuple(patches))
    other = donor(len(part.paths), sorted(changed.replaced))
    return changed if other is None else _given_again(changed, other)


def _given_again(part: Part, other: int) -> Part:
    """The part with all that the pipeline is given in the places replaced as in the place `other`."""
    order = np.arange(len(part.paths))
    order[sorted(part.replaced)] = other
    paths = tuple(part.paths[i] for i in order)
    return replace(part, paths=paths, arrays=tuple(array[order] for array in part.arrays))


def _rendered(part: Part, i: int, admission: Admission) -> np.ndarray:
    return render(admission.decoded(part.paths[i]), part.rendered, i)


def _undecodable(path: str, admission: Admission) -> UndecodableImage | None:
    try:
        admission.decoded(path)
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
