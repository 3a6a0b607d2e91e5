"""The monthly report from one snapshot, and the months there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from server.alerts import store as alert_store
from server.alerts.alert import Outage
from server.changes import store as change_store
from server.changes.before import BEFORE_S
from server.http.shown import answered
from server.kernel.errors import ApiError, invalid
from server.kernel.times import utc
from server.live import questions
from server.review import store
from server.review.monthly import AlertMonth, MonthlyReport, ObjectiveMonth, objective_month, worst
from server.slo.ledger import ledger_store, months, spans
from server.slo.ledger.history import Stretch
from server.slo.ledger.past import stretches
from server.slo.ledger.spans import Span, Split
from server.slo.ledger.windows import first_before
from server.slo.model.objective import Objective, PolicyError
from server.slo.policy import store as policy_store
from server.slo.policy.policies import Policies
from server.slo.policy.policy import MAX_OBJECTIVES, parse
from server.slo.policy.provisional import with_defaults

HOURS_KEPT_S = ledger_store.HOURS_KEPT_DAYS * 86_400
CHANGES_MAX = 2000
MONTHS = 13  # as far back as whole months of hours are kept


async def monthly(
    connection: AsyncConnection, policies: Policies, service: str, month: str, now: float
) -> MonthlyReport:
    """The report; ApiError where there is no such month or service."""
    start, end = asked(month, now)
    stop = min(end, int(now) + 1)
    number, objectives = await objectives_then(connection, policies, service, stop)
    if not objectives:
        await questions.require(connection, service)
    made = await change_store.recent(connection, start - BEFORE_S, service, CHANGES_MAX, until=stop)
    held, found = await counted(connection, objectives, start, stop, now)
    return MonthlyReport(
        service=service,
        month=month,
        start=utc(start),
        stop=utc(stop),
        complete=end <= now,
        made_at=utc(max(int(now), stop)),  # of a month that goes on, `stop` is the end of this second
        policy_revision=number,
        objectives=held,
        worst=worst(found, made),
        alerts=[alert_month(one) for one in await alert_store.outages_between(connection, service, start, stop)],
        changes=await store.changes(connection, service, start, stop),
        exclusions=await store.exclusions(connection, service, start, stop),
    )


async def counted(
    connection: AsyncConnection, objectives: Sequence[Objective], start: int, stop: int, now: float
) -> tuple[list[ObjectiveMonth], list[tuple[Objective, list[Stretch]]]]:
    """Each objective over the month, and what spent most of it."""
    month = await spans.read(connection, objectives, Span(start, stop, "minute"))
    rolling = await rolling_of(connection, objectives, stop, now)
    ledgers = await store.ledgers(connection, [objective.id for objective in objectives], start, stop)
    held = [objective_month(o, month[o.id], rolling.get(o.id), ledgers[o.id]) for o in objectives]
    found = [(o, await stretches(connection, o, start, stop, whole=month[o.id].counts, now=now)) for o in objectives]
    return held, found


async def rolling_of(
    connection: AsyncConnection, objectives: Sequence[Objective], stop: int, now: float
) -> dict[int, Split]:
    """What each objective's own window that ends at `stop` has counted; of one that is not all kept, nothing."""
    found: dict[int, Split] = {}
    by_start: dict[int, list[Objective]] = {}
    for objective in objectives:
        by_start.setdefault(first_before(objective, stop, now), []).append(objective)
    for start, same in by_start.items():
        if start >= now - HOURS_KEPT_S:
            found |= await spans.read(connection, same, Span(start, stop, "minute"))
    return found


def asked(month: str, now: float) -> tuple[int, int]:
    """The bounds of a month that has begun and is kept whole; ApiError otherwise."""
    try:
        start, end = months.bounds(month)
    except ValueError:
        raise invalid("month", "give a month of the calendar, as 2026-11") from None
    if start > now:
        raise ApiError("NOT_FOUND", f"{month} has not begun.")
    if start < now - HOURS_KEPT_S:
        days = ledger_store.HOURS_KEPT_DAYS
        raise ApiError("NOT_FOUND", f"{month} is not kept whole any more: the ledger's hours are kept for {days} days.")
    return start, end


async def objectives_then(
    connection: AsyncConnection, policies: Policies, service: str, end: float
) -> tuple[int, list[Objective]]:
    """The objectives of a service in the policy that was in force at `end`, so that a later one changes no report."""
    number, source = await store.policy_at(connection, end)
    if number != policies.number:
        try:
            policy = parse(source)
        except PolicyError:  # written for another version of Evenkeel: what is in force now is the nearest there is
            return policies.number, [o for o in policies.objectives if o.service == service]
        then = [o for o in with_defaults(policy, [service], MAX_OBJECTIVES) if o.service == service]
        ids = await policy_store.ledger_ids(connection, then)
        return number, [replace(o, id=ids[o.name, o.indicator]) for o in then if (o.name, o.indicator) in ids]
    return number, [objective for objective in policies.objectives if objective.service == service]


def alert_month(outage: Outage) -> AlertMonth:
    """An outage of an alert with how long each step took.

    An onset that is only where a long window begins is no time at which anything failed:
    how long it took to detect is not known, and the outage is as long as it was known of.
    """
    durations = {
        "id": outage.alert_id,
        "outage": outage.number,
        "state": outage.state,
        "time_to_detect_s": outage.time_to_detect_s,
        "time_to_acknowledge_s": outage.time_to_acknowledge_s,
        "time_to_resolve_s": outage.lasted_s,
    }
    return answered(outage, AlertMonth, **durations)


async def months_kept(connection: AsyncConnection, policies: Policies, now: float) -> dict[str, list[str]]:
    """The months of each service that has an objective, newest first, in which anything was counted."""
    names = [name for name in months.latest(now, MONTHS) if months.bounds(name)[0] >= now - HOURS_KEPT_S]
    ledgers = [(objective.id, objective.service) for objective in policies.of_production]
    bounds = [(name, *months.bounds(name)) for name in names]
    kept = await store.months(connection, ledgers, bounds)
    services = sorted({service for _, service in ledgers})
    return {service: [name for name in names if (service, name) in kept] for service in services}
