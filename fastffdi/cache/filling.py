"""Storing beforehand what several plans need."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastffdi.cache.decoder import fill
from fastffdi.cache.folder import listing, readable_bytes
from fastffdi.cache.plan import CachePlan, needed
from fastffdi.errors import RunError, UndecodableImage


def fill_all(
    plans: Sequence[CachePlan],
    threads: int,
    progress: Callable[[int], None],
    skipped: list[UndecodableImage] | None = None,
) -> int:
    """Store what is missing of the plans' images; how many are not stored, since their files changed.

    `progress` gets counts of images that are done, `skipped` the errors of those that cannot be decoded.
    Raises these without such a list, and RunError where the disk is full or fails; what is stored stays, as
    it does after KeyboardInterrupt.
    """
    try:
        return sum(
            fill(plan.open(), plan.manifest, plan.prefix, threads, progress, skipped) for plan in plans
        )
    except OSError as error:
        raise RunError(_no_room(plans, error)) from None


def kept(plans: Sequence[CachePlan]) -> str:
    """`12 of 40 images`: how many of the plans' images are stored."""
    stores = needed(plans)
    stored, images = sum(store.stored for store in stores), sum(len(store.sizes) for store in stores)
    return f"{stored:,} of {images:,} images"


def _no_room(plans: Sequence[CachePlan], error: OSError) -> str:
    folder = plans[0].folder.parent
    missing = readable_bytes(sum(store.missing_bytes for store in needed(plans)))
    return (
        f"--cache {folder}: {error.strerror or error}; kept {kept(plans)}, the rest needs {missing}: make "
        f"room ({listing(folder)} names stores) and repeat the command"
    )
