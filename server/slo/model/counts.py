"""What an objective has counted: whole numbers, added up, never averaged; and the sum of deltas they come from."""

from __future__ import annotations

from typing import NamedTuple

from server.live.deltas import Delta
from server.slo.model.objective import Objective


class Counts(NamedTuple):
    """Good and bad make up the total; excluded ones are known but do not count.

    For latency the excluded are the bad outcomes, and those that were sent while
    the threshold was not yet measured.
    """

    good: int = 0
    bad: int = 0
    excluded: int = 0

    @property
    def total(self) -> int:
        return self.good + self.bad

    def plus(self, other: Counts) -> Counts:
        """The sum."""
        return Counts(self.good + other.good, self.bad + other.bad, self.excluded + other.excluded)

    def without(self, part: Counts) -> Counts:
        """What is left when a part is taken out."""
        return Counts(self.good - part.good, self.bad - part.bad, self.excluded - part.excluded)


NOTHING = Counts()


class Tally:
    """The deltas of one service in one span of time, added up so that any objective can be counted from them.

    `fast` and `slow` are the good outcomes at or under each threshold (microseconds)
    and above it, of those whose process measured it: a delta has a pair for every
    threshold that was measured, also where the count is 0.
    """

    __slots__ = ("bad", "fast", "n", "slow")

    def __init__(self) -> None:
        self.n = 0
        self.bad = 0
        self.fast: dict[int, int] = {}
        self.slow: dict[int, int] = {}

    def add(self, delta: Delta) -> None:
        """Add one delta."""
        self.n += delta.n
        self.bad += delta.bad
        for threshold, fast in delta.fast.items():
            self.fast[threshold] = self.fast.get(threshold, 0) + fast
            self.slow[threshold] = self.slow.get(threshold, 0) + delta.n - delta.bad - fast

    def unmeasured(self, threshold_us: int) -> int:
        """The good outcomes of which nobody knows whether they were at or under a threshold."""
        return self.n - self.bad - self.fast.get(threshold_us, 0) - self.slow.get(threshold_us, 0)

    def counts(self, objective: Objective) -> Counts:
        """Good, bad and excluded for an objective; together always `n`."""
        if objective.threshold_us is None:
            return Counts(self.n - self.bad, self.bad, 0)
        fast = self.fast.get(objective.threshold_us, 0)
        slow = self.slow.get(objective.threshold_us, 0)
        return Counts(fast, slow, self.n - fast - slow)
