"""SQL of the policy: its numbered revisions, the ledgers of its objectives, and the services that send."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.names import DRILL
from server.kernel.times import utc
from server.slo.model.objective import Objective
from server.slo.policy.lint import Traffic

LOCK = text("SELECT pg_advisory_xact_lock(hashtext('evenkeel.policy'))")
NEWEST = text("SELECT number, source, digest FROM policy_revisions ORDER BY number DESC LIMIT :limit")
NUMBER = text("SELECT coalesce(max(number), 0) FROM policy_revisions")
ADD = text("INSERT INTO policy_revisions (number, source, digest, host) VALUES (:number, :source, :digest, :host)")
KNOWN = text("SELECT 1 FROM policy_revisions WHERE digest = :digest LIMIT 1")
MISSING = text("""
INSERT INTO objectives (name, indicator)
SELECT name, indicator FROM unnest(CAST(:names AS text[]), CAST(:indicators AS text[])) AS given (name, indicator)
WHERE NOT EXISTS (SELECT FROM objectives AS known
                  WHERE known.name = given.name AND known.indicator = given.indicator)
ORDER BY name
ON CONFLICT DO NOTHING
""")
# The services one by one along the series' key, then the first trace of each: the cost depends on the services.
EACH = """
WITH RECURSIVE each (service) AS (
    (SELECT service FROM series ORDER BY service LIMIT 1)
    UNION ALL
    SELECT (SELECT service FROM series WHERE series.service > each.service ORDER BY service LIMIT 1)
    FROM each WHERE each.service IS NOT NULL
)
SELECT service FROM each
"""
SENDING = text(f"""{EACH}
WHERE EXISTS (
    SELECT FROM series WHERE series.service = each.service AND (
        first_seen_at > now() - interval '28 days'
        OR EXISTS (SELECT FROM hours WHERE series_id = series.id AND hour > now() - interval '28 days')))
""")
# A drill is held to something for 15 minutes after it has sent; then its objectives and alerts are gone.
DRILLING = text(f"""{EACH}
WHERE starts_with(service, :prefix) AND EXISTS (
    SELECT FROM series WHERE series.service = each.service AND (
        first_seen_at > now() - interval '15 minutes'
        OR EXISTS (SELECT FROM minutes WHERE series_id = series.id AND minute > now() - interval '15 minutes')))
""")
SENDS = text("""
SELECT EXISTS (SELECT FROM series WHERE service = :service AND (
    EXISTS (SELECT FROM hours WHERE series_id = series.id AND hour >= :since)
    OR EXISTS (SELECT FROM deltas WHERE series_id = series.id AND second >= :since)))
""")
LEDGERS = text("SELECT name, indicator, id FROM objectives WHERE name = ANY(:names)")
TRAFFIC = text("""
SELECT service, sum(n)::bigint, extract(epoch FROM now() - min(hour))::float / 86400
FROM hours JOIN series ON series.id = series_id
WHERE hour > now() - make_interval(days => :days)
GROUP BY service HAVING sum(n) > 0
""")


class PolicyRevision(NamedTuple):
    """One policy as it was stored; number 0 where none is."""

    number: int
    source: str
    digest: str


async def newest_ones(connection: AsyncConnection, limit: int) -> list[PolicyRevision]:
    """The last revisions, the newest first."""
    return [PolicyRevision(*row) for row in await connection.execute(NEWEST, {"limit": limit})]


async def newest(connection: AsyncConnection) -> PolicyRevision:
    """The revision in force."""
    found = await newest_ones(connection, 1)
    return found[0] if found else PolicyRevision(0, "", "")


async def newest_number(connection: AsyncConnection) -> int:
    """The number of the revision in force, or 0."""
    return int((await connection.execute(NUMBER)).scalar_one())


async def lock(connection: AsyncConnection) -> None:
    """Nobody else stores a policy or begins a ledger until this transaction ends."""
    await connection.execute(LOCK)


async def was_in_force(connection: AsyncConnection, digest: str) -> bool:
    """Whether a policy with this digest was ever stored."""
    return (await connection.execute(KNOWN, {"digest": digest})).first() is not None


async def add(connection: AsyncConnection, number: int, source: str, digest: str, host: str) -> None:
    """Store a revision."""
    await connection.execute(ADD, {"number": number, "source": source, "digest": digest, "host": host})


async def begin_ledgers(connection: AsyncConnection, objectives: Iterable[Objective]) -> None:
    """Give each objective a ledger that has none; processes that do so at once take turns."""
    await lock(connection)
    given = list(objectives)
    names = {"names": [o.name for o in given], "indicators": [o.indicator for o in given]}
    await connection.execute(MISSING, names)


async def sending_services(connection: AsyncConnection) -> frozenset[str]:
    """Every service that has sent within the last 28 days: it has a new series, or an hour with outcomes."""
    return frozenset(row[0] for row in await connection.execute(SENDING))


async def drilling_services(connection: AsyncConnection) -> frozenset[str]:
    """The services of drills that have sent within 15 minutes."""
    return frozenset(row[0] for row in await connection.execute(DRILLING, {"prefix": DRILL}))


async def sends(connection: AsyncConnection, service: str, since: float) -> bool:
    """Whether outcomes of a service were acknowledged of a second, or a whole hour, since then (Unix seconds)."""
    return bool((await connection.execute(SENDS, {"service": service, "since": utc(since)})).scalar_one())


async def traffic(connection: AsyncConnection, days: int) -> dict[str, Traffic]:
    """The traffic of each service over the last `days`, from the hours."""
    return {row[0]: Traffic(row[1], row[2]) for row in await connection.execute(TRAFFIC, {"days": days})}


async def ledger_ids(connection: AsyncConnection, objectives: Iterable[Objective]) -> dict[tuple[str, str], int]:
    """The number of each objective's ledger, by name and indicator."""
    rows = await connection.execute(LEDGERS, {"names": [objective.name for objective in objectives]})
    return {(row[0], row[1]): row[2] for row in rows}
