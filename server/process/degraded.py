"""Which degrade modes this process sees Evenkeel in, now. It asks nobody: what it takes is known already."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from server.kernel import shared_clock
from server.kernel.database_trouble import Trouble
from server.kernel.names import HOST
from server.kernel.text import plural, span
from server.picture.picture import Picture
from server.selfcheck.degrade import BY_NAME, MODES, Degraded

if TYPE_CHECKING:
    from server.ingest.intake import Intake
    from server.parts import Parts

STALE_S = 3.0  # a picture older than this is not the present
SILENT_S = 5.0  # without a heartbeat for so long a process is told of on every page
SETTLED_S = 5.0
DEAF_S = 3.0  # a connection that is made anew is no trouble
DATED_S = 20 * 3600.0
OFF_S = 1.0  # a clock that is kept by NTP is right to some milliseconds
# Of two troubles the one that says more.
TELLING: tuple[Trouble, ...] = (
    *("old_schema", "disk_full", "no_connections", "read_only", "failing_over", "lost", "slow"),
)


def degraded(parts: Parts, now: float) -> list[Degraded]:
    """The modes, the worst first; `now` is Unix seconds."""
    picture, age_s = parts.relay.picture, parts.relay.age_s(now)
    database = database_trouble(parts)
    found = [
        *unwatched(picture, age_s, follows=database is not None),
        *spooled(parts.intake, database),
        *overloaded(parts.intake, now),
        *([of_database(parts, *database)] if database else []),
        *around(parts, follows=database is not None),
        *silent(picture, age_s),
        *clocks(picture),
    ]
    return sorted(found, key=lambda one: MODES.index(one.mode))


def database_trouble(parts: Parts) -> tuple[Trouble, float] | None:
    """What it is and since when, as the heartbeat and the last flush have found it; None: it works."""
    writer = parts.intake.writer
    seen = [parts.process.database.now(), None if writer.unplaced else writer.trouble.now()]
    troubles = [one for one in seen if one is not None]
    if not troubles:
        return None
    kind = min((kind for kind, _ in troubles), key=TELLING.index)
    return kind, min(since for _, since in troubles)


def of_database(parts: Parts, kind: Trouble, since: float) -> Degraded:
    apart = parts.intake.writer.rows_only and parts.process.database.now() is None  # then it is the other one
    name = "outcomes_lost" if apart else f"database_{kind}"
    return Degraded(BY_NAME[name], {"since": clock(since), "kept": kept(parts.intake)})


def kept(intake: Intake) -> str:
    """What becomes of outcomes while the database is away."""
    if not intake.takes:
        return "What was acknowledged is kept."
    waiting = intake.waiting()
    if not waiting.items:
        return "Outcomes go to this machine's disk. Nothing is lost."
    return f"{wait(waiting.items)} on this machine's disk. Nothing is lost."


def unwatched(picture: Picture | None, age_s: float | None, *, follows: bool) -> Iterator[Degraded]:
    """Alerts that nobody evaluates."""
    if picture is None or age_s is None:
        yield Degraded(BY_NAME["no_picture"], follows=follows)
    elif age_s + picture.behind_s > STALE_S:
        yield Degraded(BY_NAME["watch_lost"], {"for_s": f"{age_s + picture.behind_s:.0f} s"}, follows)


def spooled(intake: Intake, database: tuple[Trouble, float] | None) -> Iterator[Degraded]:
    """What is refused, and what waits."""
    if intake.spool is not None and intake.spool.refusing and intake.away:
        yield Degraded(BY_NAME["spool_refuses"], {"why": intake.spool.refusing})
    if intake.no_spool and database is not None and (database[0] != "slow" or intake.writer.failing):
        yield Degraded(BY_NAME["spool_off"], {"since": clock(database[1]), "why": intake.no_spool})
    waiting = intake.waiting()
    if waiting.since is not None:
        seen = {"items": wait(waiting.items), "since": clock(waiting.since)}
        yield Degraded(BY_NAME["spool_waits"], seen, follows=database is not None)


def overloaded(intake: Intake, now: float) -> Iterator[Degraded]:
    """More comes in than can be taken."""
    since = intake.overload.since(now)
    if since is not None:
        yield Degraded(BY_NAME["overloaded"], {"since": clock(since)})


def around(parts: Parts, *, follows: bool) -> Iterator[Degraded]:
    """Redis and the bus."""
    picture = parts.relay.picture
    trouble = parts.bus.redis_trouble or ("lost" if picture is not None and picture.redis is False else None)
    if trouble is not None:
        yield Degraded(BY_NAME[f"redis_{trouble}"])
    if parts.bus.deaf_s > DEAF_S:
        yield Degraded(BY_NAME["bus_cut"], {"process": parts.process.name}, follows)


def silent(picture: Picture | None, age_s: float | None) -> Iterator[Degraded]:
    """Web processes that are frozen, or gone with their machine; of an old picture nothing is known."""
    if picture is None or age_s is None or age_s > STALE_S:
        return
    if picture.gap is not None and picture.at - picture.gap.at < SETTLED_S:
        return  # after an outage of the database all are silent until they have beaten again
    for one in picture.processes:
        if one.kind == "web" and one.heartbeat_age_s > SILENT_S:
            seen = {"process": f"{one.name} on {one.host}", "name": one.name, "host": one.host}
            yield Degraded(BY_NAME["process_silent"], seen | {"for_s": span(round(one.heartbeat_age_s))})


def clocks(picture: Picture | None) -> Iterator[Degraded]:
    """Machines whose clock is off: this one as it has measured itself, the others as they say."""
    ahead = {one.host: one.clock_ahead_s for one in picture.processes} if picture else {}
    for host, ahead_s in (ahead | {HOST: shared_clock.offset.ahead_s}).items():
        if abs(ahead_s) >= OFF_S:
            off = f"{span(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'} the database's"
            yield Degraded(BY_NAME["clock_off"], {"host": host, "off": off})


def wait(items: int) -> str:
    """`1,204 outcomes wait`."""
    return plural(items, "outcome waits", "outcomes wait")


def clock(at: float) -> str:
    """`02:14:07 UTC`, with its date where that is long ago; pages show it in the viewer's zone."""
    day = "" if abs(shared_clock.now() - at) < DATED_S else "%Y-%m-%d "
    return time.strftime(f"{day}%H:%M:%S UTC", time.gmtime(at))
