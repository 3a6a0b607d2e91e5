"""SQL of acts: what a service counted by route since a second, and before it, while it is known by the second."""

from __future__ import annotations

import math
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.live.clauses_store import within


class RouteCount(NamedTuple):
    """One route."""

    bad: int
    n: int
    before_bad: int
    before_n: int


# Of a latency objective the good ones count where it was measured, and those over its threshold are bad: as in the
# ledger, a process that did not know the threshold yet has counted nothing.
COUNTS = text(
    f"""
    WITH counted AS (
        SELECT s.method, s.route, t.second > to_timestamp(:at) AS since,
            CASE WHEN CAST(:threshold AS bigint) IS NULL THEN t.n ELSE t.n - t.bad END AS n,
            CASE WHEN CAST(:threshold AS bigint) IS NULL THEN t.bad ELSE t.n - t.bad - m.fast END AS bad
        FROM writers w JOIN deltas t ON t.writer_id = w.id JOIN series s ON s.id = t.series_id
        CROSS JOIN LATERAL (SELECT {within("t", ":threshold")}) AS m (fast)
        WHERE s.service = :service AND t.second >= to_timestamp(:start) AND t.second <> to_timestamp(floor(:at))
            AND t.second < to_timestamp(floor(:until))
            AND (CAST(:threshold AS bigint) IS NULL OR m.fast IS NOT NULL)
    )
    SELECT coalesce(sum(bad) FILTER (WHERE since), 0)::bigint, coalesce(sum(n) FILTER (WHERE since), 0)::bigint,
        coalesce(sum(bad) FILTER (WHERE NOT since), 0)::bigint, coalesce(sum(n) FILTER (WHERE NOT since), 0)::bigint
    FROM counted GROUP BY method, route
    """
)


async def route_counts(
    connection: AsyncConnection,
    service: str,
    start: float,
    at: float,
    threshold_us: int | None,
    *,
    until: float = math.inf,
) -> list[RouteCount]:
    """From `start` to the second of `at`, which is of neither side, and from then to the second of `until`. Unix
    seconds, within 15 minutes."""
    times = {"start": float(start), "at": float(at), "until": float(until)}
    values = {"service": service, "threshold": threshold_us, **times}
    return [RouteCount(*row) for row in await connection.execute(COUNTS, values)]
