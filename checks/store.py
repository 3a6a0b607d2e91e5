"""What the live checks read from the database. Ages are seconds by the database's clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.process.process_store import REVISION_IN_FORCE, RUNNING


class SilentProcess(NamedTuple):
    """One process that runs or has gone silent, heard of within a minute."""

    label: str
    kind: str
    version: str
    age_s: float
    heartbeat_age_s: float
    loop_lag_ms: float
    revision: int | None  # in force in it, as its receipt says


async def processes(connection: AsyncConnection) -> list[SilentProcess]:
    """The processes of every machine."""
    rows = await connection.execute(
        text(f"""
        SELECT host || '/' || name, kind, version,
               extract(epoch FROM now() - started_at)::float,
               extract(epoch FROM now() - heartbeat_at)::float,
               loop_lag_ms,
               {REVISION_IN_FORCE}
        FROM processes
        WHERE {RUNNING} AND heartbeat_at > now() - interval '1 minute'
        ORDER BY host, name, id
        """)
    )
    return [SilentProcess(*row) for row in rows]


async def clocks(connection: AsyncConnection) -> list[tuple[str, float]]:
    """Each machine with running processes, and by how many seconds its clock is ahead of the database's."""
    query = text(f"""
        SELECT DISTINCT ON (host) host, clock_ahead_s FROM processes
        WHERE {RUNNING} AND heartbeat_at > now() - interval '1 minute'
        ORDER BY host, heartbeat_at DESC
        """)
    return [(row[0], row[1]) for row in await connection.execute(query)]


async def clocks_ahead(connection: AsyncConnection) -> list[tuple[str, str, float]]:
    """Services sent within 10 minutes by a clock that was ahead: service, name of the key, most seconds ahead."""
    query = text("""
        SELECT service, coalesce(api_keys.name, ''), max(ahead_us) / 1e6::float FROM intake
        LEFT JOIN api_keys ON api_keys.id = key_id
        WHERE slot > now() - interval '10 minutes' AND ahead_us > 0
        GROUP BY service, key_id, api_keys.name ORDER BY service, 2
        """)
    return [(row[0], row[1], row[2]) for row in await connection.execute(query)]


async def other_policy_files(connection: AsyncConnection) -> tuple[int, list[str]]:
    """The policy revision in force, and the machines on which a running process has read another usable file."""
    rows = await connection.execute(
        text(f"""
        WITH newest AS (SELECT number, digest FROM policy_revisions ORDER BY number DESC LIMIT 1)
        SELECT number, ARRAY(
            SELECT DISTINCT host FROM processes
            WHERE {RUNNING} AND heartbeat_at > now() - interval '1 minute' AND policy_file NOT IN ('', digest)
            ORDER BY host
        ) FROM newest
        """)
    )
    row = rows.first()
    return (row[0], row[1]) if row else (0, [])


async def revision_in_force(connection: AsyncConnection) -> tuple[int, float] | None:
    """The revision that every process must have applied, and since when, in seconds; None where there is none.

    While one is staged that is its base; a promoted one is in force everywhere since then.
    """
    query = text("""
        SELECT v.number, extract(epoch FROM now() - greatest(v.at, p.state_at))::float
        FROM revisions v LEFT JOIN rollouts p ON p.newest = v.number AND p.state = 'promoted'
        WHERE v.number = coalesce(
            (SELECT max(base) FROM rollouts WHERE state IN ('running', 'paused')),
            (SELECT max(number) FROM revisions)
        )
    """)
    row = (await connection.execute(query)).first()
    return (row[0], row[1]) if row else None


async def lease_age_s(connection: AsyncConnection) -> float | None:
    """Since the watch renewed its lease; None where it never did."""
    query = text("SELECT extract(epoch FROM now() - renewed_at)::float FROM lease WHERE name = 'watch'")
    return (await connection.execute(query)).scalar()


