"""From an alert's notices to one message a target, in the transaction that makes them true; and who is told next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from server.alerts.alert import Alert, AlertEvent
from server.alerts.notice import Notice
from server.alerts.store import add_events
from server.auth.store import signal
from server.kernel import shared_clock
from server.notify import outbox_store, store
from server.notify.message import IncidentEvent, IncidentFacts, MaintenanceEvent, MaintenanceFacts, escalated, fit
from server.notify.outbox_store import ClaimedRow, StoredBody, Unacknowledged
from server.notify.steps import ESCALATE_S, drilled, hearing, next_step, receiving
from server.notify.target import Target

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

TOPIC = "notify"


class IncidentNotice(Struct):
    """One thing to be told of an incident. `key` is the same for the same telling of this event, and for no other; no
    dot stands in it."""

    event: IncidentEvent
    text: str
    incident: IncidentFacts
    key: str


class MaintenanceNotice(Struct):
    """One thing to be told of a maintenance window, told once under its event and `key`."""

    event: MaintenanceEvent
    text: str
    maintenance: MaintenanceFacts
    key: str


async def enqueue(connection: AsyncConnection, notices: Sequence[Notice]) -> None:
    """Store what is to be told; it is sent after the commit. The same notice again changes nothing."""
    if not notices:
        return
    targets = await store.every(connection)
    told = await outbox_store.targets_told(connection, [notice.alert.id for notice in notices])
    rows: list[ClaimedRow] = []
    for notice in notices:  # in their order: a target told by the first of them hears of the next
        receivers = receiving(notice, targets, told[notice.alert.id])
        rows += (row_of(notice, target) for target in receivers)
        if notice.event == "trigger":
            told[notice.alert.id] |= {target.id for target in receivers}
    await post(connection, rows)


async def tell_of_incident(connection: AsyncConnection, told: IncidentNotice) -> int:
    """Store what is to be told of an incident, one message a target; how many are new. The same again changes
    nothing."""
    targets = await store.every(connection)
    receivers = hearing(targets, await outbox_store.targets_heard(connection, told.incident.id))
    body = StoredBody(told.text, incident=told.incident)
    stem = f"incident-{told.incident.id}/{told.event}/{told.key}"
    began = int(told.incident.onset.timestamp())  # another database counts its incidents anew
    rows = [
        ClaimedRow(None, target.id, told.event, f"{stem}/{began}/target-{target.id}", body, told.incident.id)
        for target in receivers
    ]
    return await post(connection, rows)


async def tell_of_maintenance(connection: AsyncConnection, told: MaintenanceNotice) -> int:
    """Store what is to be told of a maintenance window, one message a target; how many are new. The same again changes
    nothing."""
    window, body = told.maintenance, StoredBody(told.text, maintenance=told.maintenance)
    receivers = hearing(await store.every(connection), await outbox_store.targets_told_of_window(connection, window.id))
    # Another database counts its windows anew.
    stem = f"maintenance-{window.id}/{told.event}/{told.key}/{int(window.start.timestamp())}"
    rows = [
        ClaimedRow(None, target.id, told.event, f"{stem}/target-{target.id}", body, None, window.id)
        for target in receivers
    ]
    return await post(connection, rows)


def row_of(notice: Notice, target: Target) -> ClaimedRow:
    alert = notice.alert
    return ClaimedRow(
        alert.id,
        target.id,
        notice.event,
        key_for(notice.key, alert, target),
        StoredBody(fit(alert, notice.text), alert),
    )


def key_for(stem: str, alert: Alert, target: Target) -> str:
    """What a message is told apart by; with the time, for another database counts its alerts anew."""
    return f"{stem}/{int(alert.detected_at)}/target-{target.id}"


async def escalate(connection: AsyncConnection) -> None:
    """Tell the next step of each page that nobody has acknowledged for ESCALATE_S, once a step, on its timeline too."""
    waiting = await outbox_store.unacknowledged(connection, ESCALATE_S)
    targets = await store.every(connection) if waiting else []
    for last in waiting:
        receivers = next_step(drilled(targets, last.alert.service), last.alert.urgency, last.step)
        if await post(connection, next_rows(last, receivers)):
            line = AlertEvent(last.alert.id, shared_clock.now(), "escalated", escalation(receivers))
            await add_events(connection, [line])


def escalation(receivers: Sequence[Target]) -> str:
    """`Not acknowledged for 5 min: step 2 is told, chat and boss.`"""
    names = " and ".join(target.name for target in receivers)
    return f"Not acknowledged for {ESCALATE_S / 60:.0f} min: step {receivers[0].step} is told, {names}."


def next_rows(last: Unacknowledged, receivers: Sequence[Target]) -> list[ClaimedRow]:
    """The messages to the next step."""
    alert = last.alert
    text = fit(alert, escalated(last.text))
    stem = f"alert-{alert.id}/trigger/{alert.fired_times}"
    return [
        ClaimedRow(
            alert.id,
            target.id,
            "trigger",
            key_for(f"{stem}/step-{target.step}", alert, target),
            StoredBody(text, alert),
        )
        for target in receivers
    ]


async def post(connection: AsyncConnection, rows: Sequence[ClaimedRow]) -> int:
    """Store messages and signal that there are some; how many are new."""
    new = await outbox_store.put(connection, rows)
    if new:
        await signal(connection, TOPIC)
    return new
