"""Packed pairs: a sorted map of small whole numbers to counts, as one PostgreSQL bigint[].

Each element is `key << 32 | count`. Keys are below 2^31, counts below 2^32. The
same form in SQL: `pairs_add(a, b)`, made by migration 0001.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping

COUNT_MASK = 0xFFFFFFFF


def pack(counts: Mapping[int, int]) -> list[int]:
    """The map as packed pairs, sorted by key.

    A zero count is kept: in `fast` it says that a threshold was measured and met by
    none, which is not the same as a threshold that nobody measured.
    """
    return [key << 32 | counts[key] for key in sorted(counts)]


def add(into: MutableMapping[int, int], packed: Iterable[int]) -> None:
    """Add packed pairs to a map, in place."""
    for pair in packed:
        key = pair >> 32
        into[key] = into.get(key, 0) + (pair & COUNT_MASK)
