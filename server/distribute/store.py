"""SQL of distributing: what is spread already, and spreading a table by one of its columns."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from server.kernel.db import HAS_CITUS

Connection = psycopg.Connection[tuple[Any, ...]]

LEAST_SHARDS = 8  # a flush writes to each: with 32, Citus's default, it takes twice as long
WAIT = "10s"  # for flushes, which are short

# The distribution column has to be in every unique index.
BEFORE = {
    "log_lines": (
        "ALTER TABLE log_lines DROP CONSTRAINT IF EXISTS log_lines_pkey",
        "CREATE INDEX IF NOT EXISTS log_lines_id ON log_lines (id)",
    ),
    "outcomes": (),
    "service_lines": (),
}
# Most lines of services name no request: by its id they would all be on one shard.
BY = {"log_lines": "request_id", "outcomes": "request_id", "service_lines": "arrived"}


def has_citus(connection: Connection) -> bool:
    """Whether the extension is in this database."""
    return bool(one(connection, HAS_CITUS))


def shards(connection: Connection) -> int:
    """How many a table gets: two for each node that takes any, and at least 8."""
    nodes = one(connection, "SELECT count(*) FROM pg_dist_node WHERE shouldhaveshards AND noderole = 'primary'")
    return max(LEAST_SHARDS, 2 * int(nodes))


def is_spread(connection: Connection, table: str) -> bool:
    """Whether the table is distributed."""
    query = "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = %s::regclass)"
    return bool(one(connection, query, table))


def spread(connection: Connection, table: str, count: int) -> None:
    """Move the table's rows to `count` shards, by its column of BY; who writes to it waits, for as long as that takes.

    LockNotAvailable where somebody else has it for too long; nothing was done then.
    """
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(WAIT)))
        for statement in BEFORE[table]:
            connection.execute(sql.SQL(statement))
        connection.execute(
            "SELECT create_distributed_table(%s, %s, shard_count => %s, colocate_with => 'none')",
            (table, BY[table], count),
        )


def forget_local(connection: Connection, table: str) -> None:
    """Free what the rows took on the coordinator before they were moved; safe to repeat."""
    connection.execute("SELECT truncate_local_data_after_distributing_table(%s::regclass)", (table,))


def one(connection: Connection, query: str, *given: object) -> Any:
    row = connection.execute(sql.SQL(query), given).fetchone()
    assert row is not None
    return row[0]
