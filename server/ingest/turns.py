"""Turns: one event loop takes outcomes in and answers people, so ingest works in slices, with others between them.

Without that, bodies that come together are decoded in one turn of the loop, and a page, which takes some forty turns,
waits for all of them each time. So a turn of the loop has room for so much ingest. What does not fit waits for its
turn, first come first served, and where that would take too long it is refused before it is decoded, or even read.
While somebody else is being answered, ingest rests between its slices.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from server.kernel.errors import ApiError

SLICE_S = 0.005  # of ingest in a turn of the loop; one body is always let in
REST_S = 0.01  # between two slices, while others are being answered
WAIT_MAX_S = 1.0  # for a turn: senders are answered within 2 s, the wait for the commit included
GUESS = 30e-9  # seconds a byte, before anything was seen
FADES = 0.9  # what was seen before counts so much less with each turn

BUSY = "More comes in than can be taken. Nothing of this was stored: send it again."


class Pace:
    """Seconds of work a byte, from what was seen lately."""

    def __init__(self) -> None:
        self._seconds, self._bytes = GUESS * 100_000, 100_000.0

    def saw(self, size: int, seconds: float) -> None:
        """So many bytes took so long, with what else was done in that turn."""
        self._seconds = FADES * self._seconds + seconds
        self._bytes = FADES * self._bytes + size

    def seconds(self, size: int) -> float:
        """How long so many bytes will take."""
        return size * self._seconds / self._bytes


class WaitingBody(NamedTuple):
    """A body that waits for its turn."""

    size: int
    let_in: asyncio.Future[None]


class Turns:
    """Who may work in this turn of the loop, and who in a later one. Sizes are bytes, decompressed.

    `others` says whether somebody is being answered who comes first.
    """

    def __init__(self) -> None:
        self.pace = Pace()
        self.others: Callable[[], bool] = lambda: False
        self.waiting_bytes = 0
        self._waiting: deque[WaitingBody] = deque()
        self._at_work = 0  # bytes let in this turn; 0: none, and the turn's end is not looked for
        self._began = 0.0  # perf_counter
        self._rests_until = 0.0  # likewise
        self._resting = False  # a timer will let in the next

    async def next(self, size: int) -> None:
        """Wait for a turn; what is done after it until the next await is done in it. ApiError QUEUE_FULL."""
        size = max(1, size)
        if not self.waiting_bytes and self._fits(size) and not self._rest():
            self._let_in(size)
            return
        self.require()
        waiting = WaitingBody(size, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self.waiting_bytes += size
        await waiting.let_in

    def _rest(self) -> bool:
        """Whether it is not yet time for the next slice; then a timer waits for that."""
        if self._resting:
            return True
        left_s = self._rests_until - time.perf_counter()
        if self._at_work or left_s <= 0 or not self.others():
            return False
        self._resting = True
        asyncio.get_running_loop().call_later(left_s, self._rested)
        return True

    def _rested(self) -> None:
        self._resting = False
        self._let_in_next()

    def require(self) -> None:
        """ApiError QUEUE_FULL where whoever comes now would wait too long."""
        if self.pace.seconds(self.waiting_bytes) > WAIT_MAX_S:
            raise ApiError("QUEUE_FULL", BUSY, retry_after=1)

    def _fits(self, size: int) -> bool:
        return not self._at_work or self.pace.seconds(self._at_work + size) <= SLICE_S

    def _let_in(self, size: int) -> None:
        if not self._at_work:
            self._began = time.perf_counter()
            asyncio.get_running_loop().call_soon(self._over)
        self._at_work += size

    def _over(self) -> None:
        """The turn is over, all that was let in has worked."""
        now = time.perf_counter()
        self.pace.saw(self._at_work, now - self._began)
        self._at_work = 0
        self._rests_until = now + REST_S
        self._let_in_next()

    def _let_in_next(self) -> None:
        while self._waiting and self._fits(self._waiting[0].size) and not self._rest():
            size, let_in = self._waiting.popleft()
            self.waiting_bytes -= size
            if not let_in.done():  # done: its sender has gone
                let_in.set_result(None)
                self._let_in(size)
