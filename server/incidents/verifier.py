"""The watch's look at the steps that live data confirms: once a second, for each open incident."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from server.alerts.alert import Alert
from server.incidents import store
from server.incidents.acting import alerts_of
from server.incidents.incident import Incident, TimelineEntry
from server.incidents.room import IncidentRoom
from server.incidents.runbook import Runbook
from server.incidents.runbook_file import RunbookInForce
from server.incidents.sight import services_of, sight_of
from server.incidents.steps import steps_of, to_look_at
from server.incidents.verification import Baseline, KeptStep, Verification, looked
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.live import questions
from server.live import store as live_store
from server.picture.picture import Picture
from server.process.watch import require_term
from server.signals import store as signals_store

EVERY_S = 1.0
HOUR_S, WEEK_S = 3600, 7 * 86_400
SHORTEST_S = 60.0  # of a time before the onset that says what is normal
NORMAL_FOR_S = 300  # then it is read again

SAID = {"confirmed": "Confirmed", "failed": "Not confirmed in time", "no_data": "No data to confirm it"}


class StepLook(Struct):
    """A step as it was read, None where nothing was kept of it, and after a look."""

    read: KeptStep | None
    after: KeptStep

    @property
    def decided(self) -> bool:
        """Whether this look has decided it."""
        return self.after.decided_at is not None


class Verifier:
    """Looks at the steps of open incidents, keeps how they stand, and writes to the timeline what is decided."""

    def __init__(self, db: Database, bus: Bus, runbook: RunbookInForce, picture: Callable[[], Picture | None]) -> None:
        self.db = db
        self.bus = bus
        self.runbook = runbook
        self.picture = picture
        self._normal: dict[tuple[str, float, int], Baseline | None] = {}

    async def run(self, term: int) -> None:
        """One look, over the last picture of this term; Fenced where another watch has taken over."""
        picture = self.picture()
        if picture is not None and picture.term == term:
            await self.look(picture)

    async def look(self, picture: Picture) -> None:
        """One look at every open incident of a picture."""
        if not picture.incidents:
            self._normal.clear()
            return
        runbook = await self.runbook.current()
        async with self.db.ask() as connection:
            found = await store.open_incidents(connection)
            kept = await store.kept_steps(connection, [one.id for one in found])
        for incident in found:
            alone = IncidentRoom(incident, steps=kept.get(incident.id, []))
            if any(to_look_at(step, alone, picture.at) for step in runbook.steps):
                await self._look_at(incident.id, runbook, picture)

    async def _look_at(self, incident_id: int, runbook: Runbook, picture: Picture) -> None:
        async with self.db.ask() as connection:
            room = await store.room(connection, incident_id)
            if room is None or not room.incident.open:
                return
            looks = await self._looks(connection, room, runbook, picture)
        if not looks:
            return
        async with self.db.act() as connection:
            await require_term(connection, picture.term)
            kept = await store.keep_steps(connection, incident_id, [(one.read, one.after) for one in looks])
            decided = [one.after for one in looks if one.decided and one.after.step in kept]
            await store.add_entries(connection, [entry_of(one) for one in decided])
        if decided:
            await self.bus.publish("incidents", incident_id)

    async def _looks(
        self, connection: AsyncConnection, room: IncidentRoom, runbook: Runbook, picture: Picture
    ) -> list[StepLook]:
        alerts = await alerts_of(connection, room)
        due: list[tuple[KeptStep, Verification]] = []
        for step in steps_of(runbook, room, alerts):
            kept = to_look_at(step, room, picture.at)
            if kept is not None and step.verification is not None:
                due.append((kept, step.verification))
        if not due:
            return []
        compares = any(asked.compares for _, asked in due)
        normal = await self._baselines(connection, room.incident, alerts, picture.at) if compares else {}
        open_signals = await signals_store.without_end(connection, room.incident.id)
        sight = sight_of(room.incident, alerts, open_signals, picture, normal)
        read = {one.step: one for one in room.steps}
        return [StepLook(read.get(kept.step), looked(kept, asked, sight)) for kept, asked in due]

    async def _baselines(
        self, connection: AsyncConnection, incident: Incident, alerts: Sequence[Alert], now: float
    ) -> Mapping[str, Baseline | None]:
        found: dict[str, Baseline | None] = {}
        for name in services_of(incident, alerts):
            key = (name, incident.onset, int(now) // NORMAL_FOR_S)
            if key not in self._normal:
                self._normal[key] = await baseline(connection, name, incident.onset, now)
            found[name] = self._normal[key]
        return found


async def baseline(connection: AsyncConnection, service: str, onset: float, now: float) -> Baseline | None:
    """What is normal for a service: of the same hour a week ago, else of the hour before the onset; None: not known."""
    first = await live_store.first_seen_at(connection, service)
    if first is None:
        return None
    week = now - WEEK_S - HOUR_S / 2
    spans = [(week, week + HOUR_S, "this hour a week ago")] if first.timestamp() <= week else []
    begins = max(onset - HOUR_S, first.timestamp())
    spans += [(begins, onset, "the hour before the onset")] if onset - begins >= SHORTEST_S else []
    for start, stop, source in spans:
        row = await questions.between(connection, service, start, stop, now)
        if row.volume:
            return Baseline(row.requests_per_second, row.p95_ms, source)
    return None


def entry_of(step: KeptStep) -> TimelineEntry:
    """What the timeline says of a step that live data has decided."""
    assert step.decided_at is not None, "it is decided"
    text = f"{SAID[step.state]}: {step.text}. {step.reading}"
    return TimelineEntry(0, step.incident_id, step.decided_at, "verification", text)
