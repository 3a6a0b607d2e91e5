"""Acts on alerts: acknowledge, silence, end a silence.

Each is one transaction with its audit entry and what is to be told of it; the signal
goes out after the commit. A press repeated answers what was done already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from server.alerts import silence_store, store
from server.alerts.alert import Alert, AlertEvent
from server.alerts.matcher import Matcher
from server.alerts.notice import Notice, key_of
from server.alerts.silence import Silence, checked_minutes, checked_what
from server.auth.audit_store import audit
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.kernel.text import ago, checked_reason

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.parts import Parts


class Acknowledged(Struct):
    """What came of it. `already`: somebody had done it before, and nothing was changed."""

    alert: Alert
    already: bool
    message: str


class Silenced(Struct):
    """What came of a silence that was asked for, or ended."""

    silence: Silence
    already: bool
    message: str


async def acknowledge(parts: Parts, alert_id: int, by: str, request_id: str) -> Acknowledged:
    """Acknowledge an alert; ApiError NOT_FOUND, or CONFLICT where it was over already."""
    async with parts.db.act() as connection:
        alert = await store.acknowledge(connection, alert_id, by)
        if alert is None:
            return await not_acknowledged(connection, alert_id)
        now = alert.acknowledged_at or shared_clock.now()
        await store.add_events(connection, [AlertEvent(alert_id, now, "acknowledged", f"Acknowledged by {by}.", by)])
        after = {"service": alert.service}
        await audit(connection, by, "alert.acknowledge", f"alert {alert_id}", None, after, request_id)
        if alert.told is not None:
            text = f"Acknowledged by {by}: {alert.service}."
            await parts.tell(connection, [Notice(alert, "acknowledge", text, key_of(alert, "acknowledge", now))])
    await parts.bus.publish("alerts", alert_id)
    unless = ", unless it becomes a page" if alert.urgency == "ticket" else ""
    return Acknowledged(alert, False, f"Acknowledged: {alert.service}. Nobody else is told{unless}.")


async def not_acknowledged(connection: AsyncConnection, alert_id: int) -> Acknowledged:
    alert = await store.one(connection, alert_id)
    if alert is None:
        raise ApiError("NOT_FOUND", f"There is no alert {alert_id}; GET /api/v1/alerts lists them. Nothing was done.")
    now = shared_clock.now()
    if alert.acknowledged_at is not None:
        message = f"Already acknowledged by {alert.acknowledged_by}, {ago(now - alert.acknowledged_at)}"
        return Acknowledged(alert, True, message)
    over = ago(now - (alert.resolved_at or now))
    raise ApiError("CONFLICT", f"Alert {alert_id} was resolved {over}: there is nothing to acknowledge.")


async def silence(
    parts: Parts,
    *,
    service: str = "",
    objective: str = "",
    matchers: Sequence[Matcher] = (),
    minutes: int,
    reason: str,
    by: str,
    request_id: str,
) -> Silenced:
    """Silence what all of it matches, '' any, for some minutes; ApiError INVALID."""
    checked_what(service, objective, matchers, parts.policies.objectives)
    reason, minutes = checked_reason(reason), checked_minutes(minutes)
    what = Silence(0, service, objective, reason, by, 0.0, 0.0, matchers=list(matchers))
    async with parts.db.act() as connection:
        same = await silence_store.same(connection, what)
        if same is not None:
            return Silenced(same, True, f"Already silenced by {by}, {ago(shared_clock.now() - same.created_at)}")
        made = await silence_store.add(connection, what, minutes)
        after = audited(made) | {"minutes": minutes, "reason": reason}
        await audit(connection, by, "silence.create", f"silence {made.id}", None, after, request_id)
    await parts.bus.publish("alerts", 0)
    return Silenced(made, False, f"Silenced for {minutes} min: {made.what}. Alerts are shown, and nobody is told.")


async def end_silence(parts: Parts, silence_id: int, by: str, request_id: str) -> Silenced:
    """End a silence now: what still fires is told. ApiError NOT_FOUND."""
    async with parts.db.act() as connection:
        ended = await silence_store.end(connection, silence_id, by)
        found = await silence_store.one(connection, silence_id)
        if found is None:
            raise ApiError("NOT_FOUND", f"There is no silence {silence_id}; GET /api/v1/silences lists them.")
        if ended:
            await audit(connection, by, "silence.end", f"silence {silence_id}", audited(found), None, request_id)
    if not ended:
        at, who = (found.ended_at, f" by {found.ended_by}") if found.ended_at else (found.ends_at, "")
        return Silenced(found, True, f"Already ended{who}, {ago(shared_clock.now() - at)}")
    await parts.bus.publish("alerts", 0)
    return Silenced(found, False, f"The silence of {found.what} has ended. What still fires is told now.")


def audited(one: Silence) -> dict[str, object]:
    """What a silence matches, as the audit keeps it."""
    found: dict[str, object] = {"service": one.service, "objective": one.objective}
    return found | ({"matchers": [each.text for each in one.matchers]} if one.matchers else {})
