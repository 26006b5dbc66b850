"""Near-duplicates by MinHash with banding.

Two texts agree in a hash of their signature as often as their sets of shingles overlap (Broder, "On the resemblance and
containment of documents", 1997); banding finds the pairs worth comparing without comparing all (Leskovec, Rajaraman,
Ullman, "Mining of Massive Datasets", chapter 3).
"""

import zlib
from collections import defaultdict
from functools import lru_cache

from hive.consolidation.sentences import words

#: Hashes of a signature, and how many of them are one band: pairs of 0.8 are candidates with a chance of 0.999.
HASHES = 32
BAND = 4

#: Words that are one shingle.
SHINGLE = 2

#: Signatures that are kept: a run of consolidation meets the same known sentences in each of its slices.
CACHED = 20_000

_PRIME = (1 << 61) - 1
#: Multipliers and summands of the hashes; any will do, but every process must have the same.
_FACTORS = tuple((pow(3, 2 * number + 1, _PRIME), pow(7, 3 * number + 2, _PRIME)) for number in range(1, HASHES + 1))


@lru_cache(maxsize=CACHED)
def shingles(text: str) -> frozenset[int]:
    """Return the hashed shingles of a text, whatever its case and its punctuation."""
    said = words(text)
    if len(said) < SHINGLE:
        return frozenset({zlib.crc32(" ".join(said).encode())})
    return frozenset(zlib.crc32(" ".join(said[at : at + SHINGLE]).encode()) for at in range(len(said) - SHINGLE + 1))


def overlap(one: frozenset[int], other: frozenset[int]) -> float:
    """Return the share of shingles that two sets have in common, 0..1."""
    return len(one & other) / len(one | other)


class NearDuplicates:
    """A set of texts that is asked for one like another.

    Args:
        at_least: overlap of shingles from which two texts are alike, 0..1.
    """

    def __init__(self, at_least: float) -> None:
        self._at_least = at_least
        self._texts: dict[str, frozenset[int]] = {}
        self._bands: dict[tuple[int, ...], list[str]] = defaultdict(list)

    def add(self, text: str) -> None:
        """Add a text; one that is there already stays."""
        if text in self._texts:
            return
        parts = shingles(text)
        self._texts[text] = parts
        for band in _bands(parts):
            self._bands[band].append(text)

    def find(self, text: str) -> str | None:
        """Return the most similar text of those that are alike, ``None`` if there is none."""
        if text in self._texts:
            return text
        parts = shingles(text)
        candidates = {
            one: overlap(parts, self._texts[one]) for band in _bands(parts) for one in self._bands.get(band, ())
        }
        best = max(candidates, key=lambda one: (candidates[one], one), default=None)
        return best if best is not None and candidates[best] >= self._at_least else None


@lru_cache(maxsize=CACHED)
def _bands(parts: frozenset[int]) -> list[tuple[int, ...]]:
    signature = [min((factor * part + summand) % _PRIME for part in parts) for factor, summand in _FACTORS]
    return [(at, *signature[at : at + BAND]) for at in range(0, HASHES, BAND)]
