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
from server.kernel.errors import ApiError, invalid
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
        done = await acknowledged(parts, connection, [alert_id], by, request_id)
        if not done:
            return await not_acknowledged(connection, alert_id)
    await parts.bus.publish("alerts", alert_id)
    unless = ", unless it becomes a page" if done[0].urgency == "ticket" else ""
    return Acknowledged(done[0], False, f"Acknowledged: {done[0].service}. Nobody else is told{unless}.")


async def acknowledged(
    parts: Parts, connection: AsyncConnection, alert_ids: Sequence[int], by: str, request_id: str
) -> list[Alert]:
    """Those of the alerts that are acknowledged now, within a transaction; the others were before, or are over."""
    done = await store.acknowledge(connection, alert_ids, by)
    if not done:
        return []
    now = shared_clock.now()
    at = {alert.id: alert.acknowledged_at or now for alert in done}
    events = [AlertEvent(one.id, at[one.id], "acknowledged", f"Acknowledged by {by}.", by) for one in done]
    await store.add_events(connection, events)
    after: dict[str, object] = {"service": ", ".join(sorted({alert.service for alert in done}))}
    after |= {"alerts": [alert.id for alert in done]} if len(done) > 1 else {}
    subject = f"alert {done[0].id}" + (f" and {len(done) - 1} more" if len(done) > 1 else "")
    await audit(connection, by, "alert.acknowledge", subject, None, after, request_id)
    notices = [
        Notice(one, "acknowledge", f"Acknowledged by {by}: {one.service}.", key_of(one, "acknowledge", at[one.id]))
        for one in done
        if one.told is not None
    ]
    await parts.tell(connection, notices)
    return done


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
    """Silence what all of it matches, '' any, for some minutes; ApiError INVALID. A service without objectives is
    silenced where its signals are from."""
    if objective or matchers or not await signalled(parts, service):
        checked_what(service, objective, matchers, parts.policies.objectives)
    what = Silence(0, service, objective, checked_reason(reason), by, 0.0, 0.0, matchers=list(matchers))
    checked_minutes(minutes)
    async with parts.db.act() as connection:
        done = await silenced(connection, what, minutes, request_id)
    if not done.already:
        await parts.bus.publish("alerts", 0)
    return done


async def signalled(parts: Parts, service: str) -> bool:
    """Whether a service is known by signals alone, and a silence of it is written back to where they are from; ApiError
    INVALID where it would be nowhere."""
    if not service or any(one.service == service for one in parts.policies.objectives):
        return False
    async with parts.db.ask() as connection:
        told, written = await silence_store.elsewhere(connection, service)
    if told and not written:
        why = "is known by signals alone, and silences are written back nowhere: Setup, Alertmanager sets that up"
        raise invalid("service", f"{service[:200]} {why}. Nothing was silenced.")
    return told


async def silenced(connection: AsyncConnection, what: Silence, minutes: int, request_id: str) -> Silenced:
    """Set a silence by its author for its reason, both looked at before, within a transaction."""
    same = await silence_store.same(connection, what)
    if same is not None:
        return Silenced(same, True, f"Already silenced by {what.author}, {ago(shared_clock.now() - same.created_at)}")
    made = await silence_store.add(connection, what, minutes)
    after = audited(made) | {"minutes": minutes, "reason": what.reason}
    await audit(connection, what.author, "silence.create", f"silence {made.id}", None, after, request_id)
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
