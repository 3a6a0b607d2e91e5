"""SQL of the rollups by service: what the fold adds to them, from when on they are whole, and how they are made anew.

A watch of an older version folds without them. So each watch vouches for them in its term, and one that finds a term
between in which nobody did begins to make them anew. Readers use them only in the term that was vouched for.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.live.clauses_store import merged
from server.live.ranges import NOTHING_COVERED, Cover

# Part and span. Of routes and versions no minutes: they seldom have a chart. Longer spans, so that a question merges
# few sketches: a day by ten minutes 144, a week by route 13 half days and 22 hours. Not longer: counts are below 2^32.
MINUTES_HAVE = "('', 60), ('', 600)"
HOURS_HAVE = "('', 3600), ('route', 3600), ('version', 3600)"
HALF_DAYS_HAVE = "('', 43200), ('route', 43200), ('version', 43200)"
PARTS = "('', ''), ('route', s.route), ('version', s.version)"
HELD = "service, part, name, at"
KEY = "service, part, span_s, at, name"


def by_service(source: str, spans: str) -> str:
    """CTEs that end in `by_service`: rows of `source` (series_id, at, n, bad, sketch) by service, part and span.

    First over all series, which leaves little, then by span. Groups are numbered: sketches are sorted by numbers.
    """
    return f"""
        each_part AS MATERIALIZED (
            SELECT dense_rank() OVER (ORDER BY s.service, p.part, p.name, c.at) AS number,
                s.service, p.part, p.name, c.at, c.n, c.bad, c.sketch
            FROM {source} c JOIN series s ON s.id = c.series_id
            CROSS JOIN LATERAL (VALUES {PARTS}) AS p (part, name)
            WHERE EXISTS (SELECT FROM (VALUES {spans}) AS w (part, span_s) WHERE w.part = p.part)
        ),
        part_sketches AS ({merged("each_part", "sketch", "number")}),
        each_span AS MATERIALIZED (
            SELECT dense_rank() OVER (ORDER BY {KEY}) AS number, *
            FROM (
                SELECT service, part, w.span_s, date_bin(make_interval(secs => w.span_s), at, 'epoch') AS at, name,
                    n, bad, coalesce(k.sketch, '{{}}') AS sketch
                FROM (
                    SELECT number, {HELD}, sum(n) AS n, sum(bad) AS bad FROM each_part GROUP BY number, {HELD}
                ) AS counted
                LEFT JOIN part_sketches k USING (number)
                JOIN (VALUES {spans}) AS w (part, span_s) USING (part)
                WHERE w.span_s < 43200 OR at < (SELECT halves_until FROM rollup_cover WHERE name = 'service')
            ) AS parts
        ),
        span_sketches AS ({merged("each_span", "sketch", "number")}),
        by_service AS (
            SELECT {KEY}, n, bad, coalesce(k.sketch, '{{}}') AS sketch
            FROM (
                SELECT number, {KEY}, sum(n) AS n, sum(bad) AS bad FROM each_span GROUP BY number, {KEY}
            ) AS counted
            LEFT JOIN span_sketches k USING (number)
        )
    """


PUT = f"INSERT INTO service_rollups ({KEY}, n, bad, sketch)"
ANEW = f"ON CONFLICT ({KEY}) DO UPDATE SET n = excluded.n, bad = excluded.bad, sketch = excluded.sketch"
# What the fold adds, from its `counted` by series and minute.
ADDED = f"""
    to_services AS (SELECT series_id, minute AS at, n, bad, sketch FROM counted),
    {by_service("to_services", f"{MINUTES_HAVE}, {HOURS_HAVE}, {HALF_DAYS_HAVE}")},
    to_service_rollups AS (
        {PUT} SELECT * FROM by_service
        ON CONFLICT ({KEY}) DO UPDATE SET
            n = service_rollups.n + excluded.n, bad = service_rollups.bad + excluded.bad,
            sketch = pairs_add(service_rollups.sketch, excluded.sketch)
    )
