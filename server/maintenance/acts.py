"""Acts on maintenance windows: planned, extended, ended.

Each is one transaction that is alone with exclusions and ledgers: the exclusions, the
silences, the mark on charts and what is told change together, or nothing does. Whoever
comes second is told what was done already.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, to_builtins

from server.alerts import silence_store
from server.alerts.silence import Silence
from server.auth.audit_store import audit
from server.changes import store as changes
from server.kernel import shared_clock
from server.kernel.errors import ApiError, invalid
from server.kernel.text import ago, checked_reason, clock
from server.kernel.times import utc
from server.live import store as live_store
from server.maintenance import store
from server.maintenance.store import WindowRow
from server.maintenance.telling import notice_of
from server.maintenance.window import (
    Extension,
    MaintenanceWindow,
    WindowAsked,
    ceiled,
    extended,
    services_of,
    whole_minutes,
)
from server.notify.outbox import tell_of_maintenance
from server.slo.ledger import exclusions
from server.slo.ledger.exclusion import ExclusionAsked

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.parts import Parts


class WindowSaved(Struct):
    """What came of an act. `already`: it was so before, and nothing was changed."""

    window: WindowRow
    already: bool
    message: str


class Actor(NamedTuple):
    """Who acts, and in which request."""

    name: str
    request_id: str


async def plan(parts: Parts, asked: WindowAsked, actor: Actor) -> WindowSaved:
    """Set a window ahead; one whose time has come begins at once. ApiError INVALID."""
    now = shared_clock.now()
    start, stop = whole_minutes(asked, now)
    services = covered(parts, asked)
    values: dict[str, Any] = {"services": services, "start": start, "stop": stop, "author": actor.name}
    values |= {
        "reason": checked_reason(asked.reason),
        "expected": checked_reason(asked.expected, required=False, field="expected"),
    }
    async with parts.db.act() as connection:
        await exclusions.alone(connection, parts.policies)
        same = await store.same(connection, services, start, stop)
        if same is not None:
            return WindowSaved(
                same, True, f"Already planned by {same.author}, {ago(now - same.created_at.timestamp())}"
            )
        await check_known(connection, parts, services)
        window = await store.add(connection, values)
        await take_out(connection, parts, window, services, stop, actor=actor.name, now=now)
        await audit(connection, actor.name, "maintenance.plan", subject(window), None, shown(window), actor.request_id)
        if start.timestamp() <= now:
            window = await begin(connection, window.id, now) or window
        else:
            await tell_of_maintenance(connection, notice_of("planned", window))
    await heard(parts)
    word = "has begun" if window.started_at is not None else "is planned"
    return WindowSaved(window, False, f"Maintenance of {window.what} {word}: {window.stretch}.")


async def extend(parts: Parts, number: int, asked: Extension, actor: Actor) -> WindowSaved:
    """Have it end later. ApiError NOT_FOUND, INVALID, or CONFLICT where it is over."""
    now = shared_clock.now()
    async with parts.db.act() as connection:
        await exclusions.alone(connection, parts.policies)
        before = await known(connection, number, hold=True)
        if before.ended_at is not None:
            raise ApiError("CONFLICT", f"Window {number} {over(before, now)}. Nothing was done; plan another one.")
        if ceiled(asked.stop.timestamp()) == before.stop.timestamp():
            return WindowSaved(before, True, f"It ends at {clock(before.stop)} already.")
        window = await store.move(connection, number, extended(before, asked, now))
        out = await exclusions.put_back(connection, parts.policies, number, actor.name, now)
        left = [row.service for row in out]
        await take_out(connection, parts, window, left, window.stop, actor=actor.name, now=now)
        await silence_store.move_of_window(connection, number, window.stop.timestamp())
        await tell_of_maintenance(connection, notice_of("extended", window))
        was, is_ = shown(before), shown(window)
        await audit(connection, actor.name, "maintenance.extend", subject(window), was, is_, actor.request_id)
    await heard(parts)
    return WindowSaved(window, False, f"Maintenance of {window.what} goes on until {clock(window.stop)}.")


async def end(parts: Parts, number: int, actor: Actor) -> WindowSaved:
    """End one that runs, or cancel one that has not begun. ApiError NOT_FOUND."""
    now = shared_clock.now()
    async with parts.db.act() as connection:
        await exclusions.alone(connection, parts.policies)
        before = await known(connection, number, hold=True)
        if before.ended_at is not None:
            return WindowSaved(before, True, f"Already {over(before, now).removeprefix('has ')}")
        if before.started_at is None and before.start.timestamp() <= now:
            before = await begin(connection, number, now) or before
        out = await exclusions.put_back(connection, parts.policies, number, actor.name, now)
        if before.started_at is not None:
            until = min(utc(ceiled(now)), before.stop)
            left = [row.service for row in out]
            await take_out(connection, parts, before, left, until, actor=actor.name, now=now)
        await silence_store.end_of_window(connection, number, actor.name)
        window = await finish(connection, number, actor.name, now) or before
        was, is_ = shown(before), shown(window)
        await audit(connection, actor.name, "maintenance.end", subject(window), was, is_, actor.request_id)
    await heard(parts)
    if window.state == "cancelled":
        return WindowSaved(
            window, False, f"Maintenance of {window.what} is cancelled: nothing is left out or silenced."
        )
    return WindowSaved(window, False, f"Maintenance of {window.what} has ended. What still fails is told now.")


async def begin(connection: AsyncConnection, number: int, now: float) -> WindowRow | None:
    """Begin one whose time has come: silence, mark and message; None: it had begun before. What is over by now is
    neither silenced nor announced as begun."""
    held_ = await store.one(connection, number, hold=True)
    if held_ is None or held_.started_at is not None or held_.ended_at is not None:
        return None
    change = await marked(connection, held_)
    window = await store.begin(connection, number, change, now)
    if window is None or window.stop.timestamp() <= now:
        return window
    until = window.stop.timestamp()
    for service in window.services:
        what = Silence(0, service, "", f"Maintenance: {window.reason}", window.author, now, until)
        await silence_store.add_of_window(connection, what, number)
    await tell_of_maintenance(connection, notice_of("started", window))
    return window


async def finish(connection: AsyncConnection, number: int, by: str, now: float) -> WindowRow | None:
    """End one, by somebody or ('') by its time: mark and message; None: it had ended before."""
    window = await store.end(connection, number, by, now)
    if window is None:
        return None
    if window.change_id is not None:
        await changes.finish(connection, window.change_id, "finished", utc(now))
    await tell_of_maintenance(connection, notice_of("cancelled" if window.state == "cancelled" else "ended", window))
    return window


async def marked(connection: AsyncConnection, window: WindowRow) -> int:
    """Record it as a change under way, which charts mark; its id."""
    detail = {"window": window.id, "services": window.services, "expected": window.expected}
    service = window.services[0] if len(window.services) == 1 else ""
    return await changes.record(
        connection,
        "maintenance",
        service,
        "",
        f"{window.what}: {window.reason}",
        author=window.author,
        detail=detail,
        at=window.start,
        state="started",
    )


async def take_out(
    connection: AsyncConnection,
    parts: Parts,
    window: WindowRow,
    services: Sequence[str],
    stop: datetime,
    *,
    actor: str,
    now: float,
) -> None:
    """Take [its start, stop) out of the budgets of these services."""
    for service in services:
        asked = ExclusionAsked(service, window.start, stop, f"Maintenance: {window.reason}"[:500])
        await exclusions.take_out(connection, parts.policies, asked, now, window=window.id, actor=actor)


def covered(parts: Parts, asked: WindowAsked) -> list[str]:
    """The services that it is of; ApiError INVALID where that is none."""
    found = services_of(asked.services, (objective.service for objective in parts.policies.of_production))
    if not found:
        raise invalid("services", "no service has an objective yet: name those that it is of. Nothing was planned.")
    return found


async def check_known(connection: AsyncConnection, parts: Parts, services: Sequence[str]) -> None:
    """ApiError INVALID for a service that nothing is known of."""
    held_ = {objective.service for objective in parts.policies.of_production}
    for place, service in enumerate(services):
        if service not in held_ and not await live_store.exists(connection, service):
            reason = f"{service} has sent nothing yet and has no objective; GET /api/v1/services lists those that do"
            raise invalid(f"services[{place}]", f"{reason}. Nothing was planned.")


async def known(connection: AsyncConnection, number: int, *, hold: bool = False) -> WindowRow:
    """The window; held, nobody else changes it until the transaction ends. ApiError NOT_FOUND."""
    found = await store.one(connection, number, hold=hold)
    if found is None:
        detail = f"There is no maintenance window {number}; GET /api/v1/maintenance-windows lists them."
        raise ApiError("NOT_FOUND", f"{detail} Nothing was done.")
    return found


async def heard(parts: Parts) -> None:
    """Whoever looks at alerts sees it at once."""
    await parts.bus.publish("alerts", 0)


def over(window: WindowRow, now: float) -> str:
    """`has ended by mira, 3 s ago`, at `now` in Unix seconds."""
    assert window.ended_at is not None
    word = "was cancelled" if window.state == "cancelled" else "has ended"
    return f"{word}{f' by {window.ended_by}' if window.ended_by else ''}, {ago(now - window.ended_at.timestamp())}"


def subject(window: MaintenanceWindow) -> str:
    return f"maintenance {window.id}"


def shown(window: MaintenanceWindow) -> Any:
    """As the audit keeps it."""
    return to_builtins(MaintenanceWindow(*(getattr(window, name) for name in MaintenanceWindow.__struct_fields__)))
