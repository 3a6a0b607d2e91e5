"""SQL of check results. They are kept for `KEPT_DAYS`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from server.selfcheck.findings import CheckResult, Finding
from server.tables.records import check_results

KEPT_DAYS = 7
CURRENT = text("interval '3 hours'")  # the rarest check runs each hour: one without a result is no longer run

COLUMNS = (
    check_results.c.name,
    check_results.c.status,
    check_results.c.at,
    check_results.c.duration_ms,
    check_results.c.findings,
)


async def record(connection: AsyncConnection, result: CheckResult) -> None:
    """Keep one result."""
    values = msgspec.to_builtins(result, builtin_types=(type(result.at),))
    await connection.execute(insert(check_results).values(values))


async def latest(connection: AsyncConnection) -> list[CheckResult]:
    """The newest result of each check that is still run, by name."""
    query = (
        select(*COLUMNS)
        .ext(distinct_on(check_results.c.name))
        .where(check_results.c.at > func.now() - CURRENT)
        .order_by(check_results.c.name, check_results.c.at.desc())
    )
    return results(await connection.execute(query))


async def history(connection: AsyncConnection, name: str, limit: int) -> list[CheckResult]:
    """The results of one check, newest first."""
    query = select(*COLUMNS).where(check_results.c.name == name).order_by(check_results.c.at.desc()).limit(limit)
    return results(await connection.execute(query))


async def forget_old(connection: AsyncConnection) -> int:
    """Delete results older than KEPT_DAYS; how many there were."""
    old = check_results.c.at < func.now() - text(f"interval '{KEPT_DAYS} days'")
    gone = await connection.execute(delete(check_results).where(old))
    return gone.rowcount


def results(rows: Iterable[Any]) -> list[CheckResult]:
    return [
        CheckResult(row.name, row.status, row.at, row.duration_ms, msgspec.convert(row.findings, list[Finding]))
        for row in rows
    ]
