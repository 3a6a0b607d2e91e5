"""Reading anew, together: many who need a fresh read share one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from server.kernel.db import AWAY
from server.kernel.loop import Loop

log = logging.getLogger("evenkeel.auth")

POLL_S = 2.0
FRESH_S = 4.0  # with the read itself, a revocation is seen within 5 s
WAIT_S = 0.3  # for a read that is late: then who asks goes on with what there is
PAUSE_S = 0.05  # between reads, so that a flood of unknown keys costs at most 20 queries a second


class Fresh:
    """Keeps something read from the database fresh: every POLL_S, on a signal, and when asked."""

    def __init__(self, what: str, read: Callable[[], Awaitable[None]]) -> None:
        self.what = what
        self.failing = False
        self.read_at = float("-inf")  # monotonic
        self._read = read
        self._lock = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None
        self._reads: set[asyncio.Task[None]] = set()
        self._loop = Loop(f"keeping {what} fresh", self.quietly, POLL_S)

    @property
    def age_s(self) -> float:
        """Seconds since the last read that succeeded began."""
        return time.monotonic() - self.read_at

    async def now(self) -> None:
        """Wait for a read that begins after this call; raises what the read raises."""
        if self._next is None:
            self._next = asyncio.create_task(self._run(), name=f"read {self.what}")
            self._reads.add(self._next)
            self._next.add_done_callback(self._ended)
        await asyncio.shield(self._next)

    def _ended(self, read: asyncio.Task[None]) -> None:
        self._reads.discard(read)
        if not read.cancelled():
            read.exception()  # whoever waited has it; where nobody waits any more, it was logged

    async def if_old(self) -> None:
        """Read if it is too old to be relied on; while the database is away or slow, go on with what there is."""
        if self.age_s > FRESH_S and not self.failing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S):
                    await self.quietly()

    async def quietly(self) -> None:
        """Read, and only log a failure."""
        try:
            await self.now()
        except AWAY as error:
            log.debug("%s not read: %s", self.what, error)

    async def _run(self) -> None:
        async with self._lock:
            await asyncio.sleep(PAUSE_S - min(self.age_s, PAUSE_S))
            self._next = None  # who asks from here on needs a later read
            began = time.monotonic()
            try:
                await self._read()
            except AWAY as error:
                if not self.failing:
                    log.warning("%s cannot be read, going on with those known: %s", self.what, error)
                self.failing = True
                raise
            self.read_at, self.failing = began, False

    def signal(self, _number: int = 0) -> None:
        """Something changed elsewhere: read soon."""
        self._loop.wake()

    async def start(self) -> None:
        """Read once, raising what that raises; then keep reading until closed."""
        await self.now()
        self._loop.start()

    async def close(self) -> None:
        """Stop reading."""
        await self._loop.close()
        for read in self._reads:
            read.cancel()
        await asyncio.gather(*self._reads, return_exceptions=True)
