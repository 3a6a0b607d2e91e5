"""There is room for what comes in."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from checks import store
from checks.check import Check, Surroundings, fail, warn
from server.selfcheck.findings import Finding

GIB = 1024**3
FAIL_FREE = 0.05
WARN_FREE = 0.15
FAIL_BYTES = GIB // 2


async def run(around: Surroundings) -> list[Finding]:
    """The disk of the embedded database; a database elsewhere has its own alarms, only its size is known here."""
    async with around.database.ask() as connection:
        size = await store.database_bytes(connection)
    if around.env is None or not around.env.data_dir.is_dir():
        return []
    place = around.env.data_dir
    usage = await asyncio.to_thread(shutil.disk_usage, place)
    return judged(place, usage.total, usage.free, size)


def judged(place: Path, total: int, free: int, database: int) -> list[Finding]:
    """Findings from the sizes in bytes."""
    share = free / total
    if share > WARN_FREE:
        return []
    say = fail if share < FAIL_FREE or free < FAIL_BYTES else warn
    hint = "Lower OUTCOME_RETENTION_DAYS, turn INGEST_STORE_OUTCOMES off, or give it a larger disk."
    what = f"{free / GIB:.1f} GiB are free, {share:.0%}; the database takes {database / GIB:.1f} GiB."
    return [say(what, hint, str(place))]


CHECK = Check("disk", "There is room for what comes in", needs="database", run=run, every_s=60, limit_s=10)
