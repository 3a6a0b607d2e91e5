"""Since when more comes in than can be taken: a refusal for that tells of it for some seconds."""

from __future__ import annotations

OVER_S = 10.0  # after the last refusal


class Overload:
    """Of one process. Times are Unix seconds."""

    def __init__(self) -> None:
        self._first = self._last = float("-inf")

    def refused(self, now: float) -> None:
        """Something was refused because the queue is full or a turn would have come too late."""
        if self.since(now) is None:
            self._first = now
        self._last = now

    def since(self, now: float) -> float | None:
        """When the first was refused; None: nothing was lately."""
        return self._first if now - self._last < OVER_S else None