async def unfolded_age_s(connection: AsyncConnection) -> float:
    """The age of the oldest delta that is not in the rollups yet; 0 where all are."""
    query = text("""
        SELECT coalesce(max(extract(epoch FROM now() - oldest.written_at)), 0)::float
        FROM writers, LATERAL (
            SELECT written_at FROM deltas
            WHERE writer_id = writers.id AND seq > writers.folded_seq
            ORDER BY seq LIMIT 1
        ) AS oldest
        """)
    return float((await connection.execute(query)).scalar_one())


async def partitions(connection: AsyncConnection, table: str) -> list[str]:
    """The names of the partitions of a table."""
    query = text("""
        SELECT child.relname
        FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
        WHERE inhparent = CAST(:table AS regclass) AND NOT inhdetachpending
        ORDER BY 1
        """)
    return [row[0] for row in await connection.execute(query, {"table": table})]


async def names(connection: AsyncConnection) -> tuple[int, Sequence[tuple[str, int, int]]]:
    """How many services there are; and of each service, how many routes and versions."""
    query = text("""
        SELECT service, count(DISTINCT route)::int, count(DISTINCT version)::int
        FROM series GROUP BY service ORDER BY service
        """)
    found = [(row[0], row[1], row[2]) for row in await connection.execute(query)]
    return len(found), found


async def database_bytes(connection: AsyncConnection) -> int:
    """The size of the database on disk."""
    return int((await connection.execute(text("SELECT pg_database_size(current_database())"))).scalar_one())


class DurationBucket(NamedTuple):
    """How many durations of a service, and lately of a version, are in one bucket of the sketch."""

    before: bool
    service: str
    version: str
    bucket: int
    n: int


async def durations(connection: AsyncConnection) -> list[DurationBucket]:
    """The sketches of the last 15 minutes by service and version, and of six whole hours before by service."""
    rows = await connection.execute(
        text("""
        SELECT false, service, version, pair >> 32, sum(pair & 4294967295)::bigint
        FROM minute_sketches JOIN series ON series.id = series_id, unnest(sketch) AS pair
        WHERE minute >= now() - interval '15 minutes' GROUP BY 2, 3, 4
        UNION ALL
        SELECT true, service, '', pair >> 32, sum(pair & 4294967295)::bigint
        FROM hours JOIN series ON series.id = series_id, unnest(sketch) AS pair
        WHERE hour >= date_trunc('hour', now()) - interval '7 hours'
            AND hour < date_trunc('hour', now() - interval '15 minutes') GROUP BY 2, 4
        """)
    )
    return [DurationBucket(*row) for row in rows]


class SilentDrain(NamedTuple):
    """A drain that fell silent as Evenkeel was restarted: its receiver, the name of its key, and for how long."""

    receiver: str
    key: str
    silent_s: float


async def silent_drains(connection: AsyncConnection, receivers: Sequence[str]) -> list[SilentDrain]:
    """Drains of these receivers that sent in 20 of the 30 minutes before a web process was started again, and in the 5
    after nothing."""
    query = text("""
        WITH last AS (
            SELECT receiver, key_id, max(at) AS at FROM received
            WHERE receiver = ANY (:drains) AND reason = 'accepted' GROUP BY 1, 2
        )
        SELECT last.receiver, k.name, extract(epoch FROM now() - last.at)::float FROM last
        JOIN api_keys k ON k.id = last.key_id AND k.revoked_at IS NULL
        WHERE last.at < now() - interval '5 minutes'
            AND EXISTS (SELECT FROM processes p WHERE p.kind = 'web'
                AND p.started_at BETWEEN last.at - interval '1 minute' AND last.at + interval '15 minutes')
            AND (SELECT count(DISTINCT r.slot) FROM received r WHERE r.receiver = last.receiver
                AND r.key_id = last.key_id AND r.reason = 'accepted'
                AND r.slot > last.at - interval '30 minutes') >= 20
        ORDER BY 1, 2
        """)
    rows = await connection.execute(query, {"drains": list(receivers)})
    return [SilentDrain(*row) for row in rows]
