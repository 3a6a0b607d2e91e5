"""SQL that makes parts of ledgers anew from what is kept: rollups, and raw outcomes where a threshold was not measured.

Every statement is for one service; `:ids` and `:thresholds` are its objectives, whose
threshold is null for availability.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.times import utc
from server.live.clauses_store import excluded
from server.live.outcome_store import spread
from server.slo.model.objective import Objective
from server.tables.detail import WEIGHT

OBJECTIVES = "unnest(CAST(:ids AS integer[]), CAST(:thresholds AS bigint[])) AS o (id, threshold)"


def pair(column: str, threshold: str) -> str:
    """The count at a threshold in packed pairs; null where it was not measured."""
    return f"(SELECT pair & 4294967295 FROM unnest({column}) AS pair WHERE pair >> 32 = {threshold})"


def fast(threshold: str) -> str:
    return f"coalesce({pair('m.fast', threshold)}, 0)"


def slow(threshold: str) -> str:
    """Minutes from before there was `slow` count as if all of them had been measured, as they did then."""
    return f"coalesce({pair('m.slow', threshold)}, m.n - m.bad - {pair('m.fast', threshold)}, 0)"


GOOD = f"CASE WHEN o.threshold IS NULL THEN m.n - m.bad ELSE {fast('o.threshold')} END"
BAD = f"CASE WHEN o.threshold IS NULL THEN m.bad ELSE {slow('o.threshold')} END"
KEPT = """
    SELECT m.* FROM series s JOIN minutes m ON m.series_id = s.id
    WHERE s.service = :service AND m.minute >= :start AND m.minute < :stop
"""

MINUTES = text(f"""
WITH m AS MATERIALIZED ({KEPT})
INSERT INTO ledger_minutes (objective_id, minute, good, bad, excluded)
SELECT id, minute, sum(good), sum(bad), sum(n - good - bad)
FROM (SELECT o.id, m.minute, m.n, {GOOD} AS good, {BAD} AS bad FROM m CROSS JOIN {OBJECTIVES}) AS counted
GROUP BY id, minute
ON CONFLICT (objective_id, minute) DO UPDATE SET
    good = excluded.good, bad = excluded.bad, excluded = excluded.excluded
""")

HOURS_OF_MINUTES = text("""
INSERT INTO ledger_hours (objective_id, hour, good, bad, excluded)
SELECT objective_id, date_trunc('hour', minute, 'UTC') AS hour, sum(good), sum(bad), sum(excluded)
FROM ledger_minutes
WHERE objective_id = ANY(CAST(:ids AS integer[]))
    AND minute >= date_trunc('hour', CAST(:start AS timestamptz), 'UTC')
    AND minute < date_trunc('hour', CAST(:stop AS timestamptz) + interval '59 minutes', 'UTC')
GROUP BY 1, 2
ON CONFLICT (objective_id, hour) DO UPDATE SET
    good = excluded.good, bad = excluded.bad, excluded = excluded.excluded
""")

# Availability needs no threshold, so the hours alone tell it.
HOURS = text("""
INSERT INTO ledger_hours (objective_id, hour, good, bad, excluded)
SELECT :id, h.hour, sum(h.n - h.bad), sum(h.bad), 0
FROM series s JOIN hours h ON h.series_id = s.id
WHERE s.service = :service AND h.hour >= :start AND h.hour < :stop GROUP BY h.hour
ON CONFLICT (objective_id, hour) DO UPDATE SET
    good = excluded.good, bad = excluded.bad, excluded = excluded.excluded
""")

FORGET_LEFT_OUT = text("""
DELETE FROM ledger_left_out
WHERE objective_id = ANY(CAST(:ids AS integer[])) AND minute >= :start AND minute < :stop
""")
LEFT_OUT = text(f"""
WITH m AS MATERIALIZED ({KEPT} AND {excluded("s", "m.minute")})
INSERT INTO ledger_left_out (objective_id, minute, good, bad)
SELECT o.id, m.minute, sum({GOOD}), sum({BAD}) FROM m CROSS JOIN {OBJECTIVES} GROUP BY o.id, m.minute
""")

# Minutes of which the threshold was not measured everywhere, and the same counted from raw outcomes. Where those are
# as many as were counted, none is missing, and the minute is set right.
OPEN = f"""
kept AS MATERIALIZED (
    SELECT m.minute, m.n, m.n - m.bad - {fast(":threshold")} - {slow(":threshold")} AS unmeasured FROM ({KEPT}) AS m
),
open AS MATERIALIZED (SELECT minute, sum(n) AS n FROM kept GROUP BY minute HAVING sum(unmeasured) > 0)
"""
RAW = f"""
SELECT o.series_id, date_trunc('minute', o.at, 'UTC') AS minute, sum({WEIGHT})::bigint AS n,
    coalesce(sum({WEIGHT}) FILTER (WHERE NOT o.bad AND o.duration_us <= :threshold), 0)::bigint AS fast,
    coalesce(sum({WEIGHT}) FILTER (WHERE NOT o.bad AND o.duration_us > :threshold), 0)::bigint AS slow
