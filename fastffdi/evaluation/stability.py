"""Whether the answer about an image stays when the image is degraded a little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastffdi.evaluation.decision import FAKE, INCONCLUSIVE, REAL, Decision
from fastffdi.evaluation.metrics import Scores


@dataclass(frozen=True)
class Stability:
    """Of N images that were scored as they are and in K degraded versions.

    Attributes:
        spread: (N,) the highest less the lowest of an image's 1 + K scores; NaN without one
        verdicts: (N,) object array: what the decision says of the image as it is
        flipped: (N, K) bool: where a version is called real and the image fake, or the other way round
        words: (N, K) object array: what the decision says of each version
    """

    spread: NDArray[np.float64]
    verdicts: NDArray[np.object_]
    flipped: NDArray[np.bool_]
    words: NDArray[np.object_]

    @classmethod
    def of(cls, scores: Scores, degraded: Scores, decision: Decision) -> Stability:
        """From scores (N,) and those of the versions (N, K)."""
        every = np.concatenate([np.asarray(scores)[:, None], degraded], axis=1)
        verdicts, words = decision(scores), decision(degraded.ravel()).reshape(degraded.shape)
        opposite = np.where(verdicts == REAL, FAKE, np.where(verdicts == FAKE, REAL, ""))
        return cls(np.ptp(every, axis=1), verdicts, words == opposite[:, None], words)

    @property
    def flips(self) -> NDArray[np.int64]:
        """(N,) how many versions flip the verdict."""
        return self.flipped.sum(axis=1)

    @property
    def decisions(self) -> NDArray[np.object_]:
        """(N,) the verdicts, inconclusive where a version flips them."""
        return np.where(self.flips > 0, INCONCLUSIVE, self.verdicts).astype(object)

    def reasons(self, names: Sequence[str]) -> NDArray[np.object_]:
        """(N,) why an image is inconclusive, `jpeg_50: real; blur_1: real`; empty where it is not.

        `names` are those of the K versions.
        """
        return np.array([self._reason(i, names) for i in range(len(self.spread))], object)

    def _reason(self, i: int, names: Sequence[str]) -> str:
        if np.isnan(self.spread[i]):
            return "no score"
        if self.verdicts[i] == INCONCLUSIVE:
            return "score in the inconclusive band"
        return "; ".join(f"{names[k]}: {self.words[i, k]}" for k in np.flatnonzero(self.flipped[i]).tolist())
