"""The watch's part: incidents are born from alerts and signals, joined and reopened by them, and follow them to
Recovering."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from server.alerts.alert import Alert
from server.alerts.words import failing
from server.changes import store as changes_store
from server.changes.store import Change
from server.incidents import store
from server.incidents.birth import REOPEN_S, Arrival, Standing, arrivals, due, near
from server.incidents.ending import captured, ended, of_alert
from server.incidents.incident import CapturedChange, Incident, Membership, Role, TimelineEntry
from server.incidents.moves import advanced, reopened
from server.incidents.onset import dated, evidence_for
from server.incidents.signalled import SignalArrival, of_signal, signal_arrivals, signal_lines
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.names import OWN
from server.picture.picture import OpenIncident, Picture
from server.process.glance import Presence
from server.process.watch import require_term
from server.signals import store as signals_store
from server.signals.signal import SignalTally
from server.slo.model.budget_policy import BudgetPolicy
from server.slo.policy.policies import Policies

OPEN_INCIDENTS, WAITING_SIGNALS = "incidents", "signals"
SEEN = {OPEN_INCIDENTS: store.ANY_OPEN, WAITING_SIGNALS: signals_store.ANY_WAITING}
CHANGES_S = 3600.0
CALM_S = 10.0  # so long nothing burns before an incident recovers: a service that hardly does would flap
AFTER_S = 30.0  # an onset is estimated, and a version is first seen by its first failure
CHANGES_MAX = 20


class Keeper:
    """The tick's last question: what the alerts of a picture make of incidents."""

    def __init__(self, db: Database, bus: Bus, policies: Policies, seen: Presence | None = None) -> None:
        self.db = db
        self.bus = bus
        self.policies = policies
        self.seen = seen or Presence()

    async def keep(self, picture: Picture) -> list[OpenIncident]:
        """The open incidents after this picture, the worst first, drills last; Fenced where another watch has taken
        over."""
        alerts, now = picture.alerts, picture.at
        if not alerts and self.seen.nothing(WAITING_SIGNALS) and self.seen.nothing(OPEN_INCIDENTS):
            return []
        async with self.db.act() as connection:
            members = await store.members(connection, [alert.id for alert in alerts])
            touched: set[int] = set()
            if any(due(alert, members) for alert in alerts):
                touched = await self._born(connection, picture, members, now)
                members = await store.members(connection, [alert.id for alert in alerts])
            touched |= await self._signalled(connection, picture)
            open_ = await store.open_incidents(connection)
            tallies = await signals_store.tallies(connection, [one.id for one in open_], now, self._policy.signals)
            mine = by_incident(alerts, members)
            touched |= await self._dated(connection, open_, mine, picture)
            touched |= await followed_all(connection, open_, mine, tallies, now)
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
        found = arrivals(picture.alerts, members, await standing(connection, now), self._policy, now)
        return {id_ for one in found if (id_ := await self._arrived(connection, one, picture, now)) is not None}

    @property
    def _policy(self) -> BudgetPolicy:
        return self.policies.budget_policy

    async def _signalled(self, connection: AsyncConnection, picture: Picture) -> set[int]:
        """What signals make of incidents: those that they are in now."""
        if not await signals_store.any_waiting(connection):
            return set()
        now, able = picture.at, await standing(connection, picture.at)
        services = near({name for one in able for name in one.services}, self._policy)
        waiting = await signals_store.waiting(connection, services, now, self._policy.signals)
        found = signal_arrivals(waiting, able, self._policy, now)
        return {id_ for one in found if (id_ := await self._told(connection, one, picture)) is not None}

    async def _told(self, connection: AsyncConnection, arrival: SignalArrival, picture: Picture) -> int | None:
        """As `_arrived`, for signals."""
        ids, incident, now = [one.id for one in arrival.signals], arrival.incident, picture.at
        (first,) = await signals_store.several(connection, ids[:1])
        if incident is None:
            changes = await self._changes(connection, first.service, first.since)
            incident = await store.add(connection, of_signal(first, picture, changes, now))
        elif not await store.follow(connection, incident, incident if incident.open else reopened(incident, now)):
            return None
        await signals_store.join(connection, ids, incident.id, now)
        await store.add_entries(connection, signal_lines(incident, arrival, first, now))
        return incident.id

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

    async def _dated(
        self,
        connection: AsyncConnection,
        incidents: Iterable[Incident],
        alerts: Mapping[int, list[Alert]],
        picture: Picture,
    ) -> set[int]:
        """Take over the onset of alerts that say better since when it fails."""
        touched: set[int] = set()
        for incident in incidents:
            found = evidence_for(incident, alerts.get(incident.id, []))
            if found is None:
                continue
            changes = await self._changes(connection, incident.service, found.beginning.onset)
            after, text = dated(incident, found, picture, changes, picture.at)
            if await store.follow(connection, incident, after):
                await store.add_entries(connection, [TimelineEntry(0, incident.id, picture.at, "onset", text, OWN)])
                touched.add(incident.id)
        return touched

    async def _new(self, connection: AsyncConnection, alert: Alert, picture: Picture, now: float) -> Incident:
        began = alert.beginning
        changes = await self._changes(connection, alert.service, began.onset)
        return of_alert(alert, captured(now, began.onset, [alert], picture, changes))

    async def _changes(self, connection: AsyncConnection, service: str, onset: float) -> list[CapturedChange]:
        """What changed in the hour before an onset, after the maintenance that goes on."""
        found = await changes_store.recent(connection, onset - CHANGES_S, service, CHANGES_MAX, until=onset + AFTER_S)
        going_on = await maintenance_of(connection, onset + AFTER_S)
        return going_on + [captured_change(one) for one in found if one.kind != "maintenance"]


