"""SQL of check results. They are kept for `KEPT_DAYS`."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import case, delete, func, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from server.selfcheck.findings import CheckResult
from server.tables.codec import Rows
from server.tables.records import check_results

KEPT_DAYS = 7
# A check without a result for so long is no longer run: the rarest runs each hour, those of files each day.
CURRENT = case(
    (check_results.c.version.is_(None), text("interval '3 hours'")),
    else_=text("interval '26 hours'"),
)

RESULTS = Rows(check_results, CheckResult)


async def record(connection: AsyncConnection, result: CheckResult) -> None:
    """Keep one result."""
    await connection.execute(text(RESULTS.insert()), RESULTS.given([result]))


async def latest(connection: AsyncConnection) -> list[CheckResult]:
    """The newest result of each check that is still run, by name."""
    query = (
        RESULTS.select()
        .ext(distinct_on(check_results.c.name))
        .where(check_results.c.at > func.now() - CURRENT)
        .order_by(check_results.c.name, check_results.c.at.desc())
    )
    return RESULTS.every(await connection.execute(query))


async def has_run(connection: AsyncConnection, name: str, version: str, within_s: float) -> bool:
    """Whether the newest result of a check is of this version and at most `within_s` seconds old."""
    fresh = (check_results.c.version == version) & (check_results.c.at > func.now() - timedelta(seconds=within_s))
    query = select(fresh).where(check_results.c.name == name).order_by(check_results.c.at.desc()).limit(1)
    return bool((await connection.execute(query)).scalar())


async def history(connection: AsyncConnection, name: str, limit: int) -> list[CheckResult]:
    """The results of one check, newest first."""
    query = RESULTS.select().where(check_results.c.name == name).order_by(check_results.c.at.desc()).limit(limit)
    return RESULTS.every(await connection.execute(query))


async def forget_old(connection: AsyncConnection) -> int:
    """Delete results older than KEPT_DAYS; how many there were."""
    old = check_results.c.at < func.now() - text(f"interval '{KEPT_DAYS} days'")
    gone = await connection.execute(delete(check_results).where(old))
    return gone.rowcount
