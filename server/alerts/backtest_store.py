"""The past of indicators, from every ledger that has counted them, without what exclusions take out."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.alerts.backtest import Columns
from server.kernel.times import utc

LEDGERS = text("""
SELECT indicator, array_agg(id ORDER BY id) FROM objectives WHERE indicator = ANY(:indicators)
    AND EXISTS (SELECT FROM ledger_hours WHERE objective_id = objectives.id AND hour >= :start)
GROUP BY indicator
""")


# Ledgers of one indicator count the same, where they count: a minute is what the one that has most of it says.
def minutes_statement(table: str, unit: str) -> str:
    return f"""
SELECT coalesce(array_agg(at), '{{}}'), coalesce(array_agg(good), '{{}}'), coalesce(array_agg(bad), '{{}}') FROM (
    SELECT extract(epoch FROM {unit})::bigint AS at,
        max(kept.good - coalesce(out.good, 0))::bigint AS good, max(kept.bad - coalesce(out.bad, 0))::bigint AS bad
    FROM {table} AS kept
    LEFT JOIN (
        SELECT objective_id, date_trunc('{unit}', minute, 'UTC') AS {unit}, sum(good) AS good, sum(bad) AS bad
        FROM ledger_left_out WHERE objective_id = ANY(:ids) AND minute >= :start AND minute < :stop GROUP BY 1, 2
    ) AS out USING (objective_id, {unit})
    WHERE kept.objective_id = ANY(:ids) AND kept.{unit} >= :start AND kept.{unit} < :stop
    GROUP BY {unit}
) AS made
"""


MINUTES = text(minutes_statement("ledger_minutes", "minute"))
HOURS = text(minutes_statement("ledger_hours", "hour"))


async def ledgers(connection: AsyncConnection, indicators: Iterable[str], start: int) -> dict[str, list[int]]:
    """The ledgers of each indicator that have counted anything since `start`."""
    rows = await connection.execute(LEDGERS, {"indicators": sorted(set(indicators)), "start": utc(start)})
    return {row[0]: row[1] for row in rows}


async def minutes(connection: AsyncConnection, ids: list[int], first: int, kept: int, end: int) -> list[Columns]:
    """The hours of [first, kept) and the minutes of [kept, end), Unix seconds; `kept` is a whole hour.

    As columns: to make fifty thousand rows here would hold up the event loop.
    """
    found: list[Columns] = []
    for statement, start, stop in ((HOURS, first, kept), (MINUTES, kept, end)):
        row = (await connection.execute(statement, {"ids": ids, "start": utc(start), "stop": utc(stop)})).one()
        found.append(Columns(row[0], row[1], row[2]))
    return found
