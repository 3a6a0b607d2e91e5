"""The watch's part: incidents are born from alerts, joined and reopened by them, and follow them to Recovering."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from server.alerts.alert import Alert
from server.alerts.words import failing
from server.changes import store as changes_store
from server.changes.store import Change
from server.incidents import store
from server.incidents.birth import REOPEN_S, Arrival, Standing, arrivals, due
from server.incidents.ending import captured, ended, of_alert
from server.incidents.incident import CapturedChange, Incident, Membership, Role, TimelineEntry
from server.incidents.moves import advanced, reopened
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.names import OWN
from server.picture.picture import OpenIncident, Picture
from server.process.watch import require_term
from server.slo.policy.policies import Policies

CHANGES_S = 3600.0
AFTER_S = 30.0  # an onset is estimated, and a version is first seen by its first failure
CHANGES_MAX = 20


class Keeper:
    """The tick's last question: what the alerts of a picture make of incidents."""

    def __init__(self, db: Database, bus: Bus, policies: Policies) -> None:
        self.db = db
        self.bus = bus
        self.policies = policies

    async def keep(self, picture: Picture) -> list[OpenIncident]:
        """The open incidents after this picture, the worst first, drills last; Fenced where another watch has taken
        over."""
        alerts, now = picture.alerts, picture.at
        async with self.db.act() as connection:
            members = await store.members(connection, [alert.id for alert in alerts])
            touched: set[int] = set()
            if any(due(alert, members) for alert in alerts):
                touched = await self._born(connection, picture, members, now)
                members = await store.members(connection, [alert.id for alert in alerts])
            open_ = await store.open_incidents(connection)
            touched |= await followed_all(connection, open_, by_incident(alerts, members), now)
            if touched:
                await require_term(connection, picture.term)
                open_ = await store.open_incidents(connection)
            commanders = await store.commanders(connection, [one.id for one in open_])
        for incident_id in touched:
            await self.bus.publish("incidents", incident_id)
        return [line_of(one, commanders.get(one.id)) for one in sorted(open_, key=worst_first)]

    async def _born(
        self, connection: AsyncConnection, picture: Picture, members: Mapping[tuple[int, int], int], now: float
    ) -> set[int]:
        able = await store.open_incidents(connection) + await store.resolved_since(connection, now - REOPEN_S)
        services = await store.services(connection, [one.id for one in able])
        standing = [Standing(one, {one.service} | services.get(one.id, set())) for one in able]
        found = arrivals(picture.alerts, members, standing, self.policies.budget_policy, now)
        return {id_ for one in found if (id_ := await self._arrived(connection, one, picture, now)) is not None}

    async def _arrived(self, connection: AsyncConnection, arrival: Arrival, picture: Picture, now: float) -> int | None:
        """The incident that it is in now; None: somebody is changing that one just now, and the next look decides."""
        alert, incident = arrival.alert, arrival.incident
        if incident is None:
            incident = await store.add(connection, await self._new(connection, alert, picture, now))
            text = f"Suspected: SEV-{incident.severity} {alert.service}: {failing(alert)}."
            entries = [TimelineEntry(0, incident.id, now, "state", text)]
        else:
            after = incident if incident.open else reopened(incident, now)
            if not await store.follow(connection, incident, after):
                return None
            entries = joining(incident, alert, now)
        member = Membership(alert.id, alert.beginning.number, incident.id, now)
        await store.join(connection, [member])
        await store.add_entries(connection, entries)
        return incident.id

    async def _new(self, connection: AsyncConnection, alert: Alert, picture: Picture, now: float) -> Incident:
        began = alert.beginning
        found = await changes_store.recent(
            connection, began.onset - CHANGES_S, alert.service, CHANGES_MAX, until=began.onset + AFTER_S
        )
        going_on = await maintenance_of(connection, began.onset + AFTER_S)
        changes = [captured_change(one) for one in found if one.kind != "maintenance"]
        return of_alert(alert, captured(now, began.onset, [alert], picture, going_on + changes))


