"""What a ledger kept, hour by hour, and the stretches of it that failed most.

The cost depends on the minutes and hours of the span, never on outcomes.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.times import utc
from server.slo.ledger.history import Slot
from server.slo.model.counts import Counts

Unit = Literal["minute", "hour"]
GAP_S = {"minute": 180, "hour": 3600}  # what is no further apart is one stretch
UNIT_S = {"minute": 60, "hour": 3600}

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


def stretches_statement(unit: Unit) -> str:
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


async def hours(connection: AsyncConnection, objective_id: int, start: int, end: float) -> list[Slot]:
    """The hours of a ledger that begin in [start, end), Unix seconds, rising; those without traffic are left out."""
    rows = await connection.execute(HOURS, {"id": objective_id, "start": utc(start), "end": utc(end)})
    return [Slot(row[0], Counts(row[1], row[2], row[3]), Counts(row[4], row[5])) for row in rows]


async def stretches(
    connection: AsyncConnection, objective_id: int, start: int, end: float, *, unit: Unit, ratio: Fraction, many: int
) -> list[tuple[int, int, Counts]]:
    """The stretches of [start, end) of which each `unit` failed at `ratio` or more, most failures first.

    Each is its beginning, its end and what it counted, without what exclusions take out.
    """
    bounds = {"id": objective_id, "start": utc(start), "end": utc(end), "gap": GAP_S[unit], "many": many}
    rows = await connection.execute(STRETCHES[unit], bounds | {"num": ratio.numerator, "den": ratio.denominator})
    return [(row[0], row[1] + UNIT_S[unit], Counts(row[3] - row[2], row[2])) for row in rows]
