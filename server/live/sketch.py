"""A mergeable latency sketch: logarithmic buckets with a bounded relative error.

Formula: DDSketch (Masson, Rim, Lee; VLDB 2019). Bucket `i + 1` holds durations in
(g^(i-1), g^i] for g = (1 + a) / (1 - a); answering 2 g^i / (g + 1) is wrong by at
most `a` of the true value. Bucket 0 holds 0 us. Two sketches merge by adding
their counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

ACCURACY = 0.0099  # a little under the promised 1 %, so that rounding keeps the promise
GROWTH = (1 + ACCURACY) / (1 - ACCURACY)
PER_LOG = 1 / math.log(GROWTH)
MIDDLE = 2 / (GROWTH + 1)


def bucket(duration_us: int) -> int:
    """The bucket of a duration in whole microseconds, 0 or more; 0 for 0 us."""
    return 1 + math.ceil(math.log(duration_us) * PER_LOG) if duration_us > 0 else 0


def value_us(bucket: int) -> float:
    """The duration in microseconds that stands for a bucket, within 1 % of everything in it."""
    return MIDDLE * math.exp((bucket - 1) / PER_LOG) if bucket > 0 else 0.0


def rank(n: int, q: float) -> int:
    """The nearest rank of the quantile `q` (0 to 1) of `n` values, from 1: ceil(q n)."""
    return max(1, math.ceil(q * n - 1e-9))  # 0.07 * 100 is 7.000000000000001 in binary


def quantile_us(counts: Mapping[int, int], q: float) -> float | None:
    """The nearest-rank quantile in microseconds, within 1 %; None where nothing was counted."""
    total = sum(counts.values())
    if not total:
        return None
    left = rank(total, q)
    for key in sorted(counts):
        left -= counts[key]
        if left <= 0:
            return value_us(key)
    raise AssertionError("ranks end at the total")
