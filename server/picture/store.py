"""SQL of the picture: its one row, and what it says besides the windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.connection import Connection
from server.kernel.db import plain
from server.kernel.names import OTHER
from server.live import tail_store
from server.picture.picture import ProcessPicture, Restart, RunningMaintenance
from server.process.process_store import RUNNING

RESTARTS_TOLD_S = 15 * 60
RESTARTS_MAX = 20
SETTLED_S = 60  # after a deploy


class StoredPicture(NamedTuple):
    """The picture row; `age_s` by the database's clock."""

    term: int
    seq: int
    age_s: float
    body: bytes


READ = """
SELECT term, seq, extract(epoch FROM clock_timestamp() - at)::float8 AS age_s, body FROM picture
WHERE (term, seq) IS DISTINCT FROM (:term, :seq)
"""


async def read(connection: AsyncConnection) -> StoredPicture | None:
    """The picture."""
    row = (await connection.execute(text(READ), {"term": 0, "seq": 0})).one_or_none()
    return None if row is None else StoredPicture(*row)


async def newer(connection: Connection, known: tuple[int, int]) -> StoredPicture | None:
    """The picture, unless its term and sequence are the known ones."""
    rows = await connection.execute(plain(READ), {"term": known[0], "seq": known[1]}, binary=True)
    row = await rows.fetchone()
    return None if row is None else StoredPicture(*row)


async def write(connection: AsyncConnection, term: int, seq: int, body: bytes) -> bool:
    """Replace the picture; False where the term has passed."""
    done = await connection.execute(
        text(
            """
            INSERT INTO picture (id, term, seq, at, body)
            SELECT 1, :term, :seq, clock_timestamp(), :body FROM lease WHERE name = 'watch' AND term = :term
            ON CONFLICT (id) DO UPDATE SET
                term = excluded.term, seq = excluded.seq, at = excluded.at, body = excluded.body
            WHERE picture.term <= excluded.term
            """
        ),
        {"term": term, "seq": seq, "body": body},
    )
    return done.rowcount == 1


GONE_S = 30  # a process without a heartbeat for this long is left out
PROCESSES = f"""
SELECT id, processes.kind, name, host, extract(epoch FROM started_at)::float8 AS started_at,
    extract(epoch FROM clock_timestamp() - heartbeat_at)::float8 AS age_s,
    r.revision, extract(epoch FROM r.applied_at - v.at)::float8 * 1000 AS applied_after_ms,
    queue_items, loop_lag_ms, rss_bytes
FROM processes
LEFT JOIN LATERAL (
    SELECT revision, applied_at FROM receipts
    WHERE process_id = processes.id ORDER BY applied_at DESC, revision DESC LIMIT 1
) AS r ON true
LEFT JOIN revisions v ON v.number = r.revision
WHERE {RUNNING} AND heartbeat_at > clock_timestamp() - make_interval(secs => {GONE_S})
ORDER BY processes.kind DESC, host, name, id
"""


async def processes(connection: AsyncConnection) -> list[ProcessPicture]:
    """Every process that runs or has just gone silent, with the newest revision that it has applied."""
    return [ProcessPicture(*row) for row in await connection.execute(text(PROCESSES))]


async def restarts(connection: AsyncConnection) -> list[Restart]:
    """The processes that ended without an orderly stop and were started again within 15 minutes, newest first."""
    rows = await connection.execute(
        text(
            """
            SELECT dead.kind, dead.name, dead.host, count(*) AS times,
                extract(epoch FROM max(again.started_at))::float8 AS at
            FROM processes AS dead CROSS JOIN LATERAL (
                SELECT started_at FROM processes
                WHERE host = dead.host AND name = dead.name AND id > dead.id ORDER BY id LIMIT 1
            ) AS again
            WHERE dead.stopped_at IS NULL AND dead.heartbeat_at < clock_timestamp() - interval '3 s'
                AND again.started_at > clock_timestamp() - make_interval(secs => :told_s)
            GROUP BY 1, 2, 3 ORDER BY at DESC LIMIT :most
            """
        ),
        {"told_s": RESTARTS_TOLD_S, "most": RESTARTS_MAX},
    )
    return [Restart(*row) for row in rows]


async def changing(connection: AsyncConnection, services: Sequence[str]) -> set[str]:
    """Those of these services that a deploy or a scale is under way at, or has been within a minute."""
    rows = await connection.execute(
        text(
            """
            SELECT DISTINCT service FROM changes
            WHERE service = ANY(:services) AND kind IN ('deploy', 'scale')
                AND at > clock_timestamp() - interval '1 h'
                AND (state = 'started'
                    OR coalesce(finished, at) > clock_timestamp() - make_interval(secs => :settled_s))
            """
        ),
        {"services": list(services), "settled_s": SETTLED_S},
    )
    return set(rows.scalars())


async def revision(connection: AsyncConnection) -> int:
    """The number of the revision in force; 0 before the first."""
    row = await connection.execute(text("SELECT coalesce(max(number), 0) FROM revisions"))
    return int(row.scalar_one())


async def maintenance(connection: AsyncConnection) -> list[RunningMaintenance]:
    """The maintenance windows that run, the one that ends first first."""
    rows = await connection.execute(
        text(
            """
            SELECT id, services, extract(epoch FROM started_at)::float8, extract(epoch FROM stop)::float8,
                reason, expected
            FROM maintenance_windows
            WHERE started_at IS NOT NULL AND ended_at IS NULL ORDER BY maintenance_windows.stop, id
            """
        )
    )
    return [RunningMaintenance(*row) for row in rows]


async def targets(connection: AsyncConnection) -> int:
    """How many targets there are."""
    row = await connection.execute(text("SELECT count(*) FROM targets WHERE removed_at IS NULL"))
    return int(row.scalar_one())


COUNTED, REFUSED, RUNNING_PROCESSES = "counted", "refused", "processes"
RESTARTED, UNDER_MAINTENANCE, REVISION, TARGETS = "restarted", "under maintenance", "revision", "targets"
# What a tick looks at first, for the windows; by `:refused_from`, Unix seconds.
SEEN = {
    COUNTED: f"SELECT string_agg(id || ':' || seq, ' ' ORDER BY id) FROM ({tail_store.HEADS}) AS heads",
    REFUSED: "EXISTS (SELECT FROM intake WHERE slot >= to_timestamp(:refused_from))",
    RUNNING_PROCESSES: f"SELECT coalesce(json_agg(each), '[]') FROM ({PROCESSES}) AS each",
    RESTARTED: f"""EXISTS (SELECT FROM processes WHERE stopped_at IS NULL AND heartbeat_at < clock_timestamp()
        - interval '3 s') AND EXISTS (SELECT FROM processes
        WHERE started_at > clock_timestamp() - make_interval(secs => {RESTARTS_TOLD_S}))""",
    UNDER_MAINTENANCE: "EXISTS (SELECT FROM maintenance_windows WHERE started_at IS NOT NULL AND ended_at IS NULL)",
    REVISION: "SELECT coalesce(max(number), 0) FROM revisions",
    TARGETS: "SELECT count(*) FROM targets WHERE removed_at IS NULL",
}


async def other_series(connection: AsyncConnection) -> int:
    """Series that stand for what came over a cap."""
    query = "SELECT count(*) FROM series WHERE :other IN (service, version, route)"
    return int((await connection.execute(text(query), {"other": OTHER})).scalar_one())
