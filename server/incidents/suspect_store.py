"""SQL of suspects: what a service counted around an onset by series and minute, and a sample of its outcomes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.incidents.suspect_rows import Drawn, Sampled, SeriesLabels, SeriesMinute
from server.kernel.times import utc
from server.live.clauses_store import UNFOLDED, within
from server.live.outcome_store import spread
from server.tables.detail import WEIGHT


async def labels(connection: AsyncConnection, service: str) -> list[SeriesLabels]:
    """Every series of a service."""
    rows = await connection.execute(
        text(
            """
            SELECT s.id, s.version, s.route, s.method, s.status, coalesce(k.name, '') AS key
            FROM series s LEFT JOIN api_keys k ON k.id = s.key_id WHERE s.service = :service
            """
        ),
        {"service": service},
    )
    return [SeriesLabels(*row) for row in rows]


# Of what did not fail, those that took longer than the threshold; none where that was not measured.
SLOW = f"coalesce(t.n - t.bad - {within('t', ':over_us')}, 0)"


async def minutes(
    connection: AsyncConnection, service: str, start: float, stop: float, over_us: int | None
) -> list[SeriesMinute]:
    """What each series of a service counted in the whole minutes [start, stop), in order of time.

    With `over_us` those that took longer count as bad, and what failed not at all.
    """
    counted = "t.n, t.bad" if over_us is None else f"t.n - t.bad AS n, {SLOW} AS bad"
    rows = await connection.execute(
        text(
            f"""
            SELECT series_id, at, sum(n)::bigint, sum(bad)::bigint FROM (
                SELECT t.series_id, extract(epoch FROM t.minute)::bigint AS at, {counted}
                FROM minutes t JOIN series s ON s.id = t.series_id
                WHERE s.service = :service AND t.minute >= :start AND t.minute < :stop
                UNION ALL
                SELECT t.series_id, extract(epoch FROM t.second)::bigint / 60 * 60 AS at, {counted}
                FROM {UNFOLDED} JOIN series s ON s.id = t.series_id
                WHERE s.service = :service AND t.second >= :start AND t.second < :stop
            ) AS counted
            GROUP BY series_id, at ORDER BY at
            """
        ),
        {"service": service, "start": utc(start), "stop": utc(stop)}
        | ({} if over_us is None else {"over_us": over_us}),
    )
    return [SeriesMinute(*row) for row in rows]


PARTS = """
unnest(
    CAST(:series AS integer[]), CAST(:starts AS float8[]), CAST(:stops AS float8[]), CAST(:most AS integer[])
) AS r (series, start, stop, most)
"""
OF_PART = """
o.series_id = r.series AND o.at >= to_timestamp(r.start) AND o.at < to_timestamp(r.stop)
AND o.at >= :first AND o.at < :last AND {such}
"""
SAMPLED = f"""
SELECT o.series, extract(epoch FROM o.at)::float8, o.request_id,
    coalesce(o.detail ->> 'client', ''), coalesce(o.detail ->> 'instance', ''),
    coalesce(o.detail ->> 'dependency', ''), coalesce(o.detail ->> 'error_class', ''), {WEIGHT}
"""
SAMPLE = f"""
{SAMPLED} FROM {PARTS} CROSS JOIN LATERAL (
    SELECT r.series, o.at, o.request_id, o.detail FROM outcomes o WHERE {OF_PART} ORDER BY o.at LIMIT r.most
) AS o
"""
# On the workers of Citus, which take no LIMIT in a LATERAL: all of each part is read.
SAMPLE_SPREAD = f"""
{SAMPLED} FROM (
    SELECT r.series, r.most, o.at, o.request_id, o.detail,
        row_number() OVER (PARTITION BY r.series, r.start ORDER BY o.at) AS place
    FROM outcomes o JOIN {PARTS} ON {OF_PART}
) AS o WHERE o.place <= o.most
"""


async def sample(
    rows: AsyncConnection | None, drawn: Sequence[Drawn], *, bad: bool, over_us: int | None
) -> list[Sampled]:
    """The first outcomes of each part that failed, or that did not; with `over_us`: were slow, or were not."""
    if not drawn or rows is None:
        return []
    slow = "" if over_us is None else f"AND o.duration_us {'>' if bad else '<='} :over_us"
    failed = bad and over_us is None
    such = f"{'o.bad' if failed else 'NOT o.bad'} {slow}"
    found = await rows.execute(
        text((SAMPLE_SPREAD if await spread(rows) else SAMPLE).format(such=such)),
        {
            "series": [one.series for one in drawn],
            "starts": [float(one.start) for one in drawn],
            "stops": [float(one.stop) for one in drawn],
            "most": [one.most for one in drawn],
            "first": utc(min(one.start for one in drawn)),
            "last": utc(max(one.stop for one in drawn)),
        }
        | ({} if over_us is None else {"over_us": over_us}),
    )
    return [Sampled(*row) for row in found]
