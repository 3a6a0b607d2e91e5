"""SQL of the ledger: rows that the fold adds to, their sums over windows, their hours, and what of them ages out."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Literal

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.db import Database
from server.kernel.times import utc
from server.live.clauses_store import LATE, excluded
from server.live.tail_store import HEADS
from server.slo.ledger.history import HistorySlot
from server.slo.model.counts import Counts, Tally

MINUTES_KEPT_DAYS = 35
HOURS_KEPT_DAYS = 400
DELETE_AT_ONCE = 20_000

Granularity = Literal["minute", "hour"]
GAP_S = {"minute": 180, "hour": 3600}  # what is no further apart is one stretch
UNIT_S = {"minute": 60, "hour": 3600}


FIRST_FAILURES = text("""
SELECT id, (SELECT extract(epoch FROM min(minute))::bigint FROM ledger_minutes
            WHERE objective_id = id AND minute >= since AND bad > 0)
FROM unnest(CAST(:ids AS integer[]), CAST(:since AS timestamptz[])) AS given (id, since)
""")


def add_statement(table: str, unit: str) -> str:
    return f"""
INSERT INTO {table} AS kept (objective_id, {unit}, good, bad, excluded)
SELECT * FROM unnest(
    CAST(:ids AS integer[]), CAST(:times AS timestamptz[]),
    CAST(:good AS bigint[]), CAST(:bad AS bigint[]), CAST(:left_out AS bigint[])
)
ON CONFLICT (objective_id, {unit}) DO UPDATE SET
    good = kept.good + excluded.good,
    bad = kept.bad + excluded.bad,
    excluded = kept.excluded + excluded.excluded
"""


ADD_MINUTES = text(add_statement("ledger_minutes", "minute"))
ADD_HOURS = text(add_statement("ledger_hours", "hour"))


def add_part_statement(table: str) -> str:
    return f"""
INSERT INTO {table} AS kept (objective_id, minute, good, bad)
SELECT * FROM unnest(
    CAST(:ids AS integer[]), CAST(:times AS timestamptz[]), CAST(:good AS bigint[]), CAST(:bad AS bigint[])
)
ON CONFLICT (objective_id, minute) DO UPDATE SET good = kept.good + excluded.good, bad = kept.bad + excluded.bad
"""


ADD_LEFT_OUT = text(add_part_statement("ledger_left_out"))
ADD_LATE = text(add_part_statement("ledger_late"))

# Whole hours from the hours, the rest of the span from the minutes at its ends.
SUMS = text("""
SELECT objective_id, sum(good)::bigint, sum(bad)::bigint, sum(excluded)::bigint FROM (
    SELECT objective_id, good, bad, excluded FROM ledger_hours
    WHERE objective_id = ANY(:ids) AND hour >= :first_hour AND hour < :last_hour
    UNION ALL
    SELECT objective_id, good, bad, excluded FROM ledger_minutes
    WHERE objective_id = ANY(:ids) AND minute >= :start AND minute < least(:first_hour, :end)
    UNION ALL
    SELECT objective_id, good, bad, excluded FROM ledger_minutes
    WHERE objective_id = ANY(:ids) AND minute >= greatest(:last_hour, :first_hour) AND minute < :end
) AS parts
GROUP BY objective_id
""")

# One row for each window in which something is left out; all windows end at :end.
LEFT_OUT = text("""
SELECT objective_id, extract(epoch FROM opens)::bigint, sum(good)::bigint, sum(bad)::bigint
FROM ledger_left_out JOIN unnest(CAST(:starts AS timestamptz[])) AS opens ON minute >= opens
WHERE objective_id = ANY(:ids) AND minute >= :first AND minute < :end
GROUP BY objective_id, opens
""")

# Likewise what came late, as far as it is not left out.
LATE_PARTS = text("""
SELECT objective_id, extract(epoch FROM opens)::bigint,
    sum(least(late.good, kept.good - coalesce(out.good, 0)))::bigint,
    sum(least(late.bad, kept.bad - coalesce(out.bad, 0)))::bigint
