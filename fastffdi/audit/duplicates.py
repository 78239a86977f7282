"""Which images are copies of others: of the same bytes, or of nearly the same look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastffdi.audit.looks import NEAR_BITS


@dataclass(frozen=True)
class Duplicates:
    """What is equal among N images.

    Attributes:
        content: (N,) int64, equal for images of equal bytes
        look: (N,) int64 index of the image's perceptual hash, -1 without one
        pairs: (P, 2) int64, which perceptual hashes are near each other, each pair both ways round
    """

    content: np.ndarray
    look: np.ndarray
    pairs: np.ndarray

    @classmethod
    def among(cls, keys: np.ndarray, looks: np.ndarray) -> Duplicates:
        """From what is equal where bytes are, and (N,) uint64 perceptual hashes, 0 for none."""
        hashes, look = np.unique(looks, return_inverse=True)
        one_way = near_pairs(hashes)
        if len(hashes) and hashes[0] == 0:
            look = np.where(looks == 0, -1, look)
            one_way = one_way[(one_way != 0).all(axis=1)]
        content = np.unique(keys, return_inverse=True)[1]
        return cls(content, look, np.concatenate([one_way, one_way[:, ::-1]]))

    def same(self, of: np.ndarray, among: np.ndarray) -> np.ndarray:
        """For each row of `of`, the first row of `among` with the same bytes, else -1."""
        first = np.full(self._contents, -1)
        first[self.content[among][::-1]] = among[::-1]
        return np.asarray(first[self.content[of]])

    def copies(self, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows of `among` whose bytes an earlier one has, and that earlier one of each."""
        first = self.same(among, among)
        later = first != among
        return among[later], first[later]

    def conflicts(self, labels: np.ndarray) -> np.ndarray:
        """The rows whose bytes stand under both labels."""
        has = [np.bincount(self.content, labels == label, self._contents) > 0 for label in (0, 1)]
        return np.flatnonzero((has[0] & has[1])[self.content])

    def near(self, of: np.ndarray, among: np.ndarray) -> np.ndarray:
        """The rows of `of` that look like one of `among` whose bytes are others."""
        of, among = of[self.look[of] >= 0], among[self.look[among] >= 0]
        hashes = int(self.look.max(initial=-1)) + 1
        least, most = np.full(hashes, self._contents), np.full(hashes, -1)
        np.minimum.at(least, self.look[among], self.content[among])
        np.maximum.at(most, self.look[among], self.content[among])
        beside = np.zeros(hashes, bool)
        beside[self.pairs[most[self.pairs[:, 1]] >= 0, 0]] = True
        look, content = self.look[of], self.content[of]
        other = (most[look] >= 0) & ((least[look] != content) | (most[look] != content))
        return np.asarray(of[beside[look] | other])

    @property
    def _contents(self) -> int:
        return int(self.content.max(initial=-1)) + 1


def near_pairs(hashes: np.ndarray, bits: int = NEAR_BITS) -> np.ndarray:
    """(P, 2) int64 i < j: which of (N,) distinct uint64 hashes differ in at most `bits` bits.

    Of two such hashes, cut into bits + 1 bands, one band is the same in both: so only hashes with an equal
    band are compared, a few million pairs for 100,000 images where all would be five thousand million.
    """
    found = [np.zeros((0, 2), np.int64)]
    edges = np.linspace(0, 64, bits + 2).astype(int).tolist()
    for start, end in zip(edges, edges[1:], strict=False):
        band = hashes >> np.uint64(start) & np.uint64((1 << end - start) - 1)
        found.append(_near_in_band(hashes, band, bits))
    return np.unique(np.concatenate(found), axis=0)


def _near_in_band(hashes: np.ndarray, band: np.ndarray, bits: int) -> np.ndarray:
    """The near pairs among hashes of equal band: each with the k-th after it in the order of the band."""
    order = np.argsort(band, kind="stable")
    band, hashes = band[order], hashes[order]
    found = [np.zeros((0, 2), np.int64)]
    first, k = np.arange(len(order)), 1
    while len(first := first[: np.searchsorted(first, len(order) - k)]):
        first = first[band[first] == band[first + k]]
        near = first[np.bitwise_count(hashes[first] ^ hashes[first + k]) <= bits]
        found.append(np.sort(np.stack([order[near], order[near + k]], axis=1), axis=1))
        k += 1
    return np.concatenate(found)
