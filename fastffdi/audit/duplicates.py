"""Which images are copies of others: of the same bytes, or of nearly the same look."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fastffdi.audit.looks import NEAR_BITS

# Mean difference of 8×8 pixel values, as a share of their standard deviation. On the faces of the 140k set
# and the demo images and photographs: 0.00 to 0.06 for an image compressed or scaled again, 0.13 and more for
# others whose hashes are near.
_NEAR_DIFFERENCE = 0.1
_NEXT = 3  # of images with the same hash, each is compared with so many: copies are as bright as each other


@dataclass(frozen=True)
class Duplicates:
    """What is equal among N images.

    Attributes:
        content: (N,) int64, equal for images of equal bytes
        look: (N,) int64, equal for images that look alike, directly or by way of others
    """

    content: np.ndarray
    look: np.ndarray

    @classmethod
    def among(cls, keys: np.ndarray, looks: np.ndarray, small: np.ndarray) -> Duplicates:
        """From keys that are equal where bytes are, and what `alike` takes."""
        content = np.unique(keys, return_inverse=True)[1]
        return cls(content, alike(looks, small))

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

    def near(self, of: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows of `of` that look like one of `among` whose bytes are others, and such a one of each."""
        groups = int(self.look.max(initial=-1)) + 1
        # A group's images of `among` with the lowest and with the highest content: one of them is another's.
        ordered = among[np.argsort(self.content[among], kind="stable")]
        least, most = np.full(groups, -1), np.full(groups, -1)
        least[self.look[ordered][::-1]] = ordered[::-1]
        most[self.look[ordered]] = ordered
        first, last = least[self.look[of]], most[self.look[of]]
        other = np.where(self.content[first] != self.content[of], first, last)
        near = (first >= 0) & (self.content[other] != self.content[of])
        return of[near], other[near]

    def near_copies(self, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows of `among` that look like an earlier one of other bytes, and that one of each."""
        among = among[self.same(among, among) == among]
        first = np.full(int(self.look.max(initial=-1)) + 1, -1)
        first[self.look[among][::-1]] = among[::-1]
        earlier = first[self.look[among]]
        return among[earlier != among], earlier[earlier != among]

    @property
    def _contents(self) -> int:
        return int(self.content.max(initial=-1)) + 1


def alike(looks: np.ndarray, small: np.ndarray) -> np.ndarray:
    """(N,) int64, equal for images that look alike: whose hashes are near, and their small pixels too.

    Args:
        looks: (N,) uint64 perceptual hashes, 0 for none
        small: (N, 64) uint8 pixel values
    """
    order = np.lexsort((small.sum(axis=1, dtype=np.int64), looks))
    order = order[looks[order] != 0]
    pairs = [np.stack([order[:-k], order[k:]], axis=1) for k in range(1, _NEXT + 1)]
    pairs = [pair[looks[pair[:, 0]] == looks[pair[:, 1]]] for pair in pairs]
    hashes, first = np.unique(looks[order], return_index=True)
    pairs.append(order[first][near_pairs(hashes)])  # one image stands for all with its hash
    both = np.concatenate(pairs)
    both = both[_similar(small, both)]
    edges = coo_array((np.ones(len(both), bool), (both[:, 0], both[:, 1])), shape=(len(looks),) * 2)
    return np.asarray(connected_components(edges, directed=False)[1], np.int64)


def _similar(small: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(P,) bool: which pairs of rows have nearly the same small pixels."""
    found = [np.zeros(0, bool)]
    for at in range(0, len(pairs), 1 << 16):  # in parts, since there may be millions
        one, other = (small[rows].astype(np.float32) for rows in pairs[at : at + (1 << 16)].T)
        spread = (one.std(axis=1) + other.std(axis=1)) / 2
        found.append(np.abs(one - other).mean(axis=1) <= _NEAR_DIFFERENCE * spread)
    return np.concatenate(found)


def near_pairs(hashes: np.ndarray, bits: int = NEAR_BITS) -> np.ndarray:
    """(P, 2) int64 i < j: which of (N,) distinct uint64 hashes differ in at most `bits` bits.

    Of two such hashes, cut into bits + 1 bands, one band is the same in both: so only hashes with an equal
    band are compared, a few million pairs for 100,000 images where all would be five thousand million.
    """
    found = [np.zeros((0, 2), np.int64)]
    edges = np.linspace(0, 64, bits + 2).astype(int).tolist()
    for start, end in pairwise(edges):
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
