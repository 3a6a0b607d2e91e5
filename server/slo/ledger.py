"""The ledger: exact whole counts of each objective, per minute and per hour.

Written by the fold, in the transaction that folds the same deltas into rollups, so
that every delta is in it once or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncConnection

from server.live.deltas import Delta
from server.slo import ledger_store
from server.slo.counts import NOTHING, Counts
from server.slo.objective import Objective
from server.slo.tally import Tally

if TYPE_CHECKING:
    from server.slo.policies import Policies

MINUTE_S = 60
HOUR_S = 3600

Rows = dict[tuple[int, int], Counts]  # (objective id, Unix seconds of the minute or hour)


def minute_rows(objectives: Iterable[Objective], deltas: Iterable[Delta]) -> Rows:
    """What deltas add to each objective in each minute."""
    tallies: dict[tuple[str, int], Tally] = {}
    for delta in deltas:
        minute = delta.second - delta.second % MINUTE_S
        tallies.setdefault((delta.series.service, minute), Tally()).add(delta)
    by_service: dict[str, list[Objective]] = {}
    for objective in objectives:
        by_service.setdefault(objective.service, []).append(objective)
    return {
        (objective.id, minute): tally.counts(objective)
        for (service, minute), tally in tallies.items()
        for objective in by_service.get(service, ())
    }


def hour_rows(minutes: Rows) -> Rows:
    """The same by hour."""
    hours: Rows = {}
    for (objective_id, minute), counts in minutes.items():
        key = (objective_id, minute - minute % HOUR_S)
        hours[key] = hours.get(key, NOTHING).plus(counts)
    return hours


class Ledger:
    """The fold's hook."""

    def __init__(self, policies: Policies) -> None:
        self.policies = policies

    async def fold(self, connection: AsyncConnection, deltas: Sequence[Delta], term: int) -> None:
        """Add deltas, in the fold's own transaction, which has checked the term.

        The newest policy is taken first, so that a ledger has every delta that is
        folded after its objective was stored.
        """
        await self.policies.follow(connection)
        minutes = minute_rows(self.policies.objectives, deltas)
        await ledger_store.add(connection, minutes, hour_rows(minutes))
