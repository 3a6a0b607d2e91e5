"""SQL of the process table."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server import __version__
from server.kernel import shared_clock
from server.kernel.connection import Connection
from server.kernel.names import HOST
from server.kernel.pool_sizes import SharedConnections
from server.tables.processes import processes

# The revision in force in a process, as a column of `processes`: the receipt that was applied last.
REVISION_IN_FORCE = """(
    SELECT revision FROM receipts WHERE process_id = processes.id ORDER BY applied_at DESC, revision DESC LIMIT 1
)"""
# Neither stopped in order, nor silent and started again by its supervisor, who has seen it die: the one rule
# for who is told of as a process, as a condition on `processes`.
RUNNING = """
    processes.stopped_at IS NULL AND NOT (
        processes.heartbeat_at < clock_timestamp() - interval '3 s' AND EXISTS (
            SELECT 1 FROM processes AS newer
            WHERE newer.host = processes.host AND newer.name = processes.name AND newer.id > processes.id
        )
    )
"""

# What is left for us, by whichever limit is the lowest: of the server, of our role, of the database.
ALLOWED = """
SELECT least(
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0),
    nullif(rolconnlimit, -1), nullif(datconnlimit, -1)
) FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()
"""
SHARING = """
SELECT count(*) FILTER (WHERE host = %s), count(*) FILTER (WHERE host <> %s) FROM processes
WHERE stopped_at IS NULL AND heartbeat_at > clock_timestamp() - interval '10 s'
"""


@dataclass(slots=True)
class HeartbeatGauges:
    """What a heartbeat carries: read by the picture, /metrics and the checks of every process."""

    queue_items: int = 0
    queue_bytes: int = 0
    loop_lag_ms: float = 0.0
    flush_items: int = 0  # that the next flush may take; 0: there is none
    policy_file: str = ""  # digest of SLO_FILE on this machine; '': it was not read, or cannot be used


async def register(connection: AsyncConnection, kind: str, name: str, host: str, pid: int) -> int:
    """A new row; its id. The clocks are compared before anything is stamped."""
    await compare_clocks(connection)
    values = {"kind": kind, "name": name, "host": host, "pid": pid, "version": __version__}
    row = await connection.execute(insert(processes).values(values).returning(processes.c.id))
    return int(row.scalar_one())


async def compare_clocks(connection: AsyncConnection) -> None:
    """Measure how far this machine's clock is from the database's."""
    asked = shared_clock.machine()
    at = (await connection.execute(select(func.extract("epoch", func.clock_timestamp())))).scalar_one()
    shared_clock.offset.measure(asked, shared_clock.machine(), float(at))


async def beat(connection: Connection, process_id: int, gauges: HeartbeatGauges, rss_bytes: int) -> str | None:
    """Say that the process lives, and how it does; one statement, which compares the clocks for the next one.

    The statement_timeout that holds there; None: the process was taken for dead.
    """
    asked = shared_clock.machine()
    row = await connection.execute(
        """
        UPDATE processes SET heartbeat_at = now(), queue_items = %s, queue_bytes = %s, loop_lag_ms = %s, rss_bytes = %s,
            policy_file = %s, clock_ahead_s = %s, flush_items = %s
        WHERE id = %s RETURNING extract(epoch FROM clock_timestamp())::float8,
            current_setting('statement_timeout')
        """,
        (
            gauges.queue_items,
            gauges.queue_bytes,
            gauges.loop_lag_ms,
            rss_bytes,
            gauges.policy_file,
            shared_clock.offset.ahead_s,
            gauges.flush_items,
            process_id,
        ),
    )
    found = await row.fetchone()
    if found is None:
        return None
    shared_clock.offset.measure(asked, shared_clock.machine(), float(found[0]))
    return str(found[1])


async def connections_allowed(connection: Connection) -> int:
    """How many connections the server lets in for our role, beside those that it keeps for superusers."""
    row = await (await connection.execute(ALLOWED)).fetchone()
    assert row is not None, "our own role and database are there"
    return int(row[0])


async def shared_connections(connection: Connection, on_machine: int) -> SharedConnections:
    """What the server lets in, and how many processes share it; here at least `on_machine`, which may be starting."""
    row = await (await connection.execute(SHARING, (HOST, HOST))).fetchone()
    assert row is not None, "an aggregate has one row"
    return SharedConnections(await connections_allowed(connection), max(on_machine, int(row[0])) + int(row[1]))


async def stopped(connection: AsyncConnection, process_id: int) -> None:
    await connection.execute(update(processes).where(processes.c.id == process_id).values(stopped_at=func.now()))
