"""How many outcomes of each objective were good and bad since it has been kept: numbers that only grow.

For Prometheus, whose counters must not fall: the ledger's sums fall with exclusions and as rows age out.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.slo.model.counts import Counts

ADD = text("""
INSERT INTO objective_events AS kept (objective_id, good, bad)
SELECT * FROM unnest(CAST(:ids AS integer[]), CAST(:good AS bigint[]), CAST(:bad AS bigint[]))
ON CONFLICT (objective_id) DO UPDATE SET good = kept.good + excluded.good, bad = kept.bad + excluded.bad
""")
READ = text("SELECT objective_id, good, bad FROM objective_events")


async def add(connection: AsyncConnection, counts: Mapping[int, Counts]) -> None:
    """Add what was just folded, by objective id, in the fold's own transaction."""
    ids = sorted(counts)
    if ids:
        values = {"ids": ids, "good": [counts[each].good for each in ids], "bad": [counts[each].bad for each in ids]}
        await connection.execute(ADD, values)


async def read(connection: AsyncConnection) -> dict[int, Counts]:
    """By objective id."""
    return {row[0]: Counts(row[1], row[2]) for row in await connection.execute(READ)}
