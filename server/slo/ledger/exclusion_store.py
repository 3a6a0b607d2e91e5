"""SQL of the exclusions: rows that are made, revoked and never changed otherwise; and what they take out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.times import utc
from server.live.clauses_store import excluded
from server.slo.ledger.exclusion import Exclusion, ExclusionAsked
from server.slo.ledger.rebuild_store import BAD, GOOD, KEPT, OBJECTIVES, values
from server.slo.model.counts import NOTHING, Counts
from server.slo.model.objective import Objective
from server.tables.codec import Rows
from server.tables.slo import exclusions


class ExclusionRow(Exclusion):
    """One exclusion. `age_s`: since it was revoked, else since it was made."""

    age_s: float


AGE = "extract(epoch FROM now() - coalesce(exclusions.revoked_at, exclusions.created_at))::float8"
EXCLUSIONS = Rows(exclusions, ExclusionRow, {"age_s": AGE})
COLUMNS = EXCLUSIONS.columns

ADD = insert(exclusions).returning(*EXCLUSIONS.selected)
SAME = text(f"""
SELECT {COLUMNS} FROM exclusions
WHERE (service, route, version, method, start, stop) = (:service, :route, :version, :method, :start, :stop)
    AND revoked_at IS NULL ORDER BY id LIMIT 1
""")
ONE = text(f"SELECT {COLUMNS} FROM exclusions WHERE id = :id")
REVOKE = text(f"UPDATE exclusions SET revoked_at = now(), revoked_by = :actor WHERE id = :id RETURNING {COLUMNS}")
OF_WINDOW = text(f"""
SELECT {COLUMNS} FROM exclusions WHERE maintenance_id = :window AND revoked_at IS NULL ORDER BY id
""")
LIST = text(f"""
SELECT {COLUMNS} FROM exclusions
WHERE (CAST(:service AS text) IS NULL OR service = :service) AND stop > :after ORDER BY start DESC, id DESC LIMIT :limit
""")
SPANS = text("""
SELECT extract(epoch FROM start)::bigint, extract(epoch FROM stop)::bigint FROM exclusions
WHERE service = :service AND revoked_at IS NULL AND stop > :start AND start < :stop
""")
ROUTES = text("SELECT DISTINCT route FROM series WHERE service = :service ORDER BY route")
# What another exclusion takes out already is not taken out again. The row of 0 is every outcome there.
TAKEN = text(f"""
WITH m AS MATERIALIZED (
    {KEPT} AND NOT {excluded("s", "m.minute")}
    AND :route IN ('', s.route) AND :version IN ('', s.version) AND :method IN ('', s.method)
)
SELECT 0, coalesce(sum(n - bad), 0)::bigint, coalesce(sum(bad), 0)::bigint FROM m
UNION ALL
SELECT o.id, sum({GOOD})::bigint, sum({BAD})::bigint FROM m CROSS JOIN {OBJECTIVES} GROUP BY o.id
""")
ALL = 0

# Each span once, with what is taken out of the ledger in it, also by others that overlap it.
LEFT_OUT_IN = text("""
SELECT given.id, sum(good)::bigint, sum(bad)::bigint
FROM unnest(CAST(:numbers AS integer[]), CAST(:starts AS timestamptz[]), CAST(:stops AS timestamptz[]))
    AS given (id, opens, closes)
JOIN ledger_left_out ON objective_id = :id AND minute >= opens AND minute < closes
GROUP BY given.id
""")


async def add(connection: AsyncConnection, values: dict[str, object]) -> ExclusionRow:
    """Make one."""
    return EXCLUSIONS.read((await connection.execute(ADD, values)).one())


async def same(connection: AsyncConnection, values: dict[str, object]) -> ExclusionRow | None:
    """One in force that takes out the same."""
    return EXCLUSIONS.one(await connection.execute(SAME, values))


async def one(connection: AsyncConnection, number: int) -> ExclusionRow | None:
    """The exclusion of a number."""
    return EXCLUSIONS.one(await connection.execute(ONE, {"id": number}))


async def revoke(connection: AsyncConnection, number: int, actor: str) -> ExclusionRow:
    """Revoke one."""
    return EXCLUSIONS.read((await connection.execute(REVOKE, {"id": number, "actor": actor})).one())


async def of_window(connection: AsyncConnection, window: int) -> list[ExclusionRow]:
    """Those in force that are of a maintenance window."""
    return EXCLUSIONS.every(await connection.execute(OF_WINDOW, {"window": window}))


async def recent(connection: AsyncConnection, service: str | None, after: float, limit: int) -> list[ExclusionRow]:
    """Those that end after a time, the last one first, revoked ones too."""
    values = {"service": service, "after": utc(after), "limit": limit}
    return EXCLUSIONS.every(await connection.execute(LIST, values))


async def spans(connection: AsyncConnection, service: str, start: int, stop: int) -> list[tuple[int, int]]:
    """What is taken out of a service in [start, stop), whole exclusions, by whatever selector; Unix seconds."""
    rows = await connection.execute(SPANS, {"service": service, "start": utc(start), "stop": utc(stop)})
    return [(row[0], row[1]) for row in rows]


async def routes(connection: AsyncConnection, service: str) -> list[str]:
    """Every route of a service."""
    return [row[0] for row in await connection.execute(ROUTES, {"service": service})]


async def taken(
    connection: AsyncConnection, objectives: Sequence[Objective], asked: ExclusionAsked, start: int, stop: int
) -> dict[int, Counts]:
    """By objective id, and of every outcome under ALL: what [start, stop) has counted of what is asked for."""
    selectors = {"service": asked.service, "route": asked.route, "version": asked.version, "method": asked.method}
    rows = await connection.execute(TAKEN, values(objectives, start, stop) | selectors)
    return {ALL: NOTHING} | {row[0]: Counts(row[1], row[2]) for row in rows}


async def taken_by(
    connection: AsyncConnection, objective_id: int, spans: Sequence[tuple[int, datetime, datetime]]
) -> dict[int, Counts]:
    """By number: what is taken out of a ledger in each span. Nothing: no entry."""
    numbers, starts, stops = zip(*spans, strict=True) if spans else ((), (), ())
    given = {"id": objective_id, "numbers": list(numbers), "starts": list(starts), "stops": list(stops)}
    return {row[0]: Counts(row[1], row[2]) for row in await connection.execute(LEFT_OUT_IN, given)}
