"""The first stage: what was counted since goes into the live windows, and they into the picture."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.bus import Bus
from server.kernel.db import Database
from server.live import refusals_store
from server.live.refusals import Refusals, refusals
from server.live.service import LiveService
from server.live.silence import USUAL_S
from server.live.tail import Hear, Tail
from server.live.windows import MINUTE_S, LiveWindows
from server.picture import store
from server.picture.picture import Picture, ProcessPicture
from server.process.glance import Presence
from server.process.process import Process
from server.slo.judge.streams import LATE_S

OTHER_EVERY_S = 30.0


class WindowsStage:
    """The services, and what the picture says of processes and settings, all of one snapshot.

    Where it fails there is no picture, and the windows are made anew at the next tick.
    """

    def __init__(self, db: Database, bus: Bus, process: Process, hear: Hear, seen: Presence) -> None:
        self.db = db
        self.bus = bus
        self.process = process
        self.tail = Tail(hear)
        self.windows: LiveWindows | None = None
        self.term = 0
        self.seen = seen
        self._mark: tuple[object, ...] | None = None  # of what was counted when it was read last
        self._other = (0, float("-inf"))

    async def run(self, picture: Picture) -> None:
        """Fill in everything but how objectives and alerts stand."""
        try:
            mark = self.seen.mark(store.COUNTED)
            if self.windows is not None and self._as_before(picture, mark):
                await self._go_on(self.windows, picture)
            else:
                async with self.db.ask() as connection:
                    await self._fill(connection, picture)
                self._mark = mark
        except BaseException:
            self.windows = None  # half-read: the next tick starts from the deltas that are kept
            raise
        await self._excuse(picture.services)

    async def _excuse(self, services: Sequence[LiveService]) -> None:
        """While processes are exchanged a service may be silent for a minute: it is not blind by that.

        Its old processes lose what they had gathered, its new ones need time to start.
        """
        silent = {one.name: one for one in services if one.silent_s is not None and one.silent_s < store.SETTLED_S}
        if silent:
            async with self.db.ask() as connection:
                for name in await store.changing(connection, list(silent)):
                    silent[name].silent_s = None

    def _as_before(self, picture: Picture, mark: tuple[object, ...] | None) -> bool:
        """Whether nothing was counted since, and there is nothing else that has to be read."""
        none = all(self.seen.nothing(name) for name in (store.RESTARTED, store.UNDER_MAINTENANCE))
        fresh = time.monotonic() - self._other[1] < OTHER_EVERY_S
        return self.term == picture.term and mark is not None and mark == self._mark and none and fresh

    async def _go_on(self, windows: LiveWindows, picture: Picture) -> None:
        windows.advance(int(picture.at) + 1)
        found = self.seen.found
        picture.services = windows.pictures(await self._refused(picture.at))
        picture.processes = [ProcessPicture(*each.values()) for each in found[store.RUNNING_PROCESSES]]
        picture.restarts, picture.maintenance = [], []
        picture.revision, picture.targets = found[store.REVISION], found[store.TARGETS]
        picture.redis = self.bus.redis_ok

    async def _refused(self, now: float) -> dict[str, Refusals]:
        if self.seen.nothing(store.REFUSED):
            return {}
        async with self.db.ask() as connection:
            return await self._refusals(connection, now)

    async def _fill(self, connection: AsyncConnection, picture: Picture) -> None:
        windows = await self._windows(connection, picture)
        picture.services = windows.pictures(await self._refusals(connection, picture.at))
        picture.processes = await store.processes(connection)
        picture.restarts = await store.restarts(connection)
        picture.maintenance = await store.maintenance(connection)
        picture.revision = await store.revision(connection)
        picture.redis = self.bus.redis_ok
        picture.targets = await store.targets(connection)
        picture.other_series = await self._other_series(connection)

    async def _windows(self, connection: AsyncConnection, picture: Picture) -> LiveWindows:
        end = int(picture.at) + 1
        if self.windows is not None and self.term == picture.term:
            await self.tail.follow(connection, self.windows, end)
        else:
            settled = end if picture.evaluated_at is None else picture.evaluated_at - LATE_S
            self.windows = await self.tail.rebuild(connection, end, picture.services, settled)
            self.term = picture.term
        return self.windows

    async def _refusals(self, connection: AsyncConnection, now: float) -> dict[str, Refusals]:
        rows = await refusals_store.intake(connection, now - MINUTE_S)
        unknown = any(not row.service for row in rows)
        senders = await refusals_store.senders(connection, now - USUAL_S) if unknown else {}
        return refusals(rows, senders)

    async def _other_series(self, connection: AsyncConnection) -> int:
        if time.monotonic() - self._other[1] >= OTHER_EVERY_S:
            self._other = (await store.other_series(connection), time.monotonic())
        return self._other[0]
