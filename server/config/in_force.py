"""The settings in force in this process: applied within milliseconds of a signal, else by polling.

Of a staged revision only the chosen processes take the values; a process that starts takes its base.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from server.changes import store as changes
from server.config import store
from server.config.expiry import expire_due
from server.config.registry import SETTINGS, Limits, Value, environment_values
from server.config.revisions import Entries, Revision, key_id_of, limits, scopes, sources
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.loop import Loop
from server.kernel.names import OWN
from server.kernel.settings import Environment
from server.process.process import Process

log = logging.getLogger("evenkeel.config")

POLL_S = 5.0
RETRY_S = 0.5
LIMIT_S = 15.0  # for one look
# The watch ends temporary values on time; where there is no watch, any process does it this much later.
OVERDUE_S = 10.0


class SettingsInForce:
    """One process's settings. Make it inside the running loop. Raises ConfigurationError for a bad environment."""

    def __init__(self, env: Environment, db: Database, bus: Bus, process: Process) -> None:
        self.db = db
        self.bus = bus
        self.process = process
        self.environment = environment_values(env.raw)
        self.revision = 0  # in force here; 0 before the start
        self.entries: Entries = ()
        self._all = limits((), self.environment)
        self._by_key: dict[int, Limits] = {}
        self._applied = 0.0
        self._receipt = 0  # the newest revision that we have a receipt for
        # Whatever is wrong, the brake must be tried again: all of it is expected.
        self._loop = Loop(
            "reading the settings", self._refresh, POLL_S, retry_s=RETRY_S, limit_s=LIMIT_S, expected=(Exception,)
        )
        bus.subscribe("config", self.signal)

    def limits_for(self, key_id: int) -> Limits:
        """The limits in force for a key: a look-up, with no waiting."""
        return self._by_key.get(key_id, self._all)

    def lowered(self, name: str, key_id: int) -> bool:
        """Whether a revision lets in less of a key than the environment or, where that says nothing, the default."""
        lets_in = SETTINGS[name].lets_in
        usual = self.environment.get(name, SETTINGS[name].default)
        return lets_in(self.limits_for(key_id).value(name)) < lets_in(usual)

    async def start(self) -> None:
        """Load the revision in force, record a difference of the environment, and follow."""
        async with self.db.act() as connection:
            await store.lock(connection)
            await self._compare_environment(connection)
        await self._refresh()
        self._loop.start()

    async def close(self) -> None:
        await self._loop.close()

    def signal(self, number: int) -> None:
        """A revision was made: look now."""
        if number != self.revision:
            self._loop.wake()

    async def _refresh(self) -> None:
        """Apply what is in force, then prove it; end what is overdue."""
        async with self.db.act() as connection:
            found, now = await store.in_force(connection, self.process.id)
            if found.number != self.revision or found.entries != self.entries:
                self._apply(found)
            proven = self._receipt == found.number
            if not proven:
                since = time.monotonic() - self._applied
                applied = sources(self.entries, self.environment)
                await store.write_receipt(connection, self.process.id, found.number, since, applied)
        if not proven:
            self._receipt = found.number
            await self.bus.publish("receipt", found.number)
        if any(entry.until is not None and entry.until + OVERDUE_S < now for entry in found.entries):
            log.warning("a temporary value is overdue and no watch has ended it")
            if await expire_due(self.db, self.bus, self.environment) is not None:
                self._loop.wake()

    def _apply(self, found: Revision) -> None:
        for_all = limits(found.entries, self.environment)
        by_key = {key_id_of(scope): limits(found.entries, self.environment, scope) for scope in scopes(found.entries)}
        self._all, self._by_key = for_all, by_key
        self.entries, self.revision = found.entries, found.number
        self._applied = time.monotonic()
        log.info("revision %d is in force here", found.number)

    async def _compare_environment(self, connection: AsyncConnection) -> None:
        """Record where the environment gives other values than it last gave on this host."""
        host = self.process.host
        last = await changes.last_environment(connection, host)
        now = self.environment
        names = [name for name in SETTINGS if last.get(name) != now.get(name)]
        if not names:
            return
        words = ", ".join(f"{SETTINGS[name].title} {shown(name, last)} -> {shown(name, now)}" for name in names)
        detail = {"host": host, "environment": now}
        summary = f"environment of {host}: {words}"
        await changes.record(connection, "environment", OWN, "", summary, author=f"host:{host}", detail=detail)


def shown(name: str, environment: Mapping[str, Value]) -> str:
    """What an environment says about a setting, for people."""
    return SETTINGS[name].shown(environment[name]) if name in environment else "not set"
