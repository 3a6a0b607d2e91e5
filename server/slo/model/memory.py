"""What is remembered of an objective besides its counts: when it failed, and what came after an alarm.

The confidence bound of server/slo/model/confidence.py takes failures as independent. Those of
one client that tries again for a minute are not, so a burn tier holds only on 30
failures, as the fast test needs for what is no outage, or on failures in at least three
different minutes of its long window.

The short window of a tier says that a burn still goes on. After an outage it says so for
as long as it reaches back into it: half an hour for 6h/30m. So once what came after an
alarm of the fast test is surely below a tier's rate, that is the short window.

It is published with the picture, so that the next watch goes on where this one was.
"""

from __future__ import annotations

from fractions import Fraction

from msgspec import Struct, field

from server.slo.model.confidence import surely_below
from server.slo.model.counts import Counts
from server.slo.model.sequential import OVER, Fast

FEWEST_MINUTES = 3
ONE_CLIENT = 30  # failures: so many are not one client's
MINUTE_S = 60
EARLY_S = 120  # a window begins at a whole minute, and is read anew within another


class Recovery(Struct):
    """What came since a failure seems to have ended, Unix seconds; total 0: not counted. In so many seconds it will be
    sure, as things go."""

    since: float
    bad: int
    total: int
    sure_in_s: float


class Memory(Struct):
    """`minutes`: the last three with a failure, rising. `since`: when the last alarm of the fast test ended, and what
    was counted from then on; None: none has ended, or one is on. `fast` is the test before the second `next`; None: it
    knows nothing. `heard`: since when the objective is listened to; what came before is as an alarm that has ended.
    `better`: where what the last alarm was of ended, with what was counted from there to the alarm's end. Unix
    seconds."""

    minutes: list[int] = field(default_factory=list)
    since: int | None = None
    bad: int = 0
    total: int = 0
    next: int | None = None
    fast: Fast | None = None
    heard: int | None = None
    better: int | None = None
    better_bad: int = 0
    better_total: int = 0

    def begin(self, end: int) -> None:
        """Note when the objective is first evaluated: at `end`, Unix seconds."""
        if self.heard is None:
            self.heard = self.since = end

    def younger(self, seconds: int, end: float) -> bool:
        """Whether it has been evaluated for less than `seconds` before `end`."""
        return self.heard is not None and end - self.heard < seconds

    def failed(self, second: int) -> None:
        """Remember the minute of a failure."""
        minute = second - second % MINUTE_S
        if minute not in self.minutes:
            self.minutes = sorted([*self.minutes, minute])[-FEWEST_MINUTES:]

    def count(self, second: int, n: int, bad: int) -> None:
        """Add what a second counted, where it came after the last alarm."""
        if self.since is not None and second >= self.since:
            self.total += n
            self.bad += bad

    def alarm(self, fast: Fast, was_on: bool, end: int) -> None:
        """Note whether the fast test is on before `end`; when an alarm ends, count anew from there."""
        if fast.on:
            self.since = self.better = None
        elif was_on:
            self.since, self.bad, self.total = end, 0, 0
            self.better, self.better_bad, self.better_total = fast.better, fast.better_bad, fast.better_total

    def recovery(self, fast: Fast, end: float) -> Recovery | None:
        """What says that a burn is over: while the test is on, once it is half way to its end. None: nothing does."""
        if fast.on:
            if fast.over < OVER / 2:
                return None
            took_s = max(1.0, end - fast.better)
            return Recovery(fast.better, fast.better_bad, fast.better_total, took_s * (OVER - fast.over) / fast.over)
        if self.better is None:
            return None
        return Recovery(self.better, self.better_bad + self.bad, self.better_total + self.total, 0.0)

    def several(self, bad: int, long_s: int, end: float) -> bool:
        """Whether the `bad` failures of the window before `end` are surely not one client's."""
        if bad >= ONE_CLIENT:
            return True
        return len(self.minutes) == FEWEST_MINUTES and self.minutes[0] + MINUTE_S > end - long_s

    def short(self, counted: Counts, short_s: int, end: float, ratio: Fraction) -> Counts:
        """What a short window before `end` counted; what came after the alarm alone, where surely below `ratio`."""
        if self.since is None or self.since <= end - short_s - EARLY_S:
            return counted
        below = surely_below(self.bad, self.total, float(ratio))
        return Counts(self.total - self.bad, self.bad) if below else counted
