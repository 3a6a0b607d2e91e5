"""SQL of the doctor's report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# What the behaviour under load and the safety of what was stored hang on, as it holds in this very session.
SETTINGS = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "synchronous_commit",
    "fsync",
    "full_page_writes",
    "wal_level",
    "wal_compression",
    "max_wal_size",
    "archive_mode",
    "shared_buffers",
    "max_connections",
    "autovacuum",
)
FACTS = """
SELECT current_setting('server_version') AS "PostgreSQL",
    pg_size_pretty(pg_database_size(current_database())) AS size,
    extract(epoch FROM now() - pg_postmaster_start_time())::bigint AS "up for s",
    pg_is_in_recovery() AS "is a standby",
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int AS "connections of all",
    (SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'evenkeel%')::int AS "connections of Evenkeel",
    (SELECT count(*) FROM pg_locks WHERE NOT granted)::int AS "locks waited for",
    (SELECT round(max(extract(epoch FROM now() - xact_start)), 1)::float8 FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS "oldest transaction s"
"""
ERRORS = """
SELECT level, logger, coalesce(fields->>'code', '') AS code, right(coalesce(fields->>'exception', ''), 2000) AS trace,
    at::text AS at
FROM log_lines WHERE level IN ('error', 'critical', 'warning') ORDER BY at DESC LIMIT 2000
"""
PROCESSES = """
SELECT name, host, kind, version, extract(epoch FROM clock_timestamp() - started_at)::bigint AS "age s",
    round(extract(epoch FROM clock_timestamp() - heartbeat_at), 1)::float8 AS "heartbeat s ago",
    queue_items AS queue, round(rss_bytes / 1048576.0)::int AS "MiB",
    round(loop_lag_ms::numeric, 1)::float8 AS "lag ms", round(clock_ahead_s::numeric, 2)::float8 AS "clock ahead s",
    id = (SELECT process_id FROM lease WHERE name = 'watch') AS leads
FROM processes WHERE {running} AND heartbeat_at > clock_timestamp() - interval '1 day'
ORDER BY host, name, id LIMIT 100
"""
MARKS = """
SELECT count(*) AS marks, extract(epoch FROM clock_timestamp() - min(at))::bigint AS "oldest mark s" FROM flush_marks
"""
LEASE = "SELECT extract(epoch FROM clock_timestamp() - renewed_at)::float8, term FROM lease WHERE name = 'watch'"


async def database_facts(connection: AsyncConnection) -> dict[str, Any]:
    """The server, and its settings as they hold in this session."""
    facts = dict((await connection.execute(text(FACTS))).one()._mapping)
    for name in SETTINGS:
        facts[name] = (await connection.execute(text(f"SHOW {name}"))).scalar_one()
    return facts


async def marks(connection: AsyncConnection) -> dict[str, Any]:
    """Of the outcomes' own database: what waits to be settled, by server/ingest/apart.py, and since when."""
    return dict((await connection.execute(text(MARKS))).one()._mapping)


async def errors(connection: AsyncConnection) -> Sequence[Any]:
    """The newest warnings and errors that were logged, the newest first, without their messages."""
    return (await connection.execute(text(ERRORS))).all()


async def processes(connection: AsyncConnection, running: str) -> Sequence[dict[str, Any]]:
    """Those that `running`, a condition on `processes`, says are there."""
    return [dict(row._mapping) for row in await connection.execute(text(PROCESSES.format(running=running)))]


async def lease(connection: AsyncConnection) -> tuple[float | None, int]:
    """The lease's age in seconds and its term; None: nobody holds it."""
    row = (await connection.execute(text(LEASE))).one_or_none()
    return (None, 0) if row is None else (row[0], row[1])