FROM ledger_late AS late JOIN unnest(CAST(:starts AS timestamptz[])) AS opens ON minute >= opens
JOIN ledger_minutes AS kept USING (objective_id, minute)
LEFT JOIN ledger_left_out AS out USING (objective_id, minute)
WHERE objective_id = ANY(:ids) AND minute >= :first AND minute < :end
GROUP BY objective_id, opens
""")

# Differs with every exclusion that is made or revoked.
EXCLUSIONS = text("SELECT service, count(*), count(revoked_at) FROM exclusions GROUP BY service")

# The deltas after some cursors, each service after those of its part, by service and minute, what exclusions cover
# apart; thresholds in rows of their own.
# OFFSET 0 and two-sided ranges keep the planner on the primary key: the cost depends on what is new, not on what is
# kept.
AFTER = text(f"""
WITH cursor AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:parts AS integer[]), CAST(:ids AS bigint[]), CAST(:read AS bigint[]))
        AS read (part, id, seq)
),
asked AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:services AS text[]), CAST(:of_part AS integer[])) AS given (service, part)
),
fresh AS MATERIALIZED (
    SELECT series.service, date_trunc('minute', delta.second, 'UTC') AS minute, delta.n, delta.bad, delta.fast,
        {excluded("series", "delta.second")} AS left_out, delta.late
    FROM writers
    LEFT JOIN (SELECT id, min(seq) AS seq FROM cursor GROUP BY id) AS first ON first.id = writers.id
    CROSS JOIN LATERAL (
        SELECT seq, series_id, second, n, bad, fast, {LATE} AS late FROM deltas AS d
        WHERE writer_id = writers.id
          AND seq > coalesce(first.seq, 0) AND seq <= coalesce(first.seq, 0) + 1000000000
        OFFSET 0
    ) AS delta
    JOIN series ON series.id = delta.series_id
    JOIN asked ON asked.service = series.service
    LEFT JOIN cursor ON cursor.part = asked.part AND cursor.id = writers.id
    WHERE delta.seq > coalesce(cursor.seq, 0)
)
SELECT service, extract(epoch FROM minute)::bigint, left_out, late, NULL::bigint, sum(n)::bigint, sum(bad)::bigint
FROM fresh GROUP BY service, minute, left_out, late
UNION ALL
SELECT service, extract(epoch FROM minute)::bigint, left_out, late, pair >> 32, sum(n - bad)::bigint,
    sum(pair & 4294967295)::bigint
FROM fresh, unnest(fast) AS pair GROUP BY service, minute, left_out, late, pair >> 32
""")

# What was good and bad since an objective is kept: numbers that only grow, as the counters of Prometheus must. The
# sums of the ledger fall with exclusions and as rows age out.
ADD_EVENTS = text("""
INSERT INTO objective_events AS kept (objective_id, good, bad)
SELECT * FROM unnest(CAST(:ids AS integer[]), CAST(:good AS bigint[]), CAST(:bad AS bigint[]))
ON CONFLICT (objective_id) DO UPDATE SET good = kept.good + excluded.good, bad = kept.bad + excluded.bad
""")
EVENTS = text("SELECT objective_id, good, bad FROM objective_events")

CURSORS = text("SELECT id, folded_seq FROM writers")

COUNTED_SINCE = text("SELECT created_at FROM objectives WHERE id = :id")


HOURS = text("""
WITH out AS (
    SELECT date_trunc('hour', minute, 'UTC') AS hour, sum(good)::bigint AS good, sum(bad)::bigint AS bad
    FROM ledger_left_out WHERE objective_id = :id AND minute >= :start AND minute < :end GROUP BY 1
)
SELECT extract(epoch FROM hour)::bigint, kept.good, kept.bad, kept.excluded,
    coalesce(out.good, 0), coalesce(out.bad, 0)
FROM ledger_hours kept LEFT JOIN out USING (hour)
WHERE objective_id = :id AND hour >= :start AND hour < :end ORDER BY hour
""")


def stretches_statement(unit: Granularity) -> str:
    return f"""
WITH out AS (
    SELECT date_trunc('{unit}', minute, 'UTC') AS at, sum(good)::bigint AS good, sum(bad)::bigint AS bad
    FROM ledger_left_out WHERE objective_id = :id AND minute >= :start AND minute < :end GROUP BY 1
),
hot AS (
    SELECT at, bad, total, coalesce(at - lag(at) OVER (ORDER BY at) > make_interval(secs => :gap), true) AS opens
    FROM (
        SELECT kept.{unit} AS at, kept.bad - coalesce(out.bad, 0) AS bad,
            kept.good + kept.bad - coalesce(out.good, 0) - coalesce(out.bad, 0) AS total
        FROM ledger_{unit}s kept LEFT JOIN out ON out.at = kept.{unit}
        WHERE objective_id = :id AND kept.{unit} >= :start AND kept.{unit} < :end AND kept.bad > 0
    ) AS counted
    WHERE bad > 0 AND bad * CAST(:den AS numeric) >= CAST(:num AS numeric) * total
)
SELECT extract(epoch FROM min(at))::bigint, extract(epoch FROM max(at))::bigint, sum(bad)::bigint, sum(total)::bigint
FROM (SELECT *, count(*) FILTER (WHERE opens) OVER (ORDER BY at) AS stretch FROM hot) AS numbered
GROUP BY stretch ORDER BY sum(bad) DESC, min(at) LIMIT :many
"""


STRETCHES = {"minute": text(stretches_statement("minute")), "hour": text(stretches_statement("hour"))}


def drop_statement(table: str, unit: str) -> str:
    return f"""
