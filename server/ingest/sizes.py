"""How large requests are, as a map of size to count with few keys: exact to 1,024, then within 0.4 %."""

from __future__ import annotations

from collections.abc import Mapping


def size_key(size: int) -> int:
    """The key that stands for a size: the size itself, above 1,024 rounded down to 9 binary digits."""
    if size <= 1024:
        return size
    shift = size.bit_length() - 9
    return size >> shift << shift


def above(sizes: Mapping[int, int], limit: int) -> tuple[int, int]:
    """How many requests are larger than the limit, and the sum of their sizes."""
    over = [(key, n) for key, n in sizes.items() if key > limit]
    return sum(n for _, n in over), sum(key * n for key, n in over)
