"""The watch's part of what is captured when an incident begins that a tick cannot wait for: its scope."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from server.alerts.alert import Alert
from server.incidents import store, suspect_store
from server.incidents.incident import Incident, Share, TimelineEntry
from server.incidents.scope import scope_of
from server.incidents.sight import SILENT_S
from server.incidents.suspect_answer import SuspectsQuestion, material, near_changes
from server.kernel import shared_clock
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.names import OWN
from server.kernel.text import plural
from server.live import store as live_store
from server.picture.picture import Picture
from server.process.watch import require_term

EVERY_S = 1.0
WITHIN_S = 60.0  # after its first second an incident's failures are at hand; what still shows none then has none
UNKNOWN = 401
REFUSED_S = 300.0  # those whom we did not know are counted for so long before


class Capturing:
    """Fills in the scope of incidents that an alert has just made."""

    def __init__(self, db: Database, bus: Bus, picture: Callable[[], Picture | None]) -> None:
        self.db = db
        self.bus = bus
        self.picture = picture

    async def run(self, term: int) -> None:
        """The job `scope`; Fenced where another watch has taken over."""
        async with self.db.ask() as connection:
            found = [one for one in await store.open_incidents(connection) if waits(one)]
        for incident in found:
            await self._capture(incident, term)

    async def _capture(self, incident: Incident, term: int) -> None:
        now = shared_clock.now()
        async with self.db.ask() as connection:
            alerts = await store.alerts(connection, incident.id)
            scope = await self._scope(connection, incident, alerts, now)
            own = await self._own(connection, now)
        if not scope and now - incident.captured.at < WITHIN_S:
            return  # its failures are not counted yet
        after = replace(incident, captured=replace(incident.captured, scope=scope, evenkeel=own))
        async with self.db.act() as connection:
            if not await store.follow(connection, incident, after):
                return  # somebody acts in it: in a second again
            await require_term(connection, term)
            if scope or incident.source == "alert":
                await store.add_entries(connection, [TimelineEntry(0, incident.id, now, "scope", words(scope))])
        await self.bus.publish("incidents", incident.id)

    async def _scope(
        self, connection: AsyncConnection, incident: Incident, alerts: list[Alert], now: float
    ) -> dict[str, list[Share]]:
        over_ms = next((one.evidence.threshold_ms for one in alerts if one.service == incident.service), None)
        seen = incident.captured
        at = incident.detected_at if seen.onset_method == "window" else seen.onset  # a window begins long before
        asked = SuspectsQuestion(incident.service, at, over_ms)
        if not await live_store.exists(connection, incident.service):
            return {}
        async with self.db.rows_if_there(connection) as rows:
            read = await material(connection, asked, now, await near_changes(connection, asked), rows)
        return scope_of(read) if read else {}

    async def _own(self, connection: AsyncConnection, now: float) -> dict[str, str]:
        """How Evenkeel itself stands: its database, Redis, its processes, and whom it did not let in."""
        began = time.monotonic()
        refused = await strangers(connection, now - REFUSED_S, now)
        took_ms = round((time.monotonic() - began) * 1000)
        database = {"database": f"OK, answered in {took_ms} ms"}
        return database | own_parts(self.picture()) | {"auth": f"{plural(refused, 'request')} refused (401) in 5 min"}


async def strangers(connection: AsyncConnection, start: float, now: float) -> int:
    """How many requests we refused since `start` because we did not know who asked."""
    unknown = {one.id for one in await suspect_store.labels(connection, OWN) if one.status == UNKNOWN}
    counted = await suspect_store.minutes(connection, OWN, start, now, None)
    return sum(one.n for one in counted if one.series in unknown)


def own_parts(picture: Picture | None) -> dict[str, str]:
    """What the picture shows of Evenkeel's other parts."""
    if picture is None:
        return {}
    silent = sum(one.heartbeat_age_s > SILENT_S for one in picture.processes)
    n = len(picture.processes)
    redis = "not configured" if picture.redis is None else "OK" if picture.redis else "lost"
    return {"redis": redis, "processes": f"{n - silent} of {n} answer"}


def waits(incident: Incident) -> bool:
    """Whether its scope is still to be captured: of one that is about a service."""
    return bool(incident.service) and incident.captured.scope is None


def words(scope: Mapping[str, Sequence[Share]]) -> str:
    """`Scope: route POST /pay 210 of 700; version v2 210 of 230.`: of each field the value that fails most."""
    told = [f"{name.replace('_', ' ')} {one[0].name} {one[0].bad:,} of {one[0].n:,}" for name, one in scope.items()]
    return f"Scope: {'; '.join(told)}." if told else "Scope: no failing requests are counted apart."