DELETE FROM {table} WHERE ctid = ANY(ARRAY(
    SELECT old.ctid FROM objectives CROSS JOIN LATERAL (
        SELECT ctid FROM {table} WHERE objective_id = objectives.id AND {unit} < :before LIMIT :many
    ) AS old LIMIT :many))
"""


DROP_MINUTES = text(drop_statement("ledger_minutes", "minute"))
DROP_HOURS = text(drop_statement("ledger_hours", "hour"))
DROP_LATE = text(drop_statement("ledger_late", "minute"))
DROP_LEFT_OUT = text(drop_statement("ledger_left_out", "minute"))

Cursors = dict[int, int]  # writer -> the sequence up to which its deltas are in the ledger
Exclusions = dict[str, tuple[int, int]]  # by service, how many were made and revoked
# By service and minute, whether an exclusion covers it, and whether it came late.
Fresh = dict[tuple[str, int, bool, bool], Tally]


async def add(
    connection: AsyncConnection,
    minutes: Mapping[tuple[int, int], Counts],
    hours: Mapping[tuple[int, int], Counts],
) -> None:
    """Add to the ledger's minutes and hours."""
    for statement, rows in ((ADD_MINUTES, minutes), (ADD_HOURS, hours)):
        await add_to(connection, statement, rows)


async def add_left_out(connection: AsyncConnection, minutes: Mapping[tuple[int, int], Counts]) -> None:
    """Add to what exclusions take out of the minutes."""
    await add_to(connection, ADD_LEFT_OUT, minutes)


async def add_late(connection: AsyncConnection, minutes: Mapping[tuple[int, int], Counts]) -> None:
    """Add to what came late of the minutes."""
    await add_to(connection, ADD_LATE, minutes)


async def add_to(connection: AsyncConnection, statement: TextClause, rows: Mapping[tuple[int, int], Counts]) -> None:
    """Add counts by objective id and second, in an order that no two transactions take differently."""
    keys = sorted(rows)
    if keys:
        values = {
            "ids": [objective_id for objective_id, _ in keys],
            "times": [utc(second) for _, second in keys],
            "good": [rows[key].good for key in keys],
            "bad": [rows[key].bad for key in keys],
            "left_out": [rows[key].excluded for key in keys],
        }
        await connection.execute(statement, values)


async def add_events(connection: AsyncConnection, counts: Mapping[int, Counts]) -> None:
    """Add what was just folded, by objective id, in the fold's own transaction."""
    ids = sorted(counts)
    if ids:
        values = {"ids": ids, "good": [counts[each].good for each in ids], "bad": [counts[each].bad for each in ids]}
        await connection.execute(ADD_EVENTS, values)


async def events(connection: AsyncConnection) -> dict[int, Counts]:
    """By objective id."""
    return {row[0]: Counts(row[1], row[2]) for row in await connection.execute(EVENTS)}


