"""Histograms of durations: what came since the point before, and what duration stands for each bucket.

Explicit buckets have upper bounds that are included; those of an exponential histogram are (g^i, g^(i+1)] for
g = 2^(2^-scale). What stands for a bucket (low, high] is 2 low high / (low + high), which is wrong by at most
(high - low) / (high + low) of the true duration: a number as wrong in either direction.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct


class Explicit(Struct, frozen=True, tag="e", array_like=True):
    """Counts of explicit buckets, the last one above every bound; without any bounds one of all."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float | None = None


class Exponential(Struct, frozen=True, tag="x", array_like=True):
    """Counts of exponential buckets, from the one of the index `offset` on; `zero` are at most `zero_to`."""

    scale: int
    offset: int
    counts: tuple[int, ...]
    zero: int = 0
    zero_to: float = 0.0
    sum: float | None = None


Histogram = Explicit | Exponential


class Bucket(NamedTuple):
    """So many requests took more than `low` and at most `high`, in the unit of the histogram; None: not known."""

    low: float
    high: float | None
    n: int


class Portion(NamedTuple):
    """So many requests that took about so long, in milliseconds; more than `low` and at most `high`."""

    duration_ms: float
    low_ms: float
    high_ms: float
    n: int

    @property
    def error(self) -> float:
        """By how much of a true duration what stands for it may be wrong; 1 where that may be nearly nothing."""
        above = (self.high_ms - self.duration_ms) / self.high_ms if self.high_ms else 0.0
        below = (self.duration_ms - self.low_ms) / self.low_ms if self.low_ms else 1.0
        return max(above, below if self.duration_ms else 0.0)


def total(histogram: Histogram) -> int:
    """How many requests it counts."""
    return sum(histogram.counts) + (histogram.zero if isinstance(histogram, Exponential) else 0)


def since(now: Histogram, before: Histogram) -> Histogram | None:
    """What was counted between two points of one series; None where they cannot be compared."""
    sum_ = None if now.sum is None or before.sum is None else max(0.0, now.sum - before.sum)
    if isinstance(now, Explicit):
        if not isinstance(before, Explicit) or before.bounds != now.bounds:
            return None
        counts = tuple(n - b for n, b in zip(now.counts, before.counts, strict=True))
        return None if min(counts) < 0 else Explicit(now.bounds, counts, sum_)
    if not isinstance(before, Exponential) or before.scale < now.scale:
        return None
    old = coarser(before, now.scale, now.zero_to)
    new = coarser(now, now.scale, now.zero_to)
    new.subtract(old)
    if any(n < 0 for n in new.values()):
        return None
    zero = new.pop(None, 0)
    filled = [index for index, n in new.items() if n and index is not None]
    first, last = min(filled, default=0), max(filled, default=-1)
    return Exponential(now.scale, first, tuple(new[index] for index in range(first, last + 1)), zero, now.zero_to, sum_)


def coarser(histogram: Exponential, scale: int, zero_to: float) -> Counter[int | None]:
    """Its counts by index at a smaller scale; None is the bucket of what is at most `zero_to`."""
    found: Counter[int | None] = Counter({None: histogram.zero})
    for place, n in enumerate(histogram.counts):
        if n:
            index = histogram.offset + place >> histogram.scale - scale
            found[None if border(index + 1, scale) <= zero_to else index] += n
    return found


def border(index: int, scale: int) -> float:
    """The lower border of an exponential bucket, as far as a float reaches."""
    power = index * 2.0**-scale
    return math.inf if power > 1023 else 2.0**power


def buckets(histogram: Histogram) -> Iterator[Bucket]:
    """Those with requests in them, ascending."""
    if isinstance(histogram, Explicit):
        low = 0.0
        for place, n in enumerate(histogram.counts):
            high = histogram.bounds[place] if place < len(histogram.bounds) else None
            if n:
                yield Bucket(max(0.0, low), high, n)
            low = low if high is None else high
        return
    if histogram.zero:
        yield Bucket(0.0, histogram.zero_to, histogram.zero)
    for place, n in enumerate(histogram.counts):
        if n:
            index = histogram.offset + place
            yield Bucket(border(index, histogram.scale), border(index + 1, histogram.scale), n)


def portions(
    histogram: Histogram, *, ms: float, most_ms: float, least: float | None = None, most: float | None = None
) -> list[Portion]:
    """What stands for each bucket. `ms`: of the histogram's unit; `least` and `most`: the shortest and the longest
    duration that it ever counted, where they are known. None is above `most_ms`."""
    found = list(buckets(histogram))
    told = []
    for bucket in found:
        low, high = within(bucket, least, most)
        middle = middle_of(low, high)
        if len(found) == bucket.n == 1 and histogram.sum is not None:  # then the sum is what it took
            low = middle = high = min(max(histogram.sum, low), high)
        middle_ms, low_ms, high_ms = (min(value * ms, most_ms) for value in (middle, low, high))
        told.append(Portion(middle_ms, low_ms, high_ms, bucket.n))
    return told


def within(bucket: Bucket, least: float | None, most: float | None) -> tuple[float, float]:
    """The borders of a bucket, closer by the least and the most that was ever counted; it may have no upper one."""
    low, high = bucket.low, bucket.high
    if least is not None and (high is None or least <= high):
        low = max(low, least)
    if most is not None and most >= low:
        high = most if high is None else min(high, most)
    return low, math.inf if high is None else high


def middle_of(low: float, high: float) -> float:
    """What stands for durations between these; where there is no upper border the lower one."""
    if math.isinf(high):
        return low
    return 2 * low * high / (low + high) if low > 0 else high / 2


def spread(n: int, parts: int) -> list[int]:
    """A number in whole parts, as even as they can be."""
    return [n * (part + 1) // parts - n * part // parts for part in range(parts)]
