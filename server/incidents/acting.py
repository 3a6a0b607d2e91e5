"""Carries an act out: once, in one transaction with its lines of the timeline and its audit entry.

The transaction holds the incident's row, so that twenty people act one after the other. What is sent again under the
same key is answered with what was done, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from server.alerts import acts as alert_acts
from server.alerts.alert import Alert
from server.auth.audit_store import audit
from server.changes.targets import deploy_facts
from server.incidents import store, update_clock
from server.incidents.act import IncidentAct, Moment, Press, one_line
from server.incidents.acts import Accept, CorrectNote
from server.incidents.deploy_act import DeployIncidentAct
from server.incidents.deploys import change_deploys
from server.incidents.ending import captured, ending_of
from server.incidents.incident import Captured, CapturedChange, Incident, TimelineEntry
from server.incidents.keeper import maintenance_of
from server.incidents.lever_act import OutsideAct
from server.incidents.outside import reach_out, reached
from server.incidents.proof import proof
from server.incidents.room import IncidentRoom
from server.incidents.telling import tellings
from server.incidents.update_clock import EVERY_S
from server.kernel import shared_clock
from server.kernel.errors import ApiError, invalid
from server.kernel.names import is_drill
from server.notify.outbox import tell_of_incident
from server.signals import store as signals_store
from server.signals.signal import SignalTally

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.parts import Parts

AGAIN_S = 30.0  # the same words by the same person within so long are one press: commands try twice within 21 s


class Acted(Struct):
    """What came of an act. `already`: it had been done before, and nothing was changed."""

    incident: Incident
    already: bool
    message: str


async def act(parts: Parts, incident_id: int, asked: IncidentAct, press: Press) -> Acted:
    """Do it; ApiError NOT_FOUND, CONFLICT or INVALID, and then nothing was done."""
    runbook = await parts.runbook.current()
    async with parts.db.act() as connection:
        before = await room_of(connection, incident_id, hold=True)
        now = shared_clock.now()
        said = await said_before(connection, incident_id, asked, press)
        if said is not None:
            return Acted(before.incident, True, f"Already done: {said.text}")
        tally = await tally_of(parts, connection, incident_id, now)
        alerts = await alerts_of(connection, before)
        ending = ending_of(before.incident, alerts, parts.relay.picture, tally)
        after = replace(deepcopy(replace(before, alerts=[])), alerts=before.alerts)  # of which no act changes any
        await check_note(connection, incident_id, asked)
        check_there(before.incident)
        deploys = await deploy_facts(connection, asked.service) if isinstance(asked, DeployIncidentAct) else None
        outside = await reach_out(parts, connection, before, asked, press) if isinstance(asked, OutsideAct) else None
        asks_p0 = most_spent(alerts) > parts.policies.budget_policy.postmortem_share
        message = asked.apply(after, Moment(press.by, now, proof(ending, now), runbook, deploys, outside, asks_p0))
        if not after.entries and after == before:
            return Acted(before.incident, True, message)
        if press.key and after.entries:
            after.entries[0] = replace(after.entries[0], key=f"{press.key}{digest(asked)}")
        await change_deploys(connection, before, after)
        await store.save(connection, before, after)
        await tell(connection, before, after, now)
        noticed = isinstance(asked, Accept) and await notice(parts, connection, alerts, press)
        what = f"incident.{type(asked).__struct_config__.tag}"
        await audit(connection, press.by, what, f"incident {incident_id}", None, asked, press.request_id)
    await parts.bus.publish("incidents", incident_id)
    if outside is not None:
        await reached(parts, outside)
    if noticed:
        await parts.bus.publish("alerts", 0)
    return Acted(after.incident, False, message)


async def notice(parts: Parts, connection: AsyncConnection, alerts: Sequence[Alert], press: Press) -> bool:
    """Acknowledge the open alerts of an incident for who declares it; whether any was not."""
    still = [one.id for one in alerts if one.state != "resolved"]
    return bool(await alert_acts.acknowledged(parts, connection, still, press.by, press.request_id))


def most_spent(alerts: Sequence[Alert]) -> float:
    """The most that an alert has spent of its budget, a share of 1; what nobody has set as an objective counts not."""
    return max((one.evidence.spent for one in alerts if not one.evidence.provisional), default=0.0)


async def said_before(
    connection: AsyncConnection, incident_id: int, asked: IncidentAct, press: Press
) -> TimelineEntry | None:
    """What was done under this key; None: nothing yet. ApiError IDEMPOTENCY_MISMATCH where that was another act."""
    said = await store.said_under(connection, incident_id, press.key) if press.key else None
    if said is not None and said.key != f"{press.key}{digest(asked)}":
        raise ApiError("IDEMPOTENCY_MISMATCH", f"Under this key was done: {said.text} Nothing was done.")
    return said


def digest(asked: IncidentAct) -> str:
    """What tells an act from every other."""
    return sha256(msgspec.json.encode(asked)).hexdigest()


async def tell(connection: AsyncConnection, before: IncidentRoom, after: IncidentRoom, now: float) -> None:
    """Let the targets hear of what an act has changed, after the commit."""
    for told in tellings(before, after, now):
        await tell_of_incident(connection, told)


async def room_of(connection: AsyncConnection, incident_id: int, *, hold: bool = False) -> IncidentRoom:
    """The room of an incident; `hold`: nobody else changes it meanwhile. ApiError NOT_FOUND."""
    room = await store.room(connection, incident_id, hold=hold)
    if room is None:
        raise missing(incident_id)
    return room


def missing(incident_id: int) -> ApiError:
    """404 for an incident that is not there."""
    return ApiError("NOT_FOUND", f"There is no incident {incident_id}; GET /api/v1/incidents lists them.")


async def alerts_of(connection: AsyncConnection, room: IncidentRoom) -> list[Alert]:
    """The alerts of an incident, as they are kept: all that are open, and the last that have ended."""
    return await store.alerts(connection, room.incident.id)


async def tally_of(parts: Parts, connection: AsyncConnection, incident_id: int, now: float) -> SignalTally:
    """How the signals of an incident stand at `now`."""
    found = await signals_store.tallies(connection, [incident_id], now, parts.policies.budget_policy.signals)
    return found.get(incident_id, SignalTally())


async def check_note(connection: AsyncConnection, incident_id: int, asked: IncidentAct) -> None:
    """ApiError NOT_FOUND or CONFLICT where what is to be put right is no note of this incident."""
    if not isinstance(asked, CorrectNote):
        return
    entry = await store.entry(connection, incident_id, asked.entry)
    if entry is None:
        raise ApiError("NOT_FOUND", f"Incident {incident_id} has no entry {asked.entry}. Nothing was done.")
    if entry.kind != "note" or entry.corrects is not None:
        raise ApiError("CONFLICT", f"Entry {asked.entry} is no note of a person's. Nothing was done.")


def check_there(incident: Incident) -> None:
    """ApiError CONFLICT where everything that was here is in another incident now."""
    if incident.merged_into is not None:
        raise ApiError("CONFLICT", f"Incident {incident.id} was merged into {incident.merged_into}. Nothing was done.")


async def declare(parts: Parts, title: str, service: str, severity: int, press: Press) -> Acted:
    """Open an incident by hand, declared from the beginning; ApiError INVALID. The same again within 30 s is one."""
    title, by = one_line(title, "title", most=200), press.by
    service = one_line(service, "service", most=200) if service.strip() else ""
    if severity not in EVERY_S:
        raise invalid("severity", "give 1, 2 or 3")
    async with parts.db.act() as connection:
        now = shared_clock.now()
        same = await store.lately_declared(connection, title, service, by, now - AGAIN_S)
        if same is not None:
            return Acted(same, True, f"Already declared by {by}: incident {same.id}.")
        going_on = await maintenance_of(connection, now)
        incident = await store.add(connection, by_hand(parts, title, service, severity, now, changes=going_on))
        after = IncidentRoom(incident)
        after.give("commander", by, now)
        after.say("state", f"Declared by {by}: {title}", by, now)
        await store.save(connection, IncidentRoom(incident), after)
        await tell(connection, IncidentRoom(replace(incident, declared_at=None)), after, now)
        asked = {"title": title, "service": service, "severity": severity}
        await audit(connection, by, "incident.declare", f"incident {incident.id}", None, asked, press.request_id)
    await parts.bus.publish("incidents", incident.id)
    return Acted(incident, False, f"Declared: incident {incident.id}. You command.")


def by_hand(
    parts: Parts, title: str, service: str, severity: int, now: float, *, changes: list[CapturedChange]
) -> Incident:
    """An incident that a person declares at `now`."""
    seen: Captured = captured(now, now, [], parts.relay.picture, changes)
    incident = Incident(0, "declared", severity, title, service, "person", now, "person", now, seen, declared_at=now)
    incident.drill = is_drill(service)
    return update_clock.started(incident, now)