async def maintenance_of(connection: AsyncConnection, at: float) -> list[CapturedChange]:
    """The maintenance that goes on at a time, of whatever service: what depends on it fails with it."""
    return [captured_change(one) for one in await changes_store.maintenance_at(connection, at)]


def captured_change(change: Change) -> CapturedChange:
    """A change as an incident keeps it."""
    summary = f"Maintenance of {change.summary}" if change.kind == "maintenance" else change.summary
    return CapturedChange(change.id, change.at.timestamp(), change.kind, change.service, summary)


def worst_first(incident: Incident) -> tuple[bool, bool, int, int]:
    """The order of open incidents: by severity, after those that fail those that recover, and drills after all."""
    return incident.drill, incident.state == "monitoring", incident.severity, incident.id


async def standing(connection: AsyncConnection, now: float) -> list[Standing]:
    """What may be joined, with the services of the alerts and signals in each."""
    able = await store.open_incidents(connection) + await store.resolved_since(connection, now - REOPEN_S)
    ids = [one.id for one in able]
    alerts, signals = await store.services(connection, ids), await signals_store.services(connection, ids)
    # Nobody knows where an incident without a service is; those of signals that name none are one trouble.
    own = {one.id: {one.service} if one.service or one.source == "signal" else set() for one in able}
    return [Standing(one, own[one.id] | alerts.get(one.id, set()) | signals.get(one.id, set())) for one in able]


def by_incident(alerts: Iterable[Alert], members: Mapping[tuple[int, int], int]) -> dict[int, list[Alert]]:
    """The alerts of each incident, by their last outage."""
    found: dict[int, list[Alert]] = {}
    for alert in alerts:
        incident = members.get((alert.id, alert.beginning.number))
        if incident is not None:
            found.setdefault(incident, []).append(alert)
    return found


async def followed_all(
    connection: AsyncConnection,
    incidents: Iterable[Incident],
    alerts: Mapping[int, list[Alert]],
    tallies: Mapping[int, SignalTally],
    now: float,
) -> set[int]:
    """Move what alerts and signals say has moved: to Recovering, back from it, or over before anybody looked."""
    touched: set[int] = set()
    for incident in incidents:
        after, text = followed(incident, alerts.get(incident.id, []), tallies.get(incident.id, SignalTally()), now)
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


def followed(incident: Incident, alerts: Sequence[Alert], signals: SignalTally, now: float) -> tuple[Incident, str]:
    """How an incident stands by its alerts and signals, and what is said of it; the same one where nothing has moved.

    Before anybody has declared it, it also takes the worst severity of its alerts.
    """
    if not alerts and not signals.says:
        return incident, ""
    over_at = end_of(alerts, signals)
    calm = all(alert.clear_since is None or now - alert.clear_since >= CALM_S for alert in alerts)
    if over_at is not None and calm and incident.state in ("declared", "investigating", "mitigating"):
        # that it is over mitigates nothing: who did, if anybody, has said so
        after = replace(advanced(incident, "monitoring", now), over_at=over_at, mitigated_at=incident.mitigated_at)
        return after, f"Recovering: {'no alert burns any more' if alerts else 'every signal has ended'}."
    if incident.state == "suspected" and all(alert.state == "resolved" for alert in alerts) and settled(signals, now):
        after = replace(advanced(incident, "resolved", now), over_at=over_at)
        over = "Over" if over_at is not None else "Not heard of any more"
        return after, f"{over} before anybody declared it."
    again = burns_again(incident, alerts, signals)
    if incident.state == "monitoring" and again:
        after = replace(advanced(incident, "investigating", now), over_at=None)
        return after, f"Not over: {again}."
    worst = min((alert.severity for alert in alerts), default=incident.severity)
    if incident.state == "suspected" and worst < incident.severity:
        return replace(incident, severity=worst), f"SEV-{incident.severity} -> SEV-{worst} by its impact."
    return incident, ""


def end_of(alerts: Sequence[Alert], signals: SignalTally) -> float | None:
    """When the failure seems to have ended; None while it goes on, and where nobody has measured its end.

    What is absent or not heard of is no end, but does not keep one from being seen that requests show.
    """
    over = [ended(alert) for alert in alerts]
    ends = [at for at in over if at is not None]
    if signals.firing or len(ends) < len(over) or not (alerts or signals.measured):
        return None
    return max([*ends, *([signals.ended_at] if signals.ended_at is not None else [])])


def settled(signals: SignalTally, now: float) -> bool:
    """Whether no signal fires, for so long that what comes is another trouble: with `for:` an alert whose labels change
    ends alone, and fires with the new ones later."""
    return not signals.firing and (signals.quiet_since is None or now - signals.quiet_since > REOPEN_S)


def burns_again(incident: Incident, alerts: Sequence[Alert], signals: SignalTally) -> str:
    """What says that it is not over; '': nothing. Of a signal that fired already when it seemed over the end may only
    not have been told yet."""
    burning = [alert for alert in alerts if alert.state == "firing" and alert.clear_since is None]
    if burning:
        return f"{burning[0].service} burns again"
    fires = signals.begun_at is not None and incident.over_at is not None and signals.begun_at > incident.over_at
    return "another signal fires" if fires else ""
