"""When a service that used to send has stopped: blind, not healthy.

At its usual rate r, a silence of s seconds has the probability exp(-r s); 20
expected outcomes make that 2e-9. Senders that gather for some seconds are given
three of their usual intervals.

Only what its senders sent counts: an imported log does not go on, and its end is no
silence. A refused sender still sends, so silence begins after the last refusal.
"""

from __future__ import annotations

from server.live.sliding import Ring

USUAL_S = 900
WITHOUT_S = 60  # the newest minute may be the trouble itself
SHORTEST_S = 10
EXPECTED = 20
INTERVALS = 3
FORGET_S = 24 * 3600  # silent for a day: switched off


class Usual:
    """How often one service usually sends, remembered while it is silent."""

    def __init__(self, end: int) -> None:
        self.since: int | None = None  # the first second heard of
        self.last_seen: int | None = None
        self.per_second: float | None = None
        self.interval_s = 0.0  # between two arrivals
        self.last_refused: int | None = None
        self.sent = Ring(USUAL_S, end)
        self.arrivals = Ring(USUAL_S, end)

    def heard(self, second: int, n: int = 0) -> None:
        """`n` outcomes of that second were counted."""
        self.since = second if self.since is None else min(self.since, second)
        self.last_seen = second if self.last_seen is None else max(self.last_seen, second)
        self.sent.add(second, n, 0)

    def advance(self, end: int) -> None:
        """Measure [end - 15 min, end - 1 min), without the silence; keep the last measure when that is too short."""
        self.sent.advance(end)
        self.arrivals.advance(end)
        if self.since is None or self.last_seen is None:
            return
        start, stop = max(self.since, end - USUAL_S), min(self.last_seen + 1, end - WITHOUT_S)
        if stop - start < WITHOUT_S:
            return
        self.per_second = self.sent.sum(start, stop)[0] / (stop - start)
        arrivals = self.arrivals.sum(start, stop)[0]
        self.interval_s = (stop - start) / arrivals if arrivals else 0.0

    def silent_s(self, end: int) -> int | None:
        """Seconds of silence where the service is blind, else None."""
        if self.last_seen is None or not self.per_second:
            return None
        silence = end - 1 - max(self.last_seen, self.last_refused or 0)
        needed = max(SHORTEST_S, EXPECTED / self.per_second, INTERVALS * self.interval_s)
        return silence if needed <= silence < FORGET_S else None
