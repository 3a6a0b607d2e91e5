"""The ledger: exact whole counts of each objective, per minute and per hour.

Written by the fold, in the transaction that folds the same deltas into rollups, so
that every delta is in it once or not at all. It stays as counted; the part of it that
exclusions take out is kept beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel import shared_clock
from server.live.deltas import Delta
from server.slo.ledger import ledger_store, recount_store
from server.slo.model.counts import NOTHING, Counts, Tally
from server.slo.model.objective import Objective
from server.slo.policy.policies import Policies

MINUTE_S = 60
HOUR_S = 3600
LATE_S = 900

Tallies = dict[tuple[str, int], Tally]  # by service and minute, Unix seconds
Rows = dict[tuple[int, int], Counts]  # (objective id, Unix seconds of the minute or hour)


def tallied(deltas: Iterable[Delta]) -> Tallies:
    """Deltas by service and minute."""
    tallies: Tallies = {}
    for delta in deltas:
        minute = delta.second - delta.second % MINUTE_S
        tallies.setdefault((delta.series.service, minute), Tally()).add(delta)
    return tallies


def by_service(objectives: Iterable[Objective]) -> dict[str, list[Objective]]:
    """The objectives of each service."""
    found: dict[str, list[Objective]] = {}
    for objective in objectives:
        found.setdefault(objective.service, []).append(objective)
    return found


def minute_rows(objectives: Iterable[Objective], tallies: Mapping[tuple[str, int], Tally]) -> Rows:
    """What each objective counts in each minute."""
    named = by_service(objectives)
    return {
        (objective.id, minute): tally.counts(objective)
        for (service, minute), tally in tallies.items()
        for objective in named.get(service, ())
    }


def hour_rows(minutes: Rows) -> Rows:
    """The same by hour."""
    hours: Rows = {}
    for (objective_id, minute), counts in minutes.items():
        key = (objective_id, minute - minute % HOUR_S)
        hours[key] = hours.get(key, NOTHING).plus(counts)
    return hours


def arrived(minutes: Rows, left_out: Rows, now: float) -> dict[int, Counts]:
    """The same by objective, for the counters of Prometheus: without what exclusions take out, and what came late."""
    found: dict[int, Counts] = {}
    for (objective_id, minute), counts in minutes.items():
        if minute > now - LATE_S:
            kept = counts.without(left_out.get((objective_id, minute), NOTHING))
            found[objective_id] = found.get(objective_id, NOTHING).plus(kept)
    return found


def unmeasured(objectives: Iterable[Objective], tallies: Mapping[tuple[str, int], Tally]) -> set[tuple[int, int]]:
    """The objectives and minutes of which some process did not measure the threshold."""
    named = by_service(objectives)
    return {
        (objective.id, minute)
        for (service, minute), tally in tallies.items()
        for objective in named.get(service, ())
        if objective.threshold_us is not None and tally.unmeasured(objective.threshold_us)
    }


class Ledger:
    """Keeps the ledger: the fold calls it with the deltas that it folds, in its own transaction."""

    def __init__(self, policies: Policies) -> None:
        self.policies = policies

    async def fold(self, connection: AsyncConnection, deltas: Sequence[Delta]) -> None:
        """Add deltas, in the fold's own transaction, which has checked the term."""
        await self.follow(connection)
        objectives, tallies = self.policies.objectives, tallied(deltas)
        minutes = minute_rows(objectives, tallies)
        left_out = minute_rows(objectives, tallied(delta for delta in deltas if delta.excluded))
        await ledger_store.add(connection, minutes, hour_rows(minutes))
        await ledger_store.add_left_out(connection, left_out)
        came_late = tallied(delta for delta in deltas if delta.late)
        await ledger_store.add_late(connection, minute_rows(objectives, came_late))
        await ledger_store.add_events(connection, arrived(minutes, left_out, shared_clock.now()))
        await recount_store.ask_unmeasured(connection, unmeasured(objectives, tallies))

    async def follow(self, connection: AsyncConnection) -> None:
        """Take the newest policy, so that a ledger has every delta that is folded from now on.

        What was folded before, while its objective was not in force, is to be recounted.
        """
        await self.policies.follow(connection)
        await recount_store.ask_new(connection, [objective.id for objective in self.policies.objectives])
