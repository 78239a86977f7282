"""Loading images in several degraded versions, each decoded once or twice for all of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fastffdi.data.manifest import Manifest
from fastffdi.inference.degradations import Degradation
from fastffdi.recipe.program import EMPTY, Program
from fastffdi.render.cpu.decode import SourceDecoder

_OF_THREAD = threading.local()


@dataclass(frozen=True)
class DegradedDecoder:
    """A Decoder of the rows of `versions`: row r is image r // K in version r % K. May be pickled.

    A thread keeps the last image that it has decoded, as it mostly gets the versions of one after another.
    """

    decoder: SourceDecoder
    degradations: tuple[Degradation, ...]
    seed: int = 0

    def __call__(self, row: int, path: str, prefix: Program, program: Program, i: int) -> np.ndarray:
        """See Decoder. Images are decoded whole, whatever the recipe says."""
        image, version = divmod(row, len(self.degradations))
        key = int(np.random.default_rng((self.seed, image)).integers(2**24))
        return self.degradations[version](self._decoded(path), key)

    def _decoded(self, path: str) -> np.ndarray:
        kept: tuple[str, np.ndarray] | None = getattr(_OF_THREAD, "kept", None)
        if kept is None or kept[0] != path:
            whole = replace(self.decoder, scaled=False)
            kept = _OF_THREAD.kept = path, whole(0, path, EMPTY, EMPTY, 0)
        return kept[1]


def versions(manifest: Manifest, degradations: Sequence[Degradation]) -> Manifest:
    """Each of N images K times in a row, with the size, where it is known, of each of K degraded versions."""
    count = len(degradations)
    repeated = manifest.take(np.repeat(np.arange(len(manifest)), count))
    if manifest.sizes is None:
        return repeated
    sizes = np.stack([one.sizes(manifest.sizes) for one in degradations], axis=1)
    return replace(repeated, sizes=sizes.reshape(-1, 2).astype(np.int32))
