"""A clock that goes only while the event loop turns, for waiting for others: our own delay is not theirs.

While our own work, or a machine that has no CPU for us, holds the loop up, answers lie there unread and timers are
late. By the wall, whoever has answered long ago would then be taken for slow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

TICK_S = 0.02  # between two looks, while somebody waits
STEP_S = 0.03  # of the time between two looks that counts in any case
LEAST = 0.25  # of all time that counts, so that nobody waits for more than four times as long as was meant


class TurningTime:
    """Seconds in which the loop turned, from looks at the wall's clock. Pure; times are monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._seen = now
        self._turned = 0.0

    def at(self, now: float) -> float:
        """How long it has turned until now; asked again and again, at least each STEP_S while that is not to stop."""
        passed = max(0.0, now - self._seen)
        self._seen += passed
        self._turned += min(passed, max(STEP_S, LEAST * passed))
        return self._turned


class Alarm:
    """Rings after some seconds by a LoopClock, unless it was left before: use it by `with`. None: never."""

    def __init__(self, clock: LoopClock, seconds: float | None, ring: Callable[[], None]) -> None:
        self.clock = clock
        self.at = float("inf") if seconds is None else clock.now() + seconds
        self.ring = ring
        self.rung = False

    @property
    def left_s(self) -> float:
        """Until it rings; below 0: it should have."""
        return self.at - self.clock.now()

    def __enter__(self) -> Alarm:
        self.clock.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.clock.remove(self)


class LoopClock:
    """The clock of one loop. It ticks only while an alarm is set: between, hardly any time passes by it."""

    def __init__(self) -> None:
        self._time = TurningTime(time.monotonic())
        self._alarms: set[Alarm] = set()
        self._ticking: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """Seconds, of use only in differences."""
        return self._time.at(time.monotonic())

    def alarm(self, seconds: float | None, ring: Callable[[], None] = lambda: None) -> Alarm:
        """Calls `ring` after so long."""
        return Alarm(self, seconds, ring)

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[asyncio.Timeout]:
        """As asyncio.timeout, by this clock: raises TimeoutError."""
        async with asyncio.timeout(None) as limit:
            with self.alarm(seconds, lambda: limit.reschedule(0)):
                yield limit

    def add(self, alarm: Alarm) -> None:
        self._alarms.add(alarm)
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def remove(self, alarm: Alarm) -> None:
        self._alarms.discard(alarm)
        if not self._alarms and self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    def _tick(self) -> None:
        now = self.now()
        self._ticking = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        for alarm in [one for one in self._alarms if one.at <= now]:
            self.remove(alarm)
            alarm.rung = True
            alarm.ring()
