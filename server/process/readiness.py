"""Whether this process can accept durably, and how each thing it leans on is.

Only what keeps outcomes from being stored is a failure; the rest is a warning, so
that a router does not take away the page that says what is wrong.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec
import psycopg

from server import __version__
from server.kernel import shared_clock
from server.kernel.database_trouble import trouble_of
from server.kernel.db import POOLER, Database
from server.kernel.text import first_line
from server.kernel.times import InstantText
from server.process import health_store
from server.process.degraded import degraded
from server.process.health_store import DatabaseState
from server.selfcheck.degrade import Degraded

if TYPE_CHECKING:
    from server.parts import Parts

log = logging.getLogger("evenkeel.health")

LIMIT_S = 0.4  # for the database to answer
FRESH_S = 1.0  # asked more often, the last answer is given: health is open to strangers
SILENT_S = 5.0  # a database that was slower than LIMIT_S for so long counts as dead
AUTH_OLD_S = 10.0
STARTING = "The process is starting."
LEASE_OLD_S = 3.0
BEHIND_S = 3.0

Status = Literal["pass", "warn", "fail"]


class HealthPart(msgspec.Struct, rename="camel", omit_defaults=True):
    """One thing that was looked at (draft-inadarei-api-health-check)."""

    status: Status
    observed_value: str | float | bool | None
    time: InstantText
    observed_unit: str = ""
    output: str = ""  # what is wrong
    mode: str = ""  # the degrade mode that this is


class Health(msgspec.Struct, rename="camel"):
    """The answer: the worst of its parts."""

    status: Status
    version: str
    service_id: str
    checks: dict[str, list[HealthPart]]


class Schema(msgspec.Struct):
    """The revisions that this release knows."""

    head: str
    known: frozenset[str]


class Readiness:
    """Looks at most once a second, however often it is asked."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._lock = asyncio.Lock()
        self._health: Health | None = None
        self._looked_at = float("-inf")  # monotonic
        self._answered_at = float("-inf")  # monotonic; when the database last did
        self._schema: Schema | None = None

    async def look(self) -> Health:
        """The state of now, or of at most FRESH_S ago. Takes a few hundred milliseconds at most."""
        async with self._lock:
            if self._health is None or time.monotonic() - self._looked_at > FRESH_S:
                before, self._health = self._health, await self._look()
                self._looked_at = time.monotonic()
                say_if_changed(before, self._health)
            return self._health

    async def _look(self) -> Health:
        if self._schema is None:
            self._schema = await asyncio.to_thread(read_schema)
        began, now = time.monotonic(), rfc3339(shared_clock.now())
        try:
            async with asyncio.timeout(LIMIT_S):
                seen = await health_store.look(self.parts.db)
            self._answered_at = time.monotonic()
            database = database_part(seen, time.monotonic() - began, now)
            found = {
                "database": limited(database, self.parts.db),
                "schema": schema_part(seen.schema, self._schema, now),
            }
            lease_age_s = seen.lease_age_s
        except (psycopg.Error, OSError, TimeoutError) as error:
            silent_s = time.monotonic() - self._answered_at
            found = silent_parts(error, silent_s, now)
            lease_age_s = None
        takes = self.parts.intake.takes
        if takes and found["database"].status == "fail":
            found["database"] = as_spooled(found["database"])
        if self.parts.db.apart is not None:
            found["outcomes"] = await outcomes_part(self.parts.db.apart, self._schema, takes=takes, now=now)
        found["spool"] = spool_part(self.parts, now)
        auth = self.parts.auth
        found["auth"] = auth_part(auth.age_s, auth.sends_s if takes else auth.kept_s, now)
        found["redis"] = HealthPart("pass", "not configured" if self.parts.bus.redis is None else "connected", now)
        found["bus"] = HealthPart("pass", "polling" if self.parts.bus.polls else "listening", now)
        found["watch"] = watch_part(lease_age_s, now, self._behind_s())
        found["queue"] = queue_part(self.parts, now)
        tell_modes(found, degraded(self.parts, shared_clock.now()), now)
        return Health(worst(found), __version__, self.parts.process.label, {name: [p] for name, p in found.items()})

    def _behind_s(self) -> float:
        """For how long a watch that ticks has not evaluated the objectives or the alerts."""
        picture = self.parts.relay.picture
        return picture.behind_s if picture else 0.0


def worst(found: dict[str, HealthPart]) -> Status:
    """The worst status of all."""
    order: tuple[Status, ...] = ("fail", "warn")
    return next((status for status in order if any(part.status == status for part in found.values())), "pass")


def database_part(seen: DatabaseState, seconds: float, now: str) -> HealthPart:
    if seen.read_only:
        return HealthPart(
            "fail",
            round(seconds * 1000, 1),
            now,
            "ms",
            "It takes no writes: a standby?",
            "database_read_only",
        )
    return HealthPart("pass", round(seconds * 1000, 1), now, "ms")


def limited(part: HealthPart, db: Database) -> HealthPart:
    """The same; a warning where limits that were set do not hold: what hangs there then hangs without end."""
    if part.status != "pass" or not db.unlimited:
        return part
    wrong = "; ".join(f"in {road} {what}" for road, what in sorted(db.unlimited.items()))
    return msgspec.structs.replace(part, status="warn", output=f"Limits do not hold: {wrong}. {POOLER}")


def schema_part(at: str | None, schema: Schema, now: str) -> HealthPart:
    """Newer is a warning, so that two versions run side by side and a release can be rolled back without its schema."""
    if at == schema.head:
        return HealthPart("pass", at, now)
    if at is None or at in schema.known:
        wrong = f"Older than this release needs ({schema.head}); run: python -m alembic upgrade head"
        return HealthPart("fail", at, now, output=wrong)
    return HealthPart("warn", at, now, output=f"Newer than this release ({schema.head}) knows.")


