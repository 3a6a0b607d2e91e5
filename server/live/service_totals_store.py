"""SQL of what each service has sent since it is counted: numbers that only grow, as the counters of Prometheus must.

The fold adds to them in its own transaction, so that every machine answers the same. What is more than 15 minutes old
by then is left out, as in the counters of objectives: a counter tells of now.
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.live.sketch import bucket

# Upper bounds in seconds. Others need a migration: what was counted cannot be divided anew.
BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# The first bucket of the sketch above each bound: what took at most 2 % longer is still counted within it.
ABOVE = [bucket(round(bound * 1e6)) + 1 for bound in BOUNDS_S]

# A CTE of the fold: `counted` has the rows by series and minute.
ADDED_EVER = f"""
    arrived AS MATERIALIZED (
        SELECT s.service, c.n, c.bad, c.duration_us, c.sketch
        FROM counted c JOIN series s ON s.id = c.series_id WHERE c.minute > now() - interval '15 minutes'
    ),
    placed AS (
        SELECT service, width_bucket(pair >> 32, ARRAY{ABOVE}::bigint[]) AS place, sum(pair & 4294967295) AS n
        FROM arrived, unnest(sketch) AS pair GROUP BY 1, 2
    ),
    spread AS (
        SELECT service, array_agg(coalesce(placed.n, 0)::bigint ORDER BY place) AS buckets
        FROM (SELECT DISTINCT service FROM arrived) AS services
        CROSS JOIN generate_series(0, {len(ABOVE)}) AS place
        LEFT JOIN placed USING (service, place) GROUP BY service
    ),
    ever AS (
        INSERT INTO service_totals AS kept (service, n, bad, duration_us, buckets)
        SELECT service, sum(n), sum(bad), sum(duration_us), buckets
        FROM arrived JOIN spread USING (service) GROUP BY service, buckets ORDER BY service
        ON CONFLICT (service) DO UPDATE SET
            n = kept.n + excluded.n, bad = kept.bad + excluded.bad,
            duration_us = kept.duration_us + excluded.duration_us,
            buckets = ARRAY(SELECT a + b FROM unnest(kept.buckets, excluded.buckets) AS both_of (a, b))
    )
"""


class ServiceTotal(NamedTuple):
    """What one service has sent."""

    service: str
    n: int
    bad: int
    duration_us: int  # of those whose duration is known
    upto: tuple[int, ...]  # how many of them took no longer than each bound, then all of them


async def totals(connection: AsyncConnection) -> list[ServiceTotal]:
    """Every service that has sent anything, by name."""
    rows = await connection.execute(
        text("SELECT service, n, bad, duration_us, buckets FROM service_totals ORDER BY service")
    )
    return [ServiceTotal(name, n, bad, took_us, tuple(accumulate(each))) for name, n, bad, took_us, each in rows]
