"""The tick: once a second from new deltas to the published picture."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.bus import Bus
from server.kernel.db import Database
from server.live import refusals_store
from server.live.refusals import Refusals, refusals
from server.live.service import LiveService
from server.live.silence import USUAL_S
from server.live.tail import Hear, Tail
from server.live.windows import MINUTE_S, Windows
from server.picture import store
from server.picture.picture import Gap, Picture
from server.process.process import Process
from server.process.watch import Fenced

log = logging.getLogger("evenkeel.tick")

EVERY_S = 1.0
PHASE = 0.25  # of a second: enough of the newest one is there to be judged, and nothing waits for its end
OTHER_EVERY_S = 30.0

Evaluate = Callable[[list[LiveService], float], Awaitable[msgspec.Raw]]
Alert = Callable[[int, float], Awaitable[msgspec.Raw]]


class Tick:
    """Makes the picture, as a job of the watch.

    `hear` is told of the deltas; then `evaluate` answers the state of the objectives, and `alert(term, now)` the
    open alerts.
    """

    def __init__(  # noqa: PLR0917 - what is known, then who is asked, in the order of a tick
        self, db: Database, bus: Bus, process: Process, hear: Hear, evaluate: Evaluate, alert: Alert
    ) -> None:
        self.db = db
        self.bus = bus
        self.process = process
        self.evaluate = evaluate
        self.alert = alert
        self.tail = Tail(hear)
        self.windows: Windows | None = None
        self.term = 0
        self.seq = 0
        self.slo = msgspec.Raw(b"null")
        self.alerts = msgspec.Raw(b"[]")
        self.evaluated_at = 0.0
        self.alerted_at = 0.0
        self.gap: Gap | None = None
        self._other = (0, float("-inf"))

    async def run(self, term: int) -> None:
        """One picture; Fenced where another watch has taken over."""
        now = time.time()
        try:
            picture = await self._picture(term, now)
        except BaseException:
            self.windows = None  # half-read: the next tick starts from the deltas that are kept
            raise
        picture.slo = await self._evaluated(picture.services, now)
        picture.alerts = await self._alerted(term, now)
        picture.evaluated_at, picture.alerted_at = self.evaluated_at, self.alerted_at
        async with self.db.act() as connection:
            if not await store.write(connection, term, picture.seq, msgspec.json.encode(picture)):
                raise Fenced(f"the lease is no longer in term {term}")
        await self.bus.publish("picture", picture.seq)

    async def _picture(self, term: int, now: float) -> Picture:
        end = int(now) + 1
        async with self.db.ask() as connection:
            windows = await self._windows(connection, term, end)
            self.seq = max(self.seq + 1, int(now))  # grows, also after the unlogged row was lost
            return Picture(
                seq=self.seq,
                at=now,
                term=term,
                watch=self.process.label,
                services=windows.pictures(await self._refusals(connection, now)),
                processes=await store.processes(connection),
                restarts=await store.restarts(connection),
                gap=self.gap,
                revision=await store.revision(connection),
                redis=self.bus.redis_ok,
                other_series=await self._other_series(connection),
            )

    async def _windows(self, connection: AsyncConnection, term: int, end: int) -> Windows:
        if self.windows is not None and self.term == term:
            await self.tail.follow(connection, self.windows, end)
            return self.windows
        stored = await store.read(connection)
        if self.term != term:
            self.gap = Gap(time.time(), stored.age_s) if stored else None
        last = msgspec.json.decode(stored.body, type=Picture) if stored else None
        self.seq = max(self.seq, stored.seq if stored else 0)
        if self.term != term:
            self._follows(last)
        self.windows, self.term = await self.tail.rebuild(connection, end, last), term
        return self.windows

    def _follows(self, last: Picture | None) -> None:
        """In a new term what has not been evaluated since the last picture still has not; else it counts from now."""
        begun = last.at if last else time.time()
        evaluated, alerted = (last.evaluated_at, last.alerted_at) if last else (None, None)
        self.evaluated_at = begun if evaluated is None else evaluated
        self.alerted_at = begun if alerted is None else alerted

    async def _refusals(self, connection: AsyncConnection, now: float) -> dict[str, Refusals]:
        rows = await refusals_store.intake(connection, now - MINUTE_S)
        unknown = any(not row.service for row in rows)
        senders = await refusals_store.senders(connection, now - USUAL_S) if unknown else {}
        return refusals(rows, senders)

    async def _evaluated(self, services: list[LiveService], now: float) -> msgspec.Raw:
        """The objectives' state; the last one, and the picture says of when, where evaluation fails."""
        try:
            self.slo = await self.evaluate(services, now)
            self.evaluated_at = now
        except Exception:
            log.exception("objectives not evaluated")
        return self.slo

    async def _alerted(self, term: int, now: float) -> msgspec.Raw:
        """The open alerts; the last ones, and the picture says of when, where they cannot be kept."""
        try:
            self.alerts = await self.alert(term, now)
            self.alerted_at = now
        except Fenced:
            raise
        except Exception:
            log.exception("alerts not kept")
        return self.alerts

    async def _other_series(self, connection: AsyncConnection) -> int:
        if time.monotonic() - self._other[1] >= OTHER_EVERY_S:
            self._other = (await store.other_series(connection), time.monotonic())
        return self._other[0]