async def maintenance_of(connection: AsyncConnection, at: float) -> list[CapturedChange]:
    """The maintenance that goes on at a time, of whatever service: what depends on it fails with it."""
    return [captured_change(one) for one in await changes_store.maintenance_at(connection, at)]


def captured_change(change: Change) -> CapturedChange:
    """A change as an incident keeps it."""
    summary = f"Maintenance of {change.summary}" if change.kind == "maintenance" else change.summary
    return CapturedChange(change.id, change.at.timestamp(), change.kind, change.service, summary)


def worst_first(incident: Incident) -> tuple[bool, int, int]:
    """The order of open incidents: by severity, and drills after all others."""
    return incident.drill, incident.severity, incident.id


def by_incident(alerts: Iterable[Alert], members: Mapping[tuple[int, int], int]) -> dict[int, list[Alert]]:
    """The alerts of each incident, by their last outage."""
    found: dict[int, list[Alert]] = {}
    for alert in alerts:
        incident = members.get((alert.id, alert.beginning.number))
        if incident is not None:
            found.setdefault(incident, []).append(alert)
    return found


async def followed_all(
    connection: AsyncConnection, incidents: Iterable[Incident], alerts: Mapping[int, list[Alert]], now: float
) -> set[int]:
    """Move what the alerts say has moved: to Recovering, back from it, or over before anybody looked."""
    touched: set[int] = set()
    for incident in incidents:
        after, text = followed(incident, alerts.get(incident.id, []), now)
        if after is not incident and await store.follow(connection, incident, after):
            await store.add_entries(connection, [TimelineEntry(0, incident.id, now, "state", text, OWN)])
            touched.add(incident.id)
    return touched


def line_of(incident: Incident, commander: Role | None) -> OpenIncident:
    """An incident as every page shows it."""
    who = commander.person if commander else ""
    return OpenIncident(
        incident.id,
        incident.severity,
        incident.title,
        incident.service,
        incident.state,
        incident.onset,
        who,
        incident.drill,
    )


def joining(incident: Incident, alert: Alert, now: float) -> list[TimelineEntry]:
    """What an incident says of an alert that joins it; one that was resolved is open again."""
    text = f"Joined: SEV-{alert.severity} {alert.service}: {failing(alert)}."
    said = [TimelineEntry(0, incident.id, now, "alert", text)]
    if not incident.open:
        said.append(TimelineEntry(0, incident.id, now, "state", f"Reopened: {alert.service} burns again."))
    return said


def followed(incident: Incident, alerts: Sequence[Alert], now: float) -> tuple[Incident, str]:
    """How an incident stands by its alerts, and what is said of it; the same one where nothing has moved.

    Before anybody has declared it, it also takes the worst severity of its alerts.
    """
    if not alerts:
        return incident, ""
    over = [ended(alert) for alert in alerts]
    ends = [at for at in over if at is not None]
    if len(ends) == len(over) and incident.state in ("declared", "investigating", "mitigating"):
        # that it is over mitigates nothing: who did, if anybody, has said so
        after = replace(advanced(incident, "monitoring", now), over_at=max(ends), mitigated_at=incident.mitigated_at)
        return after, "Recovering: no alert burns any more."
    if incident.state == "suspected" and all(alert.state == "resolved" for alert in alerts):
        after = replace(advanced(incident, "resolved", now), over_at=max(ends, default=now))
        return after, "Over before anybody declared it."
    burning = [alert for alert in alerts if alert.state == "firing" and alert.clear_since is None]
    if incident.state == "monitoring" and burning:
        after = replace(advanced(incident, "investigating", now), over_at=None)
        return after, f"Not over: {burning[0].service} burns again."
    worst = min(alert.severity for alert in alerts)
    if incident.state == "suspected" and worst < incident.severity:
        return replace(incident, severity=worst), f"SEV-{incident.severity} -> SEV-{worst} by its impact."
    return incident, ""
