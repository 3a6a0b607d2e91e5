"""Which services send spans: their histograms do not count, else each of their requests would count twice."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Mapping
from typing import TypeVar

from server.ingest.telemetry import meter_store as store
from server.kernel.db import AWAY, Database
from server.receivers.otlp.measured import MeasuredBuckets

NOTED_S = 60.0  # as often as it is noted of a service
LOOKED_S = 5.0  # as old may be what is known of services that send spans
AGAIN_S = 1.0  # before a service of which no span was found is looked for again, or a database that was away is asked
LOOK_S = 2.0  # for a look, after which the database is away: senders wait for what they sent

Noted = TypeVar("Noted")


class TelemetrySources:
    """What one process knows of it. While the database is away that is what it knew before, and what comes here."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._noted: dict[tuple[str, bool], float] = {}  # monotonic
        self._measured: dict[str, float] = {}  # monotonic
        self._found: set[str] = set()
        self._looked_at = self._away_at = float("-inf")  # monotonic
        self._asked: dict[str, float] = {}  # when each service was looked for last, monotonic
        self._looking = asyncio.Lock()

    async def note_spans(self, services: Collection[str], *, sampled: bool = False) -> None:
        """Spans of these have come; `sampled`: nobody knows how many requests they stand for."""
        now = time.monotonic()
        new = sorted(one for one in services if now - self._noted.get((one, sampled), float("-inf")) > NOTED_S)
        self._found.update(new)
        if not new:
            return
        with contextlib.suppress(*AWAY):  # it is noted with the next ones
            async with self.db.act() as connection:
                await store.note_spans(connection, new, sampled=sampled)
            self._noted = recent(self._noted, now) | {(one, sampled): now for one in new}

    async def note_histograms(self, measured: Mapping[str, MeasuredBuckets]) -> None:
        """Histograms of these services have counted; how exact they are."""
        now = time.monotonic()
        new = {name: one for name, one in measured.items() if now - self._measured.get(name, float("-inf")) > NOTED_S}
        if not new:
            return
        with contextlib.suppress(*AWAY):
            async with self.db.act() as connection:
                await store.note_histograms(connection, new)
            self._measured = recent(self._measured, now) | dict.fromkeys(new, now)

    async def span_services(self, asked: Collection[str]) -> Collection[str]:
        """Services of which spans have come within the hour; of those asked for also where they have just come to
        another process: what counts until that is known would count twice."""
        if not self._is_known(asked):
            async with self._looking:
                if not self._is_known(asked):  # whoever looked meanwhile may have found out
                    await self._look(asked)
        return self._found

    def _is_known(self, asked: Collection[str]) -> bool:
        """Whether what is known is new enough, or cannot be asked."""
        now = time.monotonic()
        if now - self._away_at <= AGAIN_S:
            return True
        unseen = (self._asked.get(one, float("-inf")) for one in asked if one not in self._found)
        return now - self._looked_at <= LOOKED_S and all(now - at <= AGAIN_S for at in unseen)

    async def _look(self, asked: Collection[str]) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(LOOK_S), self.db.ask() as connection:
                self._found = await store.span_services(connection)
        except AWAY:
            self._away_at = time.monotonic()
            return
        self._looked_at = began
        recently = {service: at for service, at in self._asked.items() if began - at <= AGAIN_S}
        self._asked = recently | dict.fromkeys(asked, began)


def recent(noted: Mapping[Noted, float], now: float) -> dict[Noted, float]:
    """What need not be noted again yet: who sends may name ever new services."""
    return {what: at for what, at in noted.items() if now - at <= NOTED_S}
