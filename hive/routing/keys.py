"""Keys of calls: the buckets they fall into, and what a worker tells of those it had last."""

import binascii
import struct
import zlib
from collections import OrderedDict

#: Keys are gathered in so many buckets: two bytes name one. Few enough to tell of, many enough to be one key each mostly.
BUCKETS = 65_536

#: Buckets a worker tells of; what it keeps of keys before those is taken to be gone.
RECENT = 256

#: A prime and two factors: XOR and multiplication modulo a prime mix well.
_PRIME, _FACTOR, _SPREAD = (1 << 61) - 1, 0x1E3779B97F4A7C15, 0x16E8FEB86659FD93


def bucket_of(key: str) -> int:
    """Return the bucket of a key, the same in every process; all keys of a bucket go the same way."""
    return zlib.crc32(key.encode()) % BUCKETS


def weight(bucket: int, seed: int) -> int:
    """Return the weight of a worker for a bucket: as good as random, and the same in every process."""
    return ((bucket * _SPREAD) ^ seed) * _FACTOR % _PRIME


class RecentKeys:
    """The keys whose calls a worker took last. Noted by one thread, told by another."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[int, None] = OrderedDict()

    def note(self, key: str) -> None:
        """Put a key before all others."""
        bucket = bucket_of(key)
        self._buckets[bucket] = None
        self._buckets.move_to_end(bucket)
        if len(self._buckets) > RECENT:
            self._buckets.popitem(last=False)

    def written(self) -> str:
        """Return their buckets as text."""
        buckets = self._buckets.copy()
        return binascii.b2a_base64(struct.pack(f"<{len(buckets)}H", *buckets), newline=False).decode()


def read_keys(written: str) -> frozenset[int]:
    """Return the buckets that a worker told of.

    Raises:
        ValueError: the text is none that :meth:`RecentKeys.written` makes.
    """
    try:
        told = binascii.a2b_base64(written, strict_mode=True)
        return frozenset(struct.unpack(f"<{len(told) // 2}H", told))
    except (binascii.Error, struct.error) as error:
        raise ValueError(f"{written!r} names no keys") from error
