"""The spool has room on its disk, and what is in it goes on into the database."""

from __future__ import annotations

import asyncio
import shutil

from checks.check import Check, Surroundings, fail, note, warn
from server.ingest.spool.spool_place import SpoolWaiting, no_spool, root_of, waiting_on_machine
from server.kernel import shared_clock
from server.kernel.settings import Environment
from server.process.reserve import AGAIN_FREE, MIB, reserve_of
from server.selfcheck.findings import Finding

LATE_S = 120.0  # so long after the database is back a spool may still wait

ROOM = "Give it a larger disk, or set SPOOL_MAX_BYTES lower; SPOOL=off refuses outcomes while the database is away."
LASTING = "Put DATA_DIR on a volume that lasts, or set SPOOL=on where losing it is acceptable."
ASIDE = "The log says why. Move a file up one directory to try it again, or remove it."
WAITS = "The log says why it is not replayed. Without a web process on this machine nobody does: start one."


async def run(around: Surroundings) -> list[Finding]:
    """The spool of this machine. The database answers, or this check would not run."""
    if around.env is None:
        return []
    async with around.database.ask():
        pass
    return await asyncio.to_thread(look, around.env)


def look(env: Environment) -> list[Finding]:
    """What is to be said of it now."""
    root = root_of(env)
    why = no_spool(env)
    waiting = waiting_on_machine(root)
    found = judged(waiting, shared_clock.now(), str(root))
    if why:
        return found if env.spool == "off" else [note(f"Outcomes are not spooled here. {why}", LASTING), *found]
    place = env.data_dir if env.data_dir.is_dir() else env.data_dir.parent
    free = shutil.disk_usage(place).free if place.is_dir() else 0
    kept_free = AGAIN_FREE if reserve_of(env).path is not None else 0
    return [*room(free - kept_free, env.spool_max_bytes - waiting.bytes, str(root)), *found]


def room(free: int, wanted: int, where: str) -> list[Finding]:
    """Whether as much fits on the disk as may be spooled, in bytes."""
    if free >= wanted:
        return []
    what = f"The spool may take {max(0, wanted) // MIB:,} MiB more, its disk has room for {max(0, free) // MIB:,} MiB."
    return [warn(what, ROOM, where)]


def judged(waiting: SpoolWaiting, now: float, where: str) -> list[Finding]:
    """What waits too long, and what could not be replayed; `now` in Unix seconds."""
    found = []
    if waiting.since is not None and now - waiting.since > LATE_S:
        what = f"{waiting.items:,} outcomes wait for {now - waiting.since:.0f} s, though the database answers."
        found.append(warn(what, WAITS, where))
    if waiting.aside:
        found.append(
            fail(f"Spooled outcomes could not be replayed: {waiting.aside} files are put aside.", ASIDE, where)
        )
    return found


CHECK = Check(
    "spool",
    "Outcomes have room on the disk while the database is away",
    needs="database",
    run=run,
    every_s=60,
    limit_s=10,
)
