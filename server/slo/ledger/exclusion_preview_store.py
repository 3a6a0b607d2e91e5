"""SQL of what an exclusion would take out, from the minutes that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.live.excluded_store import excluded
from server.slo.ledger.rebuild_store import BAD, GOOD, KEPT, OBJECTIVES, values
from server.slo.model.counts import NOTHING, Counts
from server.slo.model.objective import Objective

if TYPE_CHECKING:
    from server.slo.ledger.exclusions import ExclusionAsked

# What another exclusion takes out already is not taken out again. The row of 0 is every outcome there.
TAKEN = text(f"""
WITH m AS MATERIALIZED (
    {KEPT} AND NOT {excluded("s", "m.minute")}
    AND :route IN ('', s.route) AND :version IN ('', s.version) AND :method IN ('', s.method)
)
SELECT 0, coalesce(sum(n - bad), 0)::bigint, coalesce(sum(bad), 0)::bigint FROM m
UNION ALL
SELECT o.id, sum({GOOD})::bigint, sum({BAD})::bigint FROM m CROSS JOIN {OBJECTIVES} GROUP BY o.id
""")
ALL = 0

# Each span once, with what is taken out of the ledger in it, also by others that overlap it.
SPANS = text("""
SELECT given.id, sum(good)::bigint, sum(bad)::bigint
FROM unnest(CAST(:numbers AS integer[]), CAST(:starts AS timestamptz[]), CAST(:stops AS timestamptz[]))
    AS given (id, opens, closes)
JOIN ledger_left_out ON objective_id = :id AND minute >= opens AND minute < closes
GROUP BY given.id
""")


async def taken(
    connection: AsyncConnection, objectives: Sequence[Objective], asked: ExclusionAsked, start: int, stop: int
) -> dict[int, Counts]:
    """By objective id, and of every outcome under ALL: what [start, stop) has counted of what is asked for."""
    selectors = {"service": asked.service, "route": asked.route, "version": asked.version, "method": asked.method}
    rows = await connection.execute(TAKEN, values(objectives, start, stop) | selectors)
    return {ALL: NOTHING} | {row[0]: Counts(row[1], row[2]) for row in rows}


async def taken_by(
    connection: AsyncConnection, objective_id: int, spans: Sequence[tuple[int, datetime, datetime]]
) -> dict[int, Counts]:
    """By number: what is taken out of a ledger in each span. Nothing: no entry."""
    numbers, starts, stops = zip(*spans, strict=True) if spans else ((), (), ())
    given = {"id": objective_id, "numbers": list(numbers), "starts": list(starts), "stops": list(stops)}
    return {row[0]: Counts(row[1], row[2]) for row in await connection.execute(SPANS, given)}
