"""What the outcomes of one service in one span of time come to, for any objective."""

from __future__ import annotations

from server.live.deltas import Delta
from server.slo.model.counts import Counts
from server.slo.model.objective import Objective


class Tally:
    """A sum of deltas.

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
