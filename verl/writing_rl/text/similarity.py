"""How much two texts have in common: Jaccard similarity of their character 5-grams, in any language.

The grams are counted as often as they occur, so a text that says everything twice is not the same as one that
says it once. Two texts are compared in two steps: most pairs are told apart by a small histogram of their
grams, which can only overrate what they share; what remains is counted exactly.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

GRAM = 5
_BUCKET_BITS = 10

# A gram is hashed as a polynomial of its characters modulo 2^64; in it, different grams hardly ever meet.
_BASE = 0x9E3779B97F4A7C15
_POWERS = [np.uint64(pow(_BASE, power, 2**64)) for power in range(GRAM)]


def same_text(text: str) -> str:
    """What texts have in common that differ only in white space and case."""
    return " ".join(text.casefold().split())


class Grams:
    """The grams of a text; white space and case do not count."""

    def __init__(self, text: str) -> None:
        characters = np.frombuffer(same_text(text).ljust(GRAM, "\0").encode("utf-32-le"), np.uint32)
        self.number = len(characters) - GRAM + 1
        hashes = np.zeros(self.number, np.uint64)
        for power, factor in enumerate(_POWERS):
            hashes += characters[power : power + self.number] * factor
        self._hashes = hashes
        # The upper bits are mixed best; bincount wants signed numbers.
        buckets = (hashes >> np.uint64(64 - _BUCKET_BITS)).astype(np.int64)
        self._histogram: NDArray[np.int64] = np.bincount(buckets, minlength=2**_BUCKET_BITS)

    def similarity(self, other: Grams) -> float:
        """What two texts share, of all that they have: 0 to 1."""
        shared = self._shared(other)
        return shared / (self.number + other.number - shared)

    def reaches(self, other: Grams, threshold: float) -> bool:
        """Whether the similarity is at least as large as a threshold above 0; much faster where it is not."""
        needed = threshold * (self.number + other.number) / (1 + threshold) - 1e-6  # rounding
        if min(self.number, other.number) < needed:
            return False
        if int(np.minimum(self._histogram, other._histogram).sum()) < needed:
            return False
        return self._shared(other) >= needed

    def _shared(self, other: Grams) -> int:
        (ours, our_counts), (theirs, their_counts) = self._counted, other._counted
        _, first, second = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
        return int(np.minimum(our_counts[first], their_counts[second]).sum())

    @functools.cached_property
    def _counted(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        return np.unique(self._hashes, return_counts=True)
