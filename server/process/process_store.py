"""SQL of the process table."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server import __version__
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


@dataclass(slots=True)
class HeartbeatGauges:
    """What a heartbeat carries: read by the picture, /metrics and the checks of every process."""

    queue_items: int = 0
    queue_bytes: int = 0
    loop_lag_ms: float = 0.0


async def register(connection: AsyncConnection, kind: str, name: str, host: str, pid: int) -> int:
    """A new row; its id."""
    values = {"kind": kind, "name": name, "host": host, "pid": pid, "version": __version__}
    row = await connection.execute(insert(processes).values(values).returning(processes.c.id))
    return int(row.scalar_one())


async def beat(connection: AsyncConnection, process_id: int, gauges: HeartbeatGauges, rss_bytes: int) -> None:
    await connection.execute(
        update(processes)
        .where(processes.c.id == process_id)
        .values(
            heartbeat_at=func.now(),
            queue_items=gauges.queue_items,
            queue_bytes=gauges.queue_bytes,
            loop_lag_ms=gauges.loop_lag_ms,
            rss_bytes=rss_bytes,
        )
    )


async def stopped(connection: AsyncConnection, process_id: int) -> None:
    await connection.execute(update(processes).where(processes.c.id == process_id).values(stopped_at=func.now()))
