"""SQL of the monthly report: what other domains kept of a service in a span of time. Times are Unix seconds."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.times import utc
from server.review.monthly import ExclusionMonth, MonthLedger
from server.tables.codec import Rows
from server.tables.slo import exclusions as exclusions_table

EXCLUSIONS = Rows(exclusions_table, ExclusionMonth)
EXCLUDED = text(f"""
SELECT {EXCLUSIONS.columns} FROM exclusions
WHERE service = :service AND stop > :start AND start < :end ORDER BY start, id
""")
# That an override ended early is no other one.
CHANGES = text("""
SELECT kind, count(*) FROM changes
WHERE at >= :start AND at < :end AND (service = :service OR kind IN ('revision', 'environment'))
    AND NOT (kind = 'override' AND coalesce(detail ->> 'revoked', '') = 'true')
GROUP BY kind ORDER BY kind
""")
LEDGERS = text("""
SELECT id, coalesce(exact_since, created_at),
    EXISTS (SELECT FROM recounts r WHERE r.objective_id = objectives.id AND r.start < :end AND r.stop > :start)
FROM objectives WHERE id = ANY(:ids)
""")
# One look at each month of each ledger: the cost depends on the number of months, not on what is in them.
MONTHS = text("""
SELECT DISTINCT ledger.service, months.name
FROM unnest(CAST(:names AS text[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]))
    AS months (name, opens, closes)
CROSS JOIN unnest(CAST(:ids AS integer[]), CAST(:services AS text[])) AS ledger (id, service)
WHERE EXISTS (SELECT FROM ledger_hours WHERE objective_id = ledger.id AND hour >= opens AND hour < closes)
""")
# The newest policy before the end, else the first there was.
POLICY = text("""
SELECT number, source FROM policy_revisions
ORDER BY at < :end DESC, CASE WHEN at < :end THEN -number ELSE number END LIMIT 1
""")


async def exclusions(connection: AsyncConnection, service: str, start: float, end: float) -> list[ExclusionMonth]:
    """Those that reach into [start, end), also revoked ones, in order."""
    return EXCLUSIONS.every(await connection.execute(EXCLUDED, span(service, start, end)))


async def changes(connection: AsyncConnection, service: str, start: float, end: float) -> dict[str, int]:
    """How many changes of each kind touched the service."""
    return {row[0]: row[1] for row in await connection.execute(CHANGES, span(service, start, end))}


async def ledgers(connection: AsyncConnection, ids: Sequence[int], start: float, end: float) -> dict[int, MonthLedger]:
    """How exact each ledger is over [start, end)."""
    rows = await connection.execute(LEDGERS, {"ids": list(ids), "start": utc(start), "end": utc(end)})
    return {row[0]: MonthLedger(row[1], row[2]) for row in rows}


async def months(
    connection: AsyncConnection, ledgers: Sequence[tuple[int, str]], names: Sequence[tuple[str, int, int]]
) -> set[tuple[str, str]]:
    """The months in which each service counted anything. `ledgers` with their service, `names` with their bounds."""
    values = {
        "ids": [number for number, _ in ledgers],
        "services": [service for _, service in ledgers],
        "names": [name for name, _, _ in names],
        "starts": [utc(start) for _, start, _ in names],
        "ends": [utc(end) for _, _, end in names],
    }
    return {(row[0], row[1]) for row in await connection.execute(MONTHS, values)}


async def policy_at(connection: AsyncConnection, end: float) -> tuple[int, str]:
    """The number and source of the policy in force just before `end`."""
    row = (await connection.execute(POLICY, {"end": utc(end)})).one()
    return row[0], row[1]


def span(service: str, start: float, end: float) -> dict[str, object]:
    return {"service": service, "start": utc(start), "end": utc(end)}
