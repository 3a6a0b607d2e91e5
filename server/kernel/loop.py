"""Doing the same thing again and again until closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from server.kernel.db import AWAY
from server.kernel.text import first_line

log = logging.getLogger("evenkeel.loop")

CANCEL_AGAIN_S = 2.0


class Loop:
    """Calls `run` again and again, in a task of its own, until closed. `name` says in the log what it does.

    When: it waits `every_s` seconds, a number or a call that gives one, then runs, then waits again; after a failure
    it waits `retry_s`, where given. With 0 it does not wait: then `run` itself must. `wake` ends a wait at once;
    during a run it leads to one more, before the start to a first run at once, and several count as one.

    How long: a run is cut off after `limit_s` seconds, which is a failure (TimeoutError).

    Failures never end the loop. The `expected` ones, a database that is away, are logged once an outage: the first
    as a warning, its end too, and nothing between. Others are logged each time with their traceback. A run that
    goes on for as long as all is well calls `works` once it is.

    Ending: `close` cancels and waits. A library may swallow a cancellation (as asyncio.wait_for of Python 3.11) or
    turn it into another exception; so whoever cancelled, the loop ends with the run that was cancelled, however
    that ends; and where that does not end, `close` cancels again.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], Awaitable[object]],
        every_s: float | Callable[[], float],
        *,
        retry_s: float | None = None,
        limit_s: float | None = None,
        expected: tuple[type[Exception], ...] = AWAY,
    ) -> None:
        self.name = name
        self.failing = False  # the last run has failed
        self._run = run
        self._every_s = every_s
        self._retry_s = retry_s
        self._limit_s = limit_s
        self._expected = expected
        self._away = False  # an outage has been logged, its end has not
        self._wake = asyncio.Event()
        self._last = False  # the next run is the last
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Begin, with a wait. Call it inside the event loop; after `close` it may be started again."""
        assert not self.running, f"{self.name} has been started already"
        self._task = asyncio.create_task(self._forever(), name=self.name)

    def wake(self, _number: int = 0) -> None:
        """Run without waiting any longer. It can listen to the bus."""
        self._wake.set()

    async def _forever(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        while True:
            await self._wait()
            last = self._last
            await self._once()
            if last or task.cancelling():
                return

    async def _wait(self) -> None:
        seconds = self._retry_s if self.failing and self._retry_s is not None else self._every_s
        seconds = seconds() if callable(seconds) else seconds
        if seconds > 0:
            # A timer that sets the event cancels nothing, so that no time-out is taken for a cancellation.
            timer = asyncio.get_running_loop().call_later(seconds, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()
        self._wake.clear()

    async def _once(self) -> None:
        try:
            async with asyncio.timeout(self._limit_s):
                await self._run()
        except self._expected as error:
            self.failing = True
            if not self._away:
                log.warning("%s: %s; trying again", self.name, first_line(error))
            self._away = True
        except Exception:
            self.failing = True
            log.exception("%s failed", self.name)
        else:
            self.works()

    def works(self) -> None:
        """What it does works: an outage that was logged is over."""
        self.failing = False
        if self._away:
            log.info("%s: works again", self.name)
        self._away = False

    async def close(self, last_run_s: float = 0.0) -> None:
        """End it and wait until it has ended.

        With `last_run_s` there is one more run, after the one in progress, and both are cut off after so long.
        """
        if self._task is None:
            return
        if last_run_s:
            self._last = True
            self.wake()
            await asyncio.wait([self._task], timeout=last_run_s)
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CANCEL_AGAIN_S)
        self._task = None
        self._last = False