"""


async def cover(connection: AsyncConnection) -> Cover:
    """What readers may use in this snapshot."""
    found = await connection.execute(
        text(
            """
            SELECT extract(epoch FROM c.minutes_since)::float8, extract(epoch FROM c.hours_since)::float8,
                extract(epoch FROM c.halves_until)::float8
            FROM rollup_cover c JOIN lease l ON l.name = 'watch' AND l.term = c.term WHERE c.name = 'service'
            """
        )
    )
    row = found.one_or_none()
    return NOTHING_COVERED if row is None else Cover(*row)


async def vouch(connection: AsyncConnection, term: int) -> None:
    """Say, in a transaction that is alone and of the term, that who folds in it adds to them.

    What was whole still is where the watch of the term before vouched too.
    """
    await connection.execute(
        text(
            """
            INSERT INTO rollup_cover AS c (name, term) VALUES ('service', :term)
            ON CONFLICT (name) DO UPDATE SET term = excluded.term,
                minutes_since = CASE WHEN c.term = excluded.term - 1 THEN c.minutes_since END,
                hours_since = CASE WHEN c.term = excluded.term - 1 THEN c.hours_since END,
                halves_until = CASE WHEN c.term = excluded.term - 1 THEN c.halves_until END
            WHERE c.term <> excluded.term
            """
        ),
        {"term": term},
    )


TEN_MINUTES = "minute >= (SELECT at FROM next) AND minute < (SELECT at + interval '10 minutes' FROM next)"
# Counts and sketches are added up one beside the other: a join of the two is planned wrong where minutes are uneven.
# The newest ten minutes that are not covered; 'epoch' once there is nothing older.
MINUTES = f"""
    WITH next AS MATERIALIZED (
        SELECT coalesce(date_bin('10 minutes', max(minute), 'epoch'), 'epoch') AS at FROM minutes
        WHERE minute < coalesce((SELECT minutes_since FROM rollup_cover WHERE name = 'service'), 'infinity')
            AND minute >= now() - interval '7 days'
    ),
    source AS MATERIALIZED (
        SELECT series_id, minute AS at, n, bad, NULL AS sketch FROM minutes WHERE {TEN_MINUTES}
        UNION ALL SELECT series_id, minute, 0, 0, sketch FROM minute_sketches WHERE {TEN_MINUTES}
    ),
    {by_service("source", MINUTES_HAVE)},
    made AS ({PUT} SELECT * FROM by_service {ANEW})
    UPDATE rollup_cover SET minutes_since = (SELECT at FROM next) WHERE name = 'service'
    RETURNING minutes_since > 'epoch'
"""
HOUR = f"""
    WITH next AS MATERIALIZED (
        SELECT coalesce(max(hour), 'epoch') AS at FROM hours
        WHERE hour < coalesce((SELECT hours_since FROM rollup_cover WHERE name = 'service'), 'infinity')
    ),
    source AS MATERIALIZED (
        SELECT series_id, hour AS at, n, bad, sketch FROM hours WHERE hour = (SELECT at FROM next)
    ),
    {by_service("source", HOURS_HAVE)},
    made AS ({PUT} SELECT * FROM by_service {ANEW})
    UPDATE rollup_cover SET hours_since = (SELECT at FROM next),
        halves_until = coalesce(halves_until, date_bin('12 hours', now(), 'epoch'))
    WHERE name = 'service'
    RETURNING hours_since > 'epoch'
"""
# The half day of the hour that was made last, once there is no older hour of it, and one that is over since.
OLDER_HALF = """
    SELECT date_bin('12 hours', hours_since, 'epoch') AS at FROM rollup_cover c
    WHERE name = 'service' AND hours_since < halves_until AND NOT EXISTS (
        SELECT FROM hours WHERE hour < c.hours_since AND hour >= date_bin('12 hours', c.hours_since, 'epoch')
    )
"""
NEXT_HALF = """
    UPDATE rollup_cover SET halves_until = halves_until + interval '12 hours'
    WHERE name = 'service' AND halves_until + interval '12 hours' <= now() AND hours_since <= halves_until
    RETURNING halves_until - interval '12 hours' AS at
"""


def made_half(which: str) -> str:
    """The statement that makes a half day anew from its hours."""
    return f"""
        WITH half AS MATERIALIZED ({which}),
        each_hour AS MATERIALIZED (
            SELECT service, part, 43200 AS span_s, half.at, name, n, bad, sketch FROM half
            JOIN service_rollups r ON r.span_s = 3600 AND r.at >= half.at AND r.at < half.at + interval '12 hours'
        ),
        half_sketches AS ({merged("each_hour", "sketch", KEY)}),
        made AS (
            {PUT}
            SELECT {KEY}, n, bad, coalesce(k.sketch, '{{}}')
            FROM (SELECT {KEY}, sum(n) AS n, sum(bad) AS bad FROM each_hour GROUP BY {KEY}) AS counted
            LEFT JOIN half_sketches k USING ({KEY})
            {ANEW}
        )
        SELECT count(*) FROM half
    """


async def make_minutes(connection: AsyncConnection) -> bool:
    """Make the newest ten minutes anew that are not covered, from those by series; whether there may be older ones."""
    return bool((await connection.execute(text(MINUTES))).scalar_one())


async def make_hour(connection: AsyncConnection) -> bool:
    """Make the newest hour anew that is not covered, from those by series, and with the first hour of a half day that;
    whether there may be older ones."""
    more = bool((await connection.execute(text(HOUR))).scalar_one())
    await connection.execute(text(made_half(OLDER_HALF)))
    return more


async def make_half(connection: AsyncConnection) -> bool:
    """Make the next half day that is over; whether there was one."""
    return bool((await connection.execute(text(made_half(NEXT_HALF)))).scalar_one())
