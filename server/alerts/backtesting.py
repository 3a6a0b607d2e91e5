"""A backtest of a whole policy: each objective against the ledgers of what it counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from msgspec import Struct

from server.alerts import backtest_store as store
from server.alerts.backtest import MINUTE_S, PastAlert, backtest, minutes_of
from server.kernel.db import Database
from server.kernel.text import plural
from server.slo.ledger.ledger_store import MINUTES_KEPT_DAYS
from server.slo.model.budget_policy import BudgetPolicy
from server.slo.model.objective import Objective, Policy
from server.slo.policy.own_tiers import MAX_S
from server.slo.policy.policy import MAX_OBJECTIVES
from server.slo.policy.provisional import with_defaults
from server.slo.policy.store import sending_services

DAYS = 28
DAY_S = 86_400
HOUR_S = 3600
MINUTES_DAYS = MINUTES_KEPT_DAYS - 1  # what is older is taken by the hour


class Backtested(Struct):
    """What a policy would have done from `start` to `end`, Unix seconds."""

    start: int
    end: int
    alerts: list[PastAlert]  # the oldest first
    looked_at: list[str]  # objectives
    without_ledger: list[str]  # nothing has counted what they count
    left: list[str]  # there was no time for them


async def run(
    db: Database, policy: Policy, now: float, limit_s: float, told: Callable[[int, int], None] = lambda done, of: None
) -> Backtested:
    """The last 28 days, for as many objectives as there is time for; the work is done off the event loop.

    `told` hears how many objectives of how many are done.
    """
    end = int(now) // MINUTE_S * MINUTE_S
    found = Backtested(end - DAYS * DAY_S, end, [], [], [], [])
    async with db.ask() as connection:
        services = await sending_services(connection) if policy.budget_policy.defaults else frozenset[str]()
        objectives = with_defaults(policy, services, MAX_OBJECTIVES)
        ledgers = await store.ledgers(connection, (o.indicator for o in objectives), found.start)
    deadline = time.monotonic() + limit_s
    for done, objective in enumerate(objectives, 1):
        if objective.indicator not in ledgers:
            found.without_ledger.append(objective.name)
        elif time.monotonic() > deadline:
            found.left.append(objective.name)
        else:
            found.alerts += await one(db, policy.budget_policy, objective, ledgers[objective.indicator], found)
            found.looked_at.append(objective.name)
        told(done, len(objectives))
    found.alerts.sort(key=lambda alert: (alert.detected_at, alert.objective))
    return found


async def one(
    db: Database, policy: BudgetPolicy, objective: Objective, ids: list[int], found: Backtested
) -> list[PastAlert]:
    """The alerts of one objective."""
    kept = (found.end - MINUTES_DAYS * DAY_S) // HOUR_S * HOUR_S
    first = min(kept, (found.start - max(objective.window_s, MAX_S)) // HOUR_S * HOUR_S)
    async with db.ask() as connection:
        minutes = await store.minutes(connection, ids, first, kept, found.end)
    line = await asyncio.to_thread(minutes_of, first, found.end, minutes)
    return await asyncio.to_thread(backtest, objective, policy, line, found.start)


def summary(found: Backtested) -> str:
    """`4 alerts of 12 objectives in 28 days: 1 page, 2 tickets, 1 only shown.`"""
    fired = [alert for alert in found.alerts if alert.fired_at is not None]
    pages = sum(alert.urgency == "page" for alert in fired)
    return (
        f"{plural(len(found.alerts), 'alert')} of {plural(len(found.looked_at), 'objective')} in {DAYS} days:"
        f" {plural(pages, 'page')}, {plural(len(fired) - pages, 'ticket')},"
        f" {len(found.alerts) - len(fired)} only shown."
    )


def gaps(found: Backtested) -> list[str]:
    """What was not looked at, and why."""
    lines = []
    if found.without_ledger:
        lines.append(f"Nothing has counted what these count: {', '.join(found.without_ledger)}.")
    if found.left:
        lines.append(f"There was no time for {', '.join(found.left)}.")
    return lines