"""
HERE = f"""
{RAW} FROM series s JOIN outcomes o ON o.series_id = s.id
WHERE s.service = :service AND o.at >= (SELECT min(minute) FROM open)
    AND o.at < (SELECT max(minute) + interval '1 minute' FROM open)
GROUP BY 1, 2
"""
# Outcomes that are in a database of their own: which are asked for, the same there, and what was found, handed back.
ASKED = text(f"""
WITH {OPEN}
SELECT min(minute), max(minute) + interval '1 minute', ARRAY(SELECT id FROM series WHERE service = :service) FROM open
""")
THERE = text(
    f"{RAW} FROM outcomes o WHERE o.series_id = ANY(:series) AND o.at >= :first AND o.at < :last GROUP BY 1, 2"
)
HANDED = """
SELECT * FROM unnest(
    CAST(:r_series AS integer[]), CAST(:r_minutes AS timestamptz[]), CAST(:r_n AS bigint[]),
    CAST(:r_fast AS bigint[]), CAST(:r_slow AS bigint[])
) AS r (series_id, minute, n, fast, slow)
"""
HANDED_AS = ("r_series", "r_minutes", "r_n", "r_fast", "r_slow")


def measuring(raw: str) -> TextClause:
    """The statement that sets minutes right by these counts of raw outcomes."""
    return text(f"""
WITH {OPEN},
raw AS MATERIALIZED ({raw}),
proven AS MATERIALIZED (
    SELECT minute FROM open JOIN (SELECT minute, sum(n) AS n FROM raw GROUP BY minute) AS found USING (minute)
    WHERE found.n = open.n
),
mended AS (
    UPDATE minutes m SET
        fast = ARRAY(SELECT pair FROM (
            SELECT pair FROM unnest(m.fast) AS pair WHERE pair >> 32 <> :threshold
            UNION ALL SELECT (CAST(:threshold AS bigint) << 32) | raw.fast) AS pairs ORDER BY pair),
        slow = ARRAY(SELECT pair FROM (
            SELECT pair FROM unnest(m.slow) AS pair WHERE pair >> 32 <> :threshold
            UNION ALL SELECT (CAST(:threshold AS bigint) << 32) | raw.slow) AS pairs ORDER BY pair)
    FROM raw JOIN proven USING (minute)
    WHERE m.series_id = raw.series_id AND m.minute = raw.minute
)
SELECT extract(epoch FROM max(minute))::bigint FROM open WHERE minute NOT IN (SELECT minute FROM proven)
""")


MEASURE, MEASURE_HANDED = measuring(HERE), measuring(HANDED)


def values(objectives: Sequence[Objective], start: int, stop: int) -> dict[str, object]:
    """What the statements bind: objectives of one service, and [start, stop) in Unix seconds."""
    return {
        "ids": [objective.id for objective in objectives],
        "thresholds": [objective.threshold_us for objective in objectives],
        "service": objectives[0].service,
        "start": utc(start),
        "stop": utc(stop),
    }


async def measure(
    connection: AsyncConnection, rows: AsyncConnection, objective: Objective, start: int, stop: int
) -> int | None:
    """Set the minutes of [start, stop) right by raw outcomes; the newest one that cannot be proven, Unix seconds.

    `rows` is where outcomes are. Where they are in a database of their own, a flush that is in one of both only
    makes a minute that is not proven.
    """
    bounds = {"start": utc(start), "stop": utc(stop)}
    given: dict[str, Any] = bounds | {"service": objective.service, "threshold": objective.threshold_us}
    statement = MEASURE
    if rows is not connection or await spread(rows):
        first, last, series = (await connection.execute(ASKED, given)).one()
        there = {"first": first, "last": last, "series": series, "threshold": objective.threshold_us}
        columns = list(zip(*await rows.execute(THERE, there), strict=True)) or [()] * len(HANDED_AS)
        given |= {name: list(column) for name, column in zip(HANDED_AS, columns, strict=True)}
        statement = MEASURE_HANDED
    found: int | None = (await connection.execute(statement, given)).scalar_one()
    return found


async def minutes(connection: AsyncConnection, objective: Objective, start: int, stop: int) -> None:
    """Make the ledger's minutes of [start, stop) anew, and the hours they are in."""
    given = values([objective], start, stop)
    for statement in (MINUTES, HOURS_OF_MINUTES):
        await connection.execute(statement, given)


async def hours(connection: AsyncConnection, objective: Objective, start: int, stop: int) -> None:
    """Make the hours of [start, stop) of an availability ledger anew, of which no minutes are kept."""
    given = {"id": objective.id, "service": objective.service, "start": utc(start), "stop": utc(stop)}
    await connection.execute(HOURS, given)


async def left_out(connection: AsyncConnection, objectives: Sequence[Objective], start: int, stop: int) -> None:
    """Make anew what exclusions take out of [start, stop) of one service's objectives."""
    if objectives:
        given = values(objectives, start, stop)
        for statement in (FORGET_LEFT_OUT, LEFT_OUT):
            await connection.execute(statement, given)