def silent_parts(error: BaseException, silent_s: float, now: str) -> dict[str, HealthPart]:
    """Slow for a moment is a warning; refused, or silent for SILENT_S, is a failure."""
    slow = isinstance(error, TimeoutError) and silent_s < SILENT_S
    reason = "It does not answer in time." if isinstance(error, TimeoutError) else first_line(error)[:200]
    status: Status = "warn" if slow else "fail"
    kind = "lost" if isinstance(error, TimeoutError) else trouble_of(error) or "lost"
    since = round(silent_s, 1) if silent_s < float("inf") else None
    return {
        # One late answer is no degrade mode yet: the heartbeat and the flushes say whether it is one.
        "database": HealthPart(status, since, now, "s since it answered", reason, "" if slow else f"database_{kind}"),
        "schema": HealthPart("warn", None, now, output="Not known while the database does not answer."),
    }


def as_spooled(database: HealthPart) -> HealthPart:
    """It is away, and what comes is kept: no router must take this process away."""
    return msgspec.structs.replace(
        database, status="warn", output=f"{database.output} Outcomes go to the spool.".strip()
    )


async def outcomes_part(apart: Database, schema: Schema, *, takes: bool, now: str) -> HealthPart:
    """The outcomes' own database. Away, with a spool: it is no reason to take this process away."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(LIMIT_S):
            seen = await health_store.look(apart)
        part = limited(database_part(seen, time.monotonic() - began, now), apart)
        at = schema_part(seen.schema, schema, now)
        part = part if at.status == "pass" or part.status == "fail" else at
    except (psycopg.Error, OSError, TimeoutError) as error:
        part = HealthPart("fail", None, now, output=first_line(error)[:200])
    return as_spooled(part) if takes and part.status == "fail" else part


def spool_part(parts: Parts, now: str) -> HealthPart:
    """What waits on this machine; none is no fault, a spool that refuses while the database is away is one."""
    intake = parts.intake
    if intake.no_spool:
        return HealthPart("pass", "off", now, output=intake.no_spool)
    waiting = intake.waiting()
    if intake.spool is not None and intake.spool.refusing and intake.away:
        return HealthPart("fail", waiting.items, now, "items", intake.spool.refusing)
    if waiting.since is None:
        return HealthPart("pass", 0, now, "items")
    wrong = f"Outcomes wait on this machine for the database since {rfc3339(waiting.since)}."
    return HealthPart("warn", waiting.items, now, "items", wrong)


def auth_part(age_s: float, kept_s: float, now: str) -> HealthPart:
    if age_s == float("inf"):
        return HealthPart("fail", None, now, "s", "The keys have not been read yet.")
    if age_s > kept_s:
        return HealthPart("fail", round(age_s, 1), now, "s", "The keys were read too long ago to be relied on.")
    if age_s > AUTH_OLD_S:
        return HealthPart("warn", round(age_s, 1), now, "s", "The keys cannot be read; those known still work.")
    return HealthPart("pass", round(age_s, 1), now, "s")


def tell_modes(found: dict[str, HealthPart], modes: Sequence[Degraded], now: str) -> None:
    """Name the degrade modes in the parts that they are of, the worst of each; none of them is well then."""
    for one in reversed(modes):
        part = found.get(one.mode.part) or HealthPart("warn", None, now)
        status: Status = "fail" if part.status == "fail" else "warn"
        value = one.mode.name if part.observed_value in ("connected", "listening") else part.observed_value
        output = part.output if part.status == "fail" and part.output else one.says
        found[one.mode.part] = msgspec.structs.replace(
            part, status=status, observed_value=value, output=output, mode=one.mode.name
        )


def watch_part(lease_age_s: float | None, now: str, behind_s: float = 0.0) -> HealthPart:
    if lease_age_s is None:
        return HealthPart("warn", None, now, "s", "No process holds the lease: nothing is evaluated.")
    if lease_age_s > LEASE_OLD_S:
        return HealthPart(
            "warn", round(lease_age_s, 1), now, "s", "The watch does not renew its lease: nothing is evaluated."
        )
    if behind_s > BEHIND_S:
        wrong = f"The watch has not evaluated the alerts for {behind_s:.0f} s: its log says why."
        return HealthPart("warn", round(behind_s, 1), now, "s", wrong)
    return HealthPart("pass", round(max(lease_age_s, 0.0), 1), now, "s")


def queue_part(parts: Parts, now: str) -> HealthPart:
    items, _ = parts.intake.depth()
    if parts.stopping:
        return HealthPart("fail", items, now, "items", "The process is stopping.")
    if not parts.started:
        return HealthPart("fail", items, now, "items", STARTING)
    ready, observed = parts.intake.ready()
    if not ready:
        return HealthPart("fail", items, now, "items", observed)
    admission = parts.intake.queue.admission
    if admission.reduced:  # as ready as before
        slow = f"Commits take {1000 * admission.commit_s:.0f} ms: at most {admission.items} outcomes go into one."
        return HealthPart("warn", items, now, "items", slow)
    return HealthPart("pass", items, now, "items")


def read_schema() -> Schema:
    """From the files of this release; reads and imports them, so not in the loop."""
    from server.process.migrate import head, known

    return Schema(head(), known())


def say_if_changed(before: Health | None, now: Health) -> None:
    """One log line for each change, not for each look."""
    if before is not None and before.status != now.status:
        wrong = {name: part.output for name, (part,) in now.checks.items() if part.status != "pass"}
        level = logging.INFO if now.status == "pass" else logging.WARNING
        log.log(level, "health is %s", now.status, extra={"fields": wrong})


def rfc3339(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
