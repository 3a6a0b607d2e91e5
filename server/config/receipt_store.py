"""SQL of receipts: which process has applied which revision, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select, text, true
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from server.config.receipts import WebProcess
from server.process.process_store import RUNNING
from server.tables.config import receipts
from server.tables.processes import processes

LISTED_S = 3600  # a process that has gone is told of for an hour


async def write(
    connection: AsyncConnection, process_id: int, revision: int, applied_s_ago: float, applied: Mapping[str, Any]
) -> None:
    """A process's proof. `applied_s_ago`: how long it has been in force there."""
    at = func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, applied_s_ago)
    values = {"process_id": process_id, "revision": revision, "applied_at": at, "applied": dict(applied)}
    again = {"applied_at": at, "applied": dict(applied)}  # it was in force here before: a process no longer chosen
    key = [receipts.c.process_id, receipts.c.revision]
    await connection.execute(upsert(receipts).values(values).on_conflict_do_update(index_elements=key, set_=again))


async def web_processes(connection: AsyncConnection) -> list[WebProcess]:
    """The web processes that run or have gone silent, each with its newest receipt, oldest start first."""
    newest = (
        select(receipts)
        .where(receipts.c.process_id == processes.c.id)
        .order_by(receipts.c.applied_at.desc(), receipts.c.revision.desc())
        .limit(1)
        .lateral("newest")
    )
    silent = func.extract("epoch", func.clock_timestamp() - processes.c.heartbeat_at)
    found = (
        select(
            processes.c.id,
            processes.c.host,
            processes.c.name,
            func.extract("epoch", processes.c.started_at).label("started_at"),
            silent.label("silent_s"),
            newest.c.revision,
            func.extract("epoch", newest.c.applied_at).label("applied_at"),
            newest.c.applied,
        )
        .select_from(processes.outerjoin(newest, true()))
        .where(processes.c.kind == "web", text(RUNNING), silent < LISTED_S)
        .order_by(processes.c.host, processes.c.name, processes.c.id)
    )
    return [
        WebProcess(
            row.id,
            row.host,
            row.name,
            float(row.started_at),
            float(row.silent_s),
            row.revision,
            None if row.applied_at is None else float(row.applied_at),
            row.applied or {},
        )
        for row in await connection.execute(found)
    ]
