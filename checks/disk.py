"""There is room for what comes in."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from checks import store
from checks.check import Check, Surroundings, fail, warn
from server.kernel import shared_clock
from server.process.reserve import AGAIN_FREE, BYTES, MIB, Reserve, reserve_of
from server.selfcheck import forecast_store
from server.selfcheck.findings import Finding
from server.selfcheck.forecast import Forecast

GIB = 1024**3
FAIL_FREE = 0.05
WARN_FREE = 0.15
FAIL_BYTES = GIB // 2
WARN_DAYS, FAIL_DAYS = 14, 1

HINT = "Lower OUTCOME_RETENTION_DAYS, turn INGEST_STORE_OUTCOMES off, or give it a larger disk."


async def run(around: Surroundings) -> list[Finding]:
    """The disk of the embedded database; a database elsewhere has its own alarms, only its size is known here."""
    if around.env is None:
        return []
    now = shared_clock.now()
    async with around.database.ask() as connection:
        size = await store.database_bytes(connection)
        ahead = coming(await forecast_store.forecast(connection, around.database, around.env, now))
    if not around.env.data_dir.is_dir():
        return ahead
    place = around.env.data_dir
    usage = await asyncio.to_thread(shutil.disk_usage, place)
    return [*given_up(reserve_of(around.env), place), *judged(place, usage.total, usage.free, size), *ahead]


def coming(ahead: Forecast) -> list[Finding]:
    """That it will be full, while there is time to do something."""
    days = ahead.full_in_days
    if days is None or days > WARN_DAYS:
        return []
    most = max(ahead.stored, key=lambda one: one.bytes_a_day)
    what = (
        f"Full in {days:.1f} days at the rate of now: {ahead.bytes_a_day / GIB:.2f} GiB a day, "
        f"{most.bytes_a_day / max(ahead.bytes_a_day, 1):.0%} of it {most.what}."
    )
    return [(fail if days < FAIL_DAYS else warn)(what, HINT)]


def given_up(reserve: Reserve, place: Path) -> list[Finding]:
    """That the disk is full, and what is still stored."""
    if not reserve.given_up:
        return []
    what = (
        f"The disk is full: the reserve of {BYTES // MIB} MiB is given up for what people do. Outcomes are refused "
        f"with 503 and log lines are not kept until {AGAIN_FREE // MIB} MiB are free."
    )
    return [fail(what, HINT, str(place))]


def judged(place: Path, total: int, free: int, database: int) -> list[Finding]:
    """Findings from the sizes in bytes."""
    share = free / total
    if share > WARN_FREE:
        return []
    say = fail if share < FAIL_FREE or free < FAIL_BYTES else warn
    what = f"{free / GIB:.1f} GiB are free, {share:.0%}; the database takes {database / GIB:.1f} GiB."
    return [say(what, HINT, str(place))]


CHECK = Check("disk", "There is room for what comes in", needs="database", run=run, every_s=60, limit_s=10)
