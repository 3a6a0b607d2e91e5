"""Who this process is: its row in `processes`, and its heartbeat."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import time
from typing import Literal

from server.kernel import shared_clock
from server.kernel.connection import Connection, OwnConnection, opened
from server.kernel.database_trouble import DatabaseTrouble
from server.kernel.db import AWAY, LIMITS, Database, pooled
from server.kernel.loop import Loop
from server.kernel.names import HOST, name_process
from server.kernel.pool_sizes import SharedConnections
from server.process import process_store as store
from server.process.process_store import HeartbeatGauges

log = logging.getLogger("evenkeel.process")

HEARTBEAT_S = 1.0
LIMIT_S = 10.0  # for one heartbeat
LAG_PROBE_S = 0.1
FIT_EVERY_S = 60.0
HELD = {"statement_timeout": LIMITS["statement_timeout"]}

Kind = Literal["web", "watch"]


class Process:
    """This process. `id` is 0 until `register`."""

    def __init__(self, db: Database, kind: Kind, name: str, on_machine: int = 1) -> None:
        self.db = db
        self.on_machine = on_machine  # processes that start here
        self.kind: Kind = kind
        self.name = name  # web.1
        self.host = HOST
        self.id = 0
        self.gauges = HeartbeatGauges()
        self.connections: SharedConnections | None = None  # of the database; None: not known yet
        self._fitted_at = float("-inf")  # monotonic
        self.started = shared_clock.now()
        name_process(name)
        self._probed_at = 0.0  # by the loop's clock
        self._heart = Loop("the heartbeat", self._beat, HEARTBEAT_S)
        self._connection = OwnConnection(db, "heartbeat")
        self.database = DatabaseTrouble(self._connection.clock.now)  # as the heartbeat finds it
        self._lag: asyncio.TimerHandle | None = None

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
        self._probed_at = asyncio.get_running_loop().time()
        self._probe_later()
        self._heart.wake()
        self._heart.start()

    async def _beat(self) -> None:
        with self.database.asking():
            async with self._connection.use(LIMIT_S) as connection:
                holds = await store.beat(connection, self.id, self.gauges, rss_bytes())
                if holds is not None and not pooled(connection):  # each time: a pooler may change sessions unseen
                    self.db.read_back(self._connection.purpose, HELD, (holds,))
        self.gauges.loop_lag_ms = 0.0
        if time.monotonic() - self._fitted_at > FIT_EVERY_S:
            async with self._connection.use(LIMIT_S) as connection:
                await self._fit(connection)

    async def _fit(self, connection: Connection) -> None:
        """Fit the pools to what the server lets in, shared by all who are there now."""
        self._fitted_at = time.monotonic()
        found = await store.shared_connections(connection, self.on_machine)
        if found != self.connections:
            log.log(logging.INFO if found.enough else logging.WARNING, "%s", found)
        self.connections = found
        self.db.fit(found.sizes)
        if self.db.apart is not None:
            with contextlib.suppress(*AWAY):
                async with opened(self.db.apart, "sizes") as apart:
                    allowed = await store.connections_allowed(apart)
                self.db.apart.fit(found._replace(allowed=allowed).sizes)

    def _probe_later(self) -> None:
        """A timer and no task: ten a second are to cost nothing."""
        self._lag = asyncio.get_running_loop().call_later(LAG_PROBE_S, self._probe)

    def _probe(self) -> None:
        """How much later than planned the loop came to this."""
        before, self._probed_at = self._probed_at, asyncio.get_running_loop().time()
        lag_ms = (self._probed_at - before - LAG_PROBE_S) * 1000
        self.gauges.loop_lag_ms = max(self.gauges.loop_lag_ms, lag_ms)
        self._probe_later()

    async def close(self) -> None:
        """Stop beating and say that the stop was orderly."""
        await self._heart.close()
        await self._connection.close()
        if self._lag is not None:
            self._lag.cancel()
        try:
            async with self.db.act() as connection:
                await store.stopped(connection, self.id)
        except AWAY as error:
            log.warning("orderly stop not recorded: %s", error)


def rss_bytes() -> int:
    """Resident memory now, in bytes; where /proc is missing, the peak."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - one cheap read a second
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
