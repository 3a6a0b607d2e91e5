"""Who this process is: its row in `processes`, and its heartbeat."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError

from server.kernel import shared_clock
from server.kernel.db import Database
from server.kernel.names import HOST, name_process
from server.process import process_store as store
from server.process.process_store import HeartbeatGauges

log = logging.getLogger("evenkeel.process")

HEARTBEAT_S = 1.0
LAG_PROBE_S = 0.1

Kind = Literal["web", "watch"]


class Process:
    """This process. `id` is 0 until `register`."""

    def __init__(self, db: Database, kind: Kind, name: str) -> None:
        self.db = db
        self.kind: Kind = kind
        self.name = name  # web.1
        self.host = HOST
        self.id = 0
        self.gauges = HeartbeatGauges()
        self.started = shared_clock.now()
        name_process(name)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def label(self) -> str:
        """The name that is unique across machines."""
        return f"{self.host}/{self.name}"

    async def register(self) -> None:
        """Take a new row; ids are never used again."""
        async with self.db.act() as connection:
            self.id = await store.register(connection, self.kind, self.name, self.host, os.getpid())

    def start(self) -> None:
        """Beat and measure the loop's lag until closed."""
        self._tasks = [
            asyncio.create_task(self._beat(), name="heartbeat"),
            asyncio.create_task(self._probe(), name="loop lag"),
        ]

    async def _beat(self) -> None:
        while True:
            try:
                async with self.db.act() as connection:
                    await store.beat(connection, self.id, self.gauges, rss_bytes())
                self.gauges.loop_lag_ms = 0.0
            except (SQLAlchemyError, OSError) as error:
                log.warning("heartbeat not written: %s", error)
            await asyncio.sleep(HEARTBEAT_S)

    async def _probe(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(LAG_PROBE_S)
            lag_ms = (loop.time() - before - LAG_PROBE_S) * 1000
            self.gauges.loop_lag_ms = max(self.gauges.loop_lag_ms, lag_ms)

    async def close(self) -> None:
        """Stop beating and say that the stop was orderly."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with self.db.act() as connection:
                await store.stopped(connection, self.id)
        except (SQLAlchemyError, OSError) as error:
            log.warning("orderly stop not recorded: %s", error)


def rss_bytes() -> int:
    """Resident memory now, in bytes; where /proc is missing, the peak."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - one cheap read a second
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
