"""SQL of the fold: from deltas to rollups by series and by service, and the writers' cursors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.live.clauses_store import FLUSHES, LATE, excluded, merged
from server.live.deltas import Delta, SeriesKey, counts
from server.live.service_rollups_store import ADDED
from server.live.service_totals_store import ADDED_EVER

# What is added up: never deltas that measured a threshold with those that did not, nor what came late with the rest.
BY = "series_id, second, measured, late"


class Range(NamedTuple):
    """The flushes (after, upto] of one writer; `more` where that writer probably has others."""

    writer_id: int
    after: int
    upto: int
    more: bool = False


def bound(ranges: Sequence[Range]) -> dict[str, list[int]]:
    return {
        "ids": [each.writer_id for each in ranges],
        "after": [each.after for each in ranges],
        "upto": [each.upto for each in ranges],
    }


async def alone(connection: AsyncConnection) -> None:
    """Wait until nobody else folds, recounts or changes exclusions; until the end of the transaction.

    A lock of a table, so that it can come before the snapshot of a REPEATABLE READ transaction.
    """
    await connection.execute(text("LOCK TABLE recounts IN SHARE ROW EXCLUSIVE MODE"))


PENDING = (
    "EXISTS (SELECT FROM writers w WHERE EXISTS (SELECT FROM deltas WHERE writer_id = w.id AND seq > w.folded_seq))"
)


async def pending(connection: AsyncConnection, rows: int) -> list[Range]:
    """Lock the cursors of the writers that have something, and say what: whole flushes, about `rows` in all."""
    locked = await connection.execute(
        text(
            """
            SELECT id FROM writers w
            WHERE EXISTS (SELECT 1 FROM deltas WHERE writer_id = w.id AND seq > w.folded_seq)
            ORDER BY id FOR NO KEY UPDATE
            """
        )
    )
    ids = [row.id for row in locked]
    if not ids:
        return []
    # A new statement: it sees what was committed while the locks were waited for.
    found = await connection.execute(
        text(
            """
            SELECT w.id, w.folded_seq, p.upto, p.n = :rows AS more
            FROM writers w, LATERAL (
                SELECT max(seq) AS upto, count(*) AS n FROM (
                    SELECT seq FROM deltas WHERE writer_id = w.id AND seq > w.folded_seq ORDER BY seq LIMIT :rows
                ) AS next
            ) AS p
            WHERE w.id = ANY (CAST(:ids AS bigint[])) AND p.upto IS NOT NULL
            """
        ),
        {"rows": max(1, rows // len(ids)), "ids": ids},
    )
    return [Range(row.id, row.folded_seq, row.upto, row.more) for row in found]


async def deltas(connection: AsyncConnection, ranges: Sequence[Range]) -> list[Delta]:
    """What the ranges counted, by series, second and the thresholds that were measured: while processes learn
    of a new threshold, those that know it and those that do not must not be added up. Without sketches, which
    nothing outside SQL needs here."""
    rows = await connection.execute(
        text(
            f"""
            WITH batch AS MATERIALIZED (
                SELECT d.series_id, d.second, d.n, d.bad, d.duration_us, d.fast,
                    ARRAY(SELECT pair >> 32 FROM unnest(d.fast) AS pair) AS measured, {LATE} AS late
                FROM {FLUSHES}
            ),
            counted AS (
                SELECT {BY}, sum(n) AS n, sum(bad) AS bad, sum(duration_us)::bigint AS duration_us
                FROM batch GROUP BY {BY}
            ),
            fasts AS ({merged("batch", "fast", BY)})
            SELECT series_id, s.service, s.version, s.route, s.method, s.status,
                extract(epoch FROM second)::bigint AS second, c.n, c.bad, c.duration_us, f.fast,
                late, {excluded("s", "second")} AS excluded
            FROM counted c
            JOIN series s ON s.id = c.series_id
            LEFT JOIN fasts f USING ({BY})
            """
        ),
        bound(ranges),
    )
    return [
        Delta(
            row.series_id,
            SeriesKey(row.service, row.version, row.route, row.method, row.status),
            row.second,
            row.n,
            row.bad,
            row.duration_us,
            counts(row.fast or ()),
            [],
            late=row.late,
            excluded=row.excluded,
        )
        for row in rows
    ]


async def add_to_rollups(connection: AsyncConnection, ranges: Sequence[Range]) -> None:
    """Add the ranges to minutes, minute sketches, hours, the rollups by service and its totals."""
    await connection.execute(
        text(
            f"""
            WITH batch AS MATERIALIZED (
                SELECT d.series_id, date_trunc('minute', d.second, 'UTC') AS minute,
                    d.n, d.bad, d.duration_us, d.fast, d.sketch
                FROM {FLUSHES}
            ),
            fasts AS (
                SELECT series_id, minute,
                    array_agg((key << 32) | fast ORDER BY key) AS fast,
                    array_agg((key << 32) | slow ORDER BY key) AS slow
                FROM (
                    SELECT series_id, minute, pair >> 32 AS key, sum(pair & 4294967295)::bigint AS fast,
                        sum(n - bad - (pair & 4294967295))::bigint AS slow
                    FROM batch, unnest(fast) AS pair GROUP BY series_id, minute, pair >> 32
                ) AS measured
                GROUP BY series_id, minute
            ),
            sketches AS ({merged("batch", "sketch", "series_id, minute")}),
            counted AS MATERIALIZED (
                SELECT c.*, coalesce(f.fast, '{{}}') AS fast, coalesce(f.slow, '{{}}') AS slow,
                    coalesce(k.sketch, '{{}}') AS sketch
                FROM (
                    SELECT series_id, minute, sum(n) AS n, sum(bad) AS bad, sum(duration_us)::bigint AS duration_us
                    FROM batch GROUP BY series_id, minute
                ) AS c
                LEFT JOIN fasts f USING (series_id, minute)
                LEFT JOIN sketches k USING (series_id, minute)
            ),
            by_minute AS (
                INSERT INTO minutes (series_id, minute, n, bad, duration_us, fast, slow)
                SELECT series_id, minute, n, bad, duration_us, fast, slow FROM counted
                ON CONFLICT (series_id, minute) DO UPDATE SET
                    n = minutes.n + excluded.n, bad = minutes.bad + excluded.bad,
                    duration_us = minutes.duration_us + excluded.duration_us,
                    fast = pairs_add(minutes.fast, excluded.fast), slow = pairs_add(minutes.slow, excluded.slow)
            ),
            by_minute_sketch AS (
                INSERT INTO minute_sketches (series_id, minute, sketch)
                SELECT series_id, minute, sketch FROM counted
                ON CONFLICT (series_id, minute) DO UPDATE SET
                    sketch = pairs_add(minute_sketches.sketch, excluded.sketch)
            ),
            {ADDED},
            {ADDED_EVER},
            hourly AS (SELECT *, date_trunc('hour', minute, 'UTC') AS hour FROM counted),
            hour_fasts AS ({merged("hourly", "fast", "series_id, hour")}),
            hour_sketches AS ({merged("hourly", "sketch", "series_id, hour")})
            INSERT INTO hours (series_id, hour, n, bad, duration_us, fast, sketch)
            SELECT c.series_id, c.hour, c.n, c.bad, c.duration_us, coalesce(f.fast, '{{}}'), coalesce(k.sketch, '{{}}')
            FROM (
                SELECT series_id, hour, sum(n) AS n, sum(bad) AS bad, sum(duration_us)::bigint AS duration_us
                FROM hourly GROUP BY series_id, hour
            ) AS c
            LEFT JOIN hour_fasts f USING (series_id, hour)
            LEFT JOIN hour_sketches k USING (series_id, hour)
            ON CONFLICT (series_id, hour) DO UPDATE SET
                n = hours.n + excluded.n, bad = hours.bad + excluded.bad,
                duration_us = hours.duration_us + excluded.duration_us,
                fast = pairs_add(hours.fast, excluded.fast), sketch = pairs_add(hours.sketch, excluded.sketch)
            """
        ),
        bound(ranges),
    )


async def advance(connection: AsyncConnection, ranges: Sequence[Range]) -> None:
    """Move the cursors past the ranges."""
    await connection.execute(
        text(
            """
            UPDATE writers SET folded_seq = r.upto
            FROM unnest(CAST(:ids AS bigint[]), CAST(:upto AS bigint[])) AS r (id, upto)
            WHERE writers.id = r.id
            """
        ),
        {"ids": [each.writer_id for each in ranges], "upto": [each.upto for each in ranges]},
    )


async def adopt(connection: AsyncConnection) -> int:
    """Register writers that have deltas but no row, as after their process was taken for dead; how many."""
    found = await connection.execute(
        text(
            """
            WITH RECURSIVE each (id) AS (
                (SELECT writer_id FROM deltas ORDER BY writer_id LIMIT 1)
                UNION ALL
                SELECT (SELECT writer_id FROM deltas WHERE writer_id > each.id ORDER BY writer_id LIMIT 1)
                FROM each WHERE each.id IS NOT NULL
            )
            INSERT INTO writers (id, process_id)
            SELECT id, 0 FROM each WHERE id IS NOT NULL AND id NOT IN (SELECT id FROM writers)
            ON CONFLICT DO NOTHING
            """
        )
    )
    return found.rowcount
