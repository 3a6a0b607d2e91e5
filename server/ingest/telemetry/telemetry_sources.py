"""Which services send spans: their histograms do not count, else each of their requests would count twice."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Mapping
from typing import TypeVar

from server.ingest.telemetry import meter_store as store
from server.kernel.db import AWAY, Database
from server.receivers.otlp.measured import MeasuredBuckets

NOTED_S = 60.0  # as often as it is noted of a service
LOOKED_S = 5.0  # as old may be what is known of services that send spans

Noted = TypeVar("Noted")


class TelemetrySources:
    """What one process knows of it. While the database is away that is what it knew before, and what comes here."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._noted: dict[tuple[str, bool], float] = {}  # monotonic
        self._measured: dict[str, float] = {}  # monotonic
        self._found: set[str] = set()
        self._looked_at = float("-inf")  # monotonic

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
        now = time.monotonic()
        if now - self._looked_at > LOOKED_S or not self._found.issuperset(asked):
            with contextlib.suppress(*AWAY):
                async with self.db.ask() as connection:
                    self._found = await store.span_services(connection)
                self._looked_at = now
        return self._found


def recent(noted: Mapping[Noted, float], now: float) -> dict[Noted, float]:
    """What need not be noted again yet: who sends may name ever new services."""
    return {what: at for what, at in noted.items() if now - at <= NOTED_S}
