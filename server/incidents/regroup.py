"""Merges incidents and splits them: an outage of an alert is in one incident, and takes its timeline along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from server.alerts import store as alerts_store
from server.alerts.alert import Alert
from server.auth.audit_store import audit
from server.incidents import store, update_clock
from server.incidents.act import Press, conflict
from server.incidents.acting import Acted, room_of
from server.incidents.ending import captured, of_alert
from server.incidents.incident import Incident
from server.incidents.room import IncidentRoom
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.signals import store as signals_store

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.parts import Parts


async def merge(parts: Parts, incident_id: int, into: int, press: Press) -> Acted:
    """Put everything that is in one incident into another; ApiError NOT_FOUND or CONFLICT."""
    if incident_id == into:
        raise conflict(into, "cannot be merged into itself")
    async with parts.db.act() as connection:
        rooms = {number: await room_of(connection, number, hold=True) for number in sorted((incident_id, into))}
        source, target, now = rooms[incident_id], rooms[into], shared_clock.now()
        if source.incident.merged_into == into:
            return Acted(source.incident, True, f"Already merged into incident {into}.")
        if not target.incident.open:
            raise conflict(into, f"is {target.incident.state}")
        if source.incident.state == "closed":
            raise conflict(incident_id, "is closed")
        if source.incident.drill != target.incident.drill:
            raise conflict(incident_id, f"cannot be merged into {into}: one of them is a drill")
        merged = replace(source.incident, state="closed", closed_at=now, merged_into=into, update_due_at=None)
        await store.move_members(connection, incident_id, into, None)
        await store.move_work(connection, incident_id, into)
        await signals_store.move(connection, incident_id, into)
        lead = source.holder("commander")
        await save(connection, source, merged, f"Merged into incident {into} by {press.by}.", press, now)
        joined = with_the_earlier(target.incident, source.incident, now)
        given = lead.person if lead is not None and target.holder("commander") is None else ""
        text = f"Incident {incident_id} merged by {press.by}."
        await save(connection, target, joined, text, press, now, commander=given)
        await audited(connection, "merge", incident_id, {"into": into}, press)
    await heard(parts, incident_id, into)
    return Acted(merged, False, f"Merged into incident {into}.")


def with_the_earlier(target: Incident, source: Incident, now: float) -> Incident:
    """The incident with the worse severity and the earlier times of both; declared where either was."""
    first = min(target, source, key=lambda one: one.onset)
    joined = replace(
        target,
        state="declared" if target.state == "suspected" and source.declared_at is not None else target.state,
        severity=min(target.severity, source.severity),
        onset=first.onset,
        onset_method=first.onset_method,
        detected_at=min(target.detected_at, source.detected_at),
        declared_at=earlier(target.declared_at, source.declared_at),
        mitigated_at=earlier(target.mitigated_at, source.mitigated_at),
        update_due_at=earlier(target.update_due_at, source.update_due_at),
    )
    return update_clock.at_most(joined, now)


def earlier(one: float | None, other: float | None) -> float | None:
    """The first of two times, of which either may not have come."""
    return min((at for at in (one, other) if at is not None), default=None)


async def split(parts: Parts, incident_id: int, alert_ids: list[int], press: Press) -> Acted:
    """Take alerts out of an incident into a new one; ApiError NOT_FOUND or CONFLICT."""
    wanted = sorted(set(alert_ids))
    async with parts.db.act() as connection:
        source, now = await room_of(connection, incident_id, hold=True), shared_clock.now()
        check_alerts(source, wanted)
        alerts = await alerts_store.several(connection, wanted)
        new = await store.add(connection, apart(source.incident, alerts, parts, now))
        await store.move_members(connection, incident_id, new.id, wanted)
        names = ", ".join(sorted({alert.service for alert in alerts}))
        text = f"Split off into incident {new.id} by {press.by}: {names}."
        await save(connection, source, source.incident, text, press, now)
        lead = source.holder("commander")
        said, given = f"Split off incident {incident_id} by {press.by}.", lead.person if lead is not None else ""
        await save(connection, IncidentRoom(new), new, said, press, now, commander=given)
        await audited(connection, "split", incident_id, {"alerts": wanted, "incident": new.id}, press)
    await heard(parts, incident_id, new.id)
    return Acted(new, False, f"Incident {new.id} has {names}.")


def check_alerts(source: IncidentRoom, wanted: list[int]) -> None:
    """ApiError where these are not some of its alerts, with others left."""
    inside = sorted({one.alert_id for one in source.alerts})
    if not set(wanted) <= set(inside):
        raise ApiError("NOT_FOUND", f"Incident {source.incident.id} has the alerts {inside}. Nothing was done.")
    if wanted == inside:
        raise conflict(source.incident.id, "would have no alert left: those are all")
    if source.incident.state == "closed":
        raise conflict(source.incident.id, "is closed")


def apart(source: Incident, alerts: list[Alert], parts: Parts, now: float) -> Incident:
    """The incident of these alerts alone, at `now`: declared where the one that they leave was."""
    first = min(alerts, key=lambda alert: alert.beginning.onset)
    seen = captured(now, first.beginning.onset, alerts, parts.relay.picture, source.captured.changes)
    new = replace(of_alert(first, seen), severity=min(alert.severity for alert in alerts))
    if source.declared_at is None:
        return new
    return update_clock.started(replace(new, state="declared", declared_at=source.declared_at), now)


async def save(  # noqa: PLR0917 - the room before, what it is after, and who says what when
    connection: AsyncConnection,
    before: IncidentRoom,
    incident: Incident,
    text: str,
    press: Press,
    now: float,
    commander: str = "",
) -> None:
    """Write an incident as it stands now, with a line that says so, and a commander where one is named."""
    after = replace(before, incident=incident, roles=list(before.roles), entries=[])
    if commander:
        after.give("commander", commander, now)
    after.say("state", text, press.by, now)
    await store.save(connection, before, after)


async def audited(connection: AsyncConnection, what: str, incident_id: int, after: object, press: Press) -> None:
    """Write down who did it."""
    subject = f"incident {incident_id}"
    await audit(connection, press.by, f"incident.{what}", subject, None, after, press.request_id)


async def heard(parts: Parts, *incident_ids: int) -> None:
    """Let everybody look again."""
    for incident_id in incident_ids:
        await parts.bus.publish("incidents", incident_id)
