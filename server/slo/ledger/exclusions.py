"""Exclusions: time that people take out of the budgets of a service, for maintenance or a load test.

Made and revoked in one transaction that is alone with the ledgers: what was folded is
taken out or put back in it, and what is folded later is told apart by the fold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from msgspec.structs import asdict
from sqlalchemy.ext.asyncio import AsyncConnection

from server.auth.audit_store import audit
from server.changes import store as changes
from server.kernel.db import Database
from server.kernel.errors import ApiError, invalid
from server.kernel.text import checked_reason, clock, span
from server.kernel.times import utc
from server.live import fold_store
from server.live import store as live_store
from server.slo.ledger import exclusion_store as store
from server.slo.ledger import rebuild_store
from server.slo.ledger.exclusion import (
    Cap,
    Exclusion,
    ExclusionAsked,
    ExclusionEffect,
    ExclusionSaved,
    budget_change,
    hours,
    most_used,
)
from server.slo.ledger.ledger import Ledger
from server.slo.ledger.ledger_store import MINUTES_KEPT_DAYS
from server.slo.ledger.recount import oldest
from server.slo.model.counts import NOTHING
from server.slo.model.status import ObjectiveStatus
from server.slo.policy.policies import Policies

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86_400
AHEAD_DAYS = 90
USUAL_WINDOW_S = 28 * DAY_S  # of a service without an objective
SHOWN_ROUTES = 10
LISTED = 500


async def make(
    db: Database, policies: Policies, asked: ExclusionAsked, *, actor: str, request_id: str, now: float
) -> ExclusionSaved:
    """Take time out of the budgets of a service; `now` in Unix seconds. ApiError INVALID where it may not be."""
    start, stop = whole_minutes(asked, now)
    values: dict[str, object] = {
        "service": asked.service,
        "route": asked.route,
        "version": asked.version,
        "method": asked.method,
        "start": utc(start),
        "stop": utc(stop),
        "reason": checked_reason(asked.reason),
        "author": actor,
    }
    async with db.act() as connection:
        await alone(connection, policies)
        same = await store.same(connection, values)
        if same is not None:
            return saved(same, f"Already excluded by {same.author}, {span(same.age_s)} ago.", already=True)
        await check_known(connection, policies, asked)
        await check_cap(connection, policies, asked.service, start, stop)
        row = await store.add(connection, values)
        await rebuild(connection, policies, row, now)
        await record_change(connection, row, f"left out of the budget: {stretch(row)}", actor, revoked=False)
        await audit(connection, actor, "exclusion.make", f"exclusion {row.id}", None, exclusion(row), request_id)
    return saved(row, f"Left out: {sentence_of(row)}.{widened(asked, row)}", already=False)


async def revoke(
    db: Database, policies: Policies, number: int, *, actor: str, request_id: str, now: float
) -> ExclusionSaved:
    """Count again what an exclusion took out. ApiError NOT_FOUND, or INVALID where its minutes are gone."""
    async with db.act() as connection:
        await alone(connection, policies)
        row = await store.one(connection, number)
        if row is None:
            raise ApiError("NOT_FOUND", f"There is no exclusion {number}; GET /api/v1/exclusions lists them.")
        if row.revoked_at is not None:
            return saved(row, f"Already revoked by {row.revoked_by}, {span(row.age_s)} ago.", already=True)
        if row.start.timestamp() < oldest(now, MINUTES_KEPT_DAYS):
            raise invalid("number", f"{kept_from(now)}; it stays. Nothing was changed.")
        after = await store.revoke(connection, number, actor)
        await rebuild(connection, policies, after, now)
        await record_change(connection, after, f"counted again: {stretch(after)}", actor, revoked=True)
        subject, was = f"exclusion {number}", exclusion(row)
        await audit(connection, actor, "exclusion.revoke", subject, was, exclusion(after), request_id)
    return saved(after, f"Counted again: {sentence_of(after)}.", already=False)


async def alone(connection: AsyncConnection, policies: Policies) -> None:
    """Nobody else changes exclusions or ledgers until the transaction ends."""
    await fold_store.alone(connection)
    await Ledger(policies).follow(connection)  # a ledger that is not in force is counted anew when it is again


async def take_out(
    connection: AsyncConnection, policies: Policies, asked: ExclusionAsked, now: float, *, window: int, actor: str
) -> None:
    """Take out whole minutes for a maintenance window, in its transaction, which is alone. ApiError INVALID where
    policy does not allow so much."""
    start, stop = int(asked.start.timestamp()), int(asked.stop.timestamp())
    await check_cap(connection, policies, asked.service, start, stop, undone="Nothing was done.")
    values = {"service": asked.service, "start": asked.start, "stop": asked.stop, "reason": asked.reason}
    row = await store.add(connection, values | {"author": actor, "maintenance_id": window})
    await rebuild(connection, policies, row, now)


async def put_back(
    connection: AsyncConnection, policies: Policies, window: int, actor: str, now: float
) -> list[store.ExclusionRow]:
    """Count again what a maintenance window takes out, in its transaction, which is alone; what that was."""
    found = [await store.revoke(connection, row.id, actor) for row in await store.of_window(connection, window)]
    for row in found:
        await rebuild(connection, policies, row, now)
    return found


async def preview(
    connection: AsyncConnection,
    policies: Policies,
    statuses: Mapping[str, ObjectiveStatus],
    asked: ExclusionAsked,
    now: float,
) -> ExclusionEffect:
    """What an exclusion would take out, before it is made: it changes nothing and waits for nobody.

    `statuses` are of now, by objective. ApiError INVALID as `make` raises it.
    """
    start, stop = whole_minutes(asked, now)
    objectives = [objective for objective in policies.objectives if objective.service == asked.service]
    use, window_s, allowed_s = await cap_of(connection, policies, asked.service, start, stop)
    found = await store.taken(connection, objectives, asked, start, stop)
    return ExclusionEffect(
        total=found[store.ALL].total,
        failed=found[store.ALL].bad,
        budgets=[
            budget_change(o, statuses[o.name], found.get(o.id, NOTHING)) for o in objectives if o.name in statuses
        ],
        used_s=use.used,
        asked_s=use.asked,
        allowed_s=allowed_s,
        window_s=window_s,
    )


async def listed(connection: AsyncConnection, service: str | None, now: float) -> list[Exclusion]:
    """The exclusions of one service or of all that are not older than 400 days, the last one first."""
    rows = await store.recent(connection, service, now - 400 * DAY_S, LISTED)
    return [exclusion(row) for row in rows]


def whole_minutes(asked: ExclusionAsked, now: float) -> tuple[int, int]:
    """What is asked for as whole minutes, Unix seconds: the start floored, the stop ceiled. ApiError INVALID."""
    if asked.stop <= asked.start:
        raise invalid("stop", "is not after `start`. Nothing was excluded.")
    if asked.stop.timestamp() > now + AHEAD_DAYS * DAY_S:
        raise invalid("stop", f"is more than {AHEAD_DAYS} days ahead. Nothing was excluded.")
    start = int(asked.start.timestamp() // MINUTE_S * MINUTE_S)
    if start < oldest(now, MINUTES_KEPT_DAYS):
        raise invalid("start", f"{kept_from(now)}. Nothing was excluded.")
    return start, int(-(-asked.stop.timestamp() // MINUTE_S) * MINUTE_S)


def kept_from(now: float) -> str:
    """From when on minutes are kept, in words."""
    return f"minutes are kept for {MINUTES_KEPT_DAYS} days, from {clock(utc(oldest(now, MINUTES_KEPT_DAYS)))} on"


async def check_known(connection: AsyncConnection, policies: Policies, asked: ExclusionAsked) -> None:
    """ApiError INVALID for a service or route that nothing was ever sent of."""
    declared = any(objective.service == asked.service for objective in policies.objectives)
    if not declared and not await live_store.exists(connection, asked.service):
        reason = f"{asked.service} has sent nothing yet and has no objective; GET /api/v1/services lists those that do"
        raise invalid("service", f"{reason}. Nothing was excluded.")
    if not asked.route:
        return
    routes = await store.routes(connection, asked.service)
    if asked.route not in routes:
        more = f" and {len(routes) - SHOWN_ROUTES} more" if len(routes) > SHOWN_ROUTES else ""
        known = f"{', '.join(routes[:SHOWN_ROUTES]) or 'none'}{more}"
        raise invalid("route", f"{asked.service} has no route {asked.route}; it has {known}. Nothing was excluded.")


async def cap_of(connection: AsyncConnection, policies: Policies, service: str, start: int, stop: int) -> Cap:
    """The cap of a service, with [start, stop) taken out too."""
    window_s = max((o.window_s for o in policies.objectives if o.service == service), default=USUAL_WINDOW_S)
    others = await store.spans(connection, service, start - window_s, stop + window_s)
    allowed_s = policies.budget_policy.exclusions_max_hours * HOUR_S
    return Cap(most_used(others, (start, stop), window_s), window_s, allowed_s)


async def check_cap(
    connection: AsyncConnection,
    policies: Policies,
    service: str,
    start: int,
    stop: int,
    *,
    undone: str = "Nothing was excluded.",
) -> None:
    """ApiError INVALID with the arithmetic where policy does not allow so much."""
    use, window_s, allowed = await cap_of(connection, policies, service, start, stop)
    if use.wanted > allowed:
        sum_ = f"{hours(use.used)} excluded already and {hours(use.asked)} asked make {hours(use.wanted)}"
        days = f"the {window_s // DAY_S} days to {clock(utc(use.stop))}"
        raise invalid(
            "stop",
            f"{sum_} of {service} in {days}; the policy allows {hours(allowed)}. {undone}",
            used_s=use.used,
            asked_s=use.asked,
            allowed_s=allowed,
        )


async def rebuild(connection: AsyncConnection, policies: Policies, row: store.ExclusionRow, now: float) -> None:
    """Take out, or put back, what was counted in the minutes of an exclusion; an hour at a time."""
    objectives = [objective for objective in policies.objectives if objective.service == row.service]
    start, stop = int(row.start.timestamp()), int(min(row.stop.timestamp(), now + HOUR_S))
    for hour in range(start, stop, HOUR_S):
        await rebuild_store.left_out(connection, objectives, hour, min(hour + HOUR_S, stop))


async def record_change(
    connection: AsyncConnection, row: store.ExclusionRow, summary: str, actor: str, *, revoked: bool
) -> None:
    """Record the exclusion or its end as a change of the service."""
    detail = {"exclusion": row.id, "reason": row.reason, "revoked": revoked}
    await changes.record(connection, "exclusion", row.service, "", summary, author=actor, detail=detail)


def exclusion(row: store.ExclusionRow) -> Exclusion:
    """A row as the API shows it."""
    return msgspec.convert(asdict(row), Exclusion)


def saved(row: store.ExclusionRow, message: str, *, already: bool) -> ExclusionSaved:
    """The answer to making or revoking an exclusion."""
    return ExclusionSaved(exclusion(row), already, message)


def sentence_of(row: store.ExclusionRow) -> str:
    """`checkout, route /pay, from … to … (31 min)`."""
    return f"{row.service}, {stretch(row)}"


def stretch(row: store.ExclusionRow) -> str:
    """`route /pay, from … to … (31 min)`."""
    parts = [f"{word} {value}" for word, value in selectors(row) if value]
    length = span((row.stop - row.start).total_seconds())
    return ", ".join([*parts, f"from {clock(row.start)} to {clock(row.stop)} ({length})"])


def selectors(row: store.ExclusionRow) -> Iterable[tuple[str, str]]:
    """What it is limited to, by name; '' is any."""
    return (("route", row.route), ("version", row.version), ("method", row.method))


def widened(asked: ExclusionAsked, row: store.ExclusionRow) -> str:
    """A sentence where whole minutes are more than was asked for; else nothing."""
    return "" if (asked.start, asked.stop) == (row.start, row.stop) else " Widened to whole minutes."