async def sums(connection: AsyncConnection, ids: Sequence[int], start: int, end: int) -> dict[int, Counts]:
    """The counts of each ledger over [start, end), Unix seconds, `start` a whole minute.

    A minute belongs to the span when it begins in it.
    """
    hour = 3600
    bounds = {"first_hour": -(-start // hour) * hour, "last_hour": end // hour * hour, "start": start, "end": end}
    rows = await connection.execute(SUMS, {"ids": list(ids)} | {name: utc(at) for name, at in bounds.items()})
    return {row[0]: Counts(row[1], row[2], row[3]) for row in rows}


async def first_failures(connection: AsyncConnection, since: Mapping[int, int]) -> dict[int, int]:
    """By objective, the first minute from one of its own (Unix seconds) on in which anything failed."""
    values = {"ids": list(since), "since": [utc(at) for at in since.values()]}
    return {row[0]: row[1] for row in await connection.execute(FIRST_FAILURES, values) if row[1] is not None}


async def left_out(
    connection: AsyncConnection, ids: Sequence[int], starts: Iterable[int], end: int
) -> dict[tuple[int, int], Counts]:
    """By objective and start: what exclusions take out of [start, end). Nothing: no entry."""
    return await parts(connection, LEFT_OUT, ids, starts, end)


async def late(
    connection: AsyncConnection, ids: Sequence[int], starts: Iterable[int], end: int
) -> dict[tuple[int, int], Counts]:
    """By objective and start: what of [start, end) came late and is not left out. Nothing: no entry."""
    return await parts(connection, LATE_PARTS, ids, starts, end)


async def parts(
    connection: AsyncConnection, statement: TextClause, ids: Sequence[int], starts: Iterable[int], end: int
) -> dict[tuple[int, int], Counts]:
    opens = sorted(set(starts))
    values = {"ids": list(ids), "starts": [utc(start) for start in opens], "first": utc(opens[0]), "end": utc(end)}
    rows = await connection.execute(statement, values)
    return {(row[0], row[1]): Counts(row[2], row[3]) for row in rows}


COUNTED, EXCLUDED, RECOUNTED = "counted", "excluded", "recounted"
# What counts depend on beside the time, for a glance; by `:in_force`, the ledgers of the objectives in force.
SEEN = {
    COUNTED: f"SELECT string_agg(id || ':' || seq, ' ' ORDER BY id) FROM ({HEADS}) AS heads",
    EXCLUDED: "SELECT count(*) || ' ' || count(revoked_at) FROM exclusions",
    RECOUNTED: """EXISTS (SELECT FROM recounts)
        OR EXISTS (SELECT FROM objectives WHERE NOT counted AND id = ANY (CAST(:in_force AS integer[])))""",
}


async def exclusions(connection: AsyncConnection) -> Exclusions:
    """What tells two states of the exclusions of a service apart."""
    return {row[0]: (row[1], row[2]) for row in await connection.execute(EXCLUSIONS)}


async def cursors(connection: AsyncConnection) -> Cursors:
    """How far the ledger of this snapshot goes."""
    return {row[0]: row[1] for row in await connection.execute(CURSORS)}


async def after(connection: AsyncConnection, read: Sequence[tuple[Cursors, Collection[str]]]) -> Fresh:
    """What was committed after the cursors of each part, of the services in it.

    A writer that is new to a part has been read in no other: its cursor there would be 0.
    """
    values: dict[str, list[object]] = {name: [] for name in ("parts", "ids", "read", "services", "of_part")}
    writers = {writer for cursors, _ in read for writer in cursors}
    for part, (cursors, services) in enumerate(read):
        values["parts"] += [part] * len(writers)
        values["ids"] += sorted(writers)
        values["read"] += [cursors.get(writer, 0) for writer in sorted(writers)]
        values["services"] += sorted(services)
        values["of_part"] += [part] * len(services)
    tallies: Fresh = {}
    for service, minute, left_out, late, threshold, n, part in await connection.execute(AFTER, values):
        tally = tallies.setdefault((service, minute, left_out, late), Tally())
        if threshold is None:
            tally.n, tally.bad = n, part
        else:
            tally.fast[threshold], tally.slow[threshold] = part, n - part
    return tallies


async def hours(connection: AsyncConnection, objective_id: int, start: int, end: float) -> list[HistorySlot]:
    """The hours of a ledger that begin in [start, end), Unix seconds, rising; those without traffic are left out."""
    rows = await connection.execute(HOURS, {"id": objective_id, "start": utc(start), "end": utc(end)})
    return [HistorySlot(row[0], Counts(row[1], row[2], row[3]), Counts(row[4], row[5])) for row in rows]


async def stretches(
    connection: AsyncConnection,
    objective_id: int,
    start: int,
    end: float,
    *,
    unit: Granularity,
    ratio: Fraction,
    many: int,
) -> list[tuple[int, int, Counts]]:
    """The stretches of [start, end) of which each `unit` failed at `ratio` or more, most failures first.

    Each is its beginning, its end and what it counted, without what exclusions take out.
    """
    bounds = {"id": objective_id, "start": utc(start), "end": utc(end), "gap": GAP_S[unit], "many": many}
    rows = await connection.execute(STRETCHES[unit], bounds | {"num": ratio.numerator, "den": ratio.denominator})
    return [(row[0], row[1] + UNIT_S[unit], Counts(row[3] - row[2], row[2])) for row in rows]


async def counted_since(connection: AsyncConnection, objective_id: int) -> float:
    """When a ledger began, Unix seconds."""
    began: datetime = (await connection.execute(COUNTED_SINCE, {"id": objective_id})).scalar_one()
    return began.timestamp()


async def drop_old(connection: AsyncConnection, now: float) -> int:
    """Delete some rows that no window reaches any more; how many. Call again until 0."""
    gone = 0
    for statement, days in (
        (DROP_MINUTES, MINUTES_KEPT_DAYS),
        (DROP_LATE, MINUTES_KEPT_DAYS),
        (DROP_HOURS, HOURS_KEPT_DAYS),
        (DROP_LEFT_OUT, HOURS_KEPT_DAYS),
    ):
        before = utc(int(now)) - timedelta(days=days)
        gone += (await connection.execute(statement, {"before": before, "many": DELETE_AT_ONCE})).rowcount
    return gone


async def forget_old(db: Database, now: float) -> None:
    """Delete minutes older than 35 days and hours older than 400, some rows at a time; `now` in Unix seconds."""
    await db.in_bites(functools.partial(drop_old, now=now), 1)
