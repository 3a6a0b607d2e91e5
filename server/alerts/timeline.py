"""What a ledger has counted, minute by minute, so that any window is the difference of two sums."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from server.slo.model.counts import Counts

MINUTE_S = 60


class Columns(NamedTuple):
    """Minutes, or hours by their first, side by side; without what exclusions take out. Unix seconds."""

    starts: Sequence[int]
    good: Sequence[int]
    bad: Sequence[int]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Minutes from `start`, Unix seconds. `total` and `bad` hold the sums of all before each minute, and of all."""

    start: int
    total: list[int]
    bad: list[int]

    def at(self, minute: int) -> int:
        """The Unix second at which a minute begins."""
        return self.start + minute * MINUTE_S

    def index(self, at: float) -> int:
        """The minute in which a time is, within what is kept."""
        return min(max(0, int(at - self.start) // MINUTE_S), len(self.total) - 1)

    def between(self, first: int, end: int) -> Counts:
        """The counts of the minutes [first, end)."""
        bad = self.bad[end] - self.bad[first]
        return Counts(self.total[end] - self.total[first] - bad, bad)

    def before(self, end: int, window_s: int) -> Counts:
        """The counts of the window that ends where minute `end` begins."""
        return self.between(max(0, end - window_s // MINUTE_S), end)

    def change_point(self, end: int, window_s: int, ratio: float) -> int:
        """The minute of a window since which most was bad above `ratio`: where the sum of the excess is least."""
        first = max(0, end - window_s // MINUTE_S)
        excess = [b - ratio * t for b, t in zip(self.bad[first:end], self.total[first:end], strict=True)]
        least = min(excess)
        return first + max(index for index, value in enumerate(excess) if value == least)

    def burning(self, window_s: int, ratio: float) -> set[int]:
        """The ends of all windows in which at least this ratio was bad."""
        width = window_s // MINUTE_S
        bad, total = self.bad, self.total
        pairs = zip(bad[width:], bad, total[width:], total, strict=False)
        return {
            index
            for index, (bad_then, bad_before, then, before) in enumerate(pairs, width)
            if bad_then != bad_before and bad_then - bad_before >= ratio * (then - before)
        }


def timeline(start: int, end: int, kept: Iterable[Columns]) -> Timeline:
    """The minutes of [start, end), both whole minutes; what lies outside is left out."""
    count = (end - start) // MINUTE_S
    total, bad = [0] * (count + 1), [0] * (count + 1)
    for columns in kept:
        for at, good, failed in zip(*columns, strict=True):
            index = (at - start) // MINUTE_S
            if 0 <= index < count:
                total[index + 1] += good + failed
                bad[index + 1] += failed
    return Timeline(start, list(accumulate(total)), list(accumulate(bad)))
