"""From an alert's notices to one message a target, in the transaction that makes them true; and who is told next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from server.alerts.alert import Alert
from server.alerts.notice import Notice
from server.auth.store import signal
from server.notify import outbox_store, store
from server.notify.message import escalated, fit
from server.notify.outbox_store import ClaimedRow, StoredBody, Unacknowledged
from server.notify.steps import ESCALATE_S, next_step, receiving
from server.notify.target import Target

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

TOPIC = "notify"


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
    """Tell the next step of each page that nobody has acknowledged for ESCALATE_S, once a step."""
    waiting = await outbox_store.unacknowledged(connection, ESCALATE_S)
    if waiting:
        targets = await store.every(connection)
        await post(connection, [row for one in waiting for row in next_rows(one, targets)])


def next_rows(last: Unacknowledged, targets: Sequence[Target]) -> list[ClaimedRow]:
    """The messages of the next step; none after the last."""
    alert = last.body.alert
    text = fit(alert, escalated(last.body.text))
    stem = f"alert-{alert.id}/trigger/{alert.fired_times}"
    return [
        ClaimedRow(
            alert.id,
            target.id,
            "trigger",
            key_for(f"{stem}/step-{target.step}", alert, target),
            StoredBody(text, alert),
        )
        for target in next_step(targets, alert.urgency, last.step)
    ]


async def post(connection: AsyncConnection, rows: Sequence[ClaimedRow]) -> None:
    if await outbox_store.put(connection, rows):
        await signal(connection, TOPIC)
