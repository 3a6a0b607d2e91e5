"""The side column of Now: what changed in the last hour, the limits, and Evenkeel itself."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from dashboard.config.page import CONFIG
from dashboard.shared.format import span
from dashboard.shared.memo import Memo
from server.changes import store as changes
from server.changes.store import Change
from server.config.view import ConfigView, SettingView
from server.kernel import shared_clock
from server.parts import Parts
from server.picture.picture import Picture
from server.process.degraded import degraded
from server.selfcheck import store as check_store
from server.selfcheck.degrade import Degraded
from server.selfcheck.findings import CheckResult

HOUR_S = 3600
SHOWN = 5
SILENT_S = 3.0  # without a heartbeat for this long a process is named
GAP_S = 2.5  # a shorter one is an orderly hand-over
TOLD_S = 15 * 60  # as restarts are


class Happened(Struct):
    """`web.1 was restarted`, when (Unix seconds), `it ended without a stop`."""

    what: str
    at: float
    how: str


class Own(Struct):
    """Evenkeel itself. `troubles` are sentences; where there are none, all is well."""

    fine: list[str]  # what was looked at and is well: Database, watch, Redis
    troubles: list[str]
    happened: list[Happened]  # within 15 minutes, and over
    checks: list[CheckResult] | None  # of what runs; None: not readable just now

    @property
    def well(self) -> str:
        """`Database, watch, Redis OK`."""
        text = f"{', '.join(self.fine)} OK"
        return text[:1].upper() + text[1:]

    @property
    def failing(self) -> list[CheckResult]:
        return [check for check in self.checks or () if check.status != "pass"]


class Side(Struct):
    """None where it cannot be read just now."""

    changes: list[Change] | None
    more: int  # changes of the hour beyond those shown
    config: ConfigView | None
    own: Own

    @property
    def limits(self) -> list[SettingView]:
        """Limits changed within a day, or temporary."""
        return [setting for setting in self.config.settings if setting.recent] if self.config else []


async def read_changes(parts: Parts) -> list[Change]:
    async with parts.db.ask() as connection:
        return await changes.recent(connection, shared_clock.now() - HOUR_S, limit=100)


async def read_checks(parts: Parts) -> list[CheckResult]:
    async with parts.db.ask() as connection:
        return await check_store.latest(connection)


CHANGES = Memo(read_changes, kept_s=2)
CHECKS = Memo(read_checks, kept_s=10)


async def side(parts: Parts, picture: Picture | None) -> Side:
    """The column; each part is read at most every few seconds for all who look."""
    revision = parts.settings.revision
    recent = await CHANGES.get(parts, revision)
    return Side(
        changes=None if recent is None else recent[:SHOWN],
        more=max(0, len(recent or ()) - SHOWN),
        config=await CONFIG.get(parts, revision),
        own=own(picture, await CHECKS.get(parts), degraded(parts, shared_clock.now())),
    )


def said_of(part: str, seen: Sequence[Degraded]) -> str:
    """What is said of a part of Evenkeel, `Redis full`; empty where it is well."""
    return next((one.says for one in seen if one.mode.part == part), "")


def own(picture: Picture | None, checks: list[CheckResult] | None, seen: Sequence[Degraded] = ()) -> Own:
    """Who beats and who does not, and what is lost."""
    fine: list[str] = []
    troubles: list[str] = []
    database = said_of("database", seen) or ("" if checks is not None else "Database does not answer")
    (troubles if database else fine).append(database or "Database")
    if picture is None:
        troubles.append("The watch has not begun")
    else:
        watch = said_of("watch", seen)
        (troubles if watch else fine).append(watch or "watch")
        if picture.redis is not None:
            redis = said_of("redis", seen)
            (troubles if redis else fine).append(redis or "Redis")
        silent = [process for process in picture.processes if process.heartbeat_age_s > SILENT_S]
        troubles += [f"{one.name} on {one.host} silent for {span(one.heartbeat_age_s)}" for one in silent]
        web = sum(process.kind == "web" for process in picture.processes) - sum(one.kind == "web" for one in silent)
        fine.append(f"{web} web process{'es' if web != 1 else ''}")
    # What is wrong with Evenkeel's own files is no trouble of production: it stands on Setup.
    running = None if checks is None else [check for check in checks if check.version is None]
    return Own(fine, troubles, happened(picture, shared_clock.now()) if picture else [], running)


def happened(picture: Picture, now: float) -> list[Happened]:
    """What Evenkeel went through: processes that ended without a stop, and when nothing was evaluated."""
    hosts = {one.host for one in picture.processes} | {one.host for one in picture.restarts}
    found, gap = list[Happened](), picture.gap
    if gap is not None and gap.s >= GAP_S and now - gap.at < TOLD_S:
        began = "restarted" if any(one.kind == "watch" for one in picture.restarts) else "took over"
        length = span(round(gap.s)).replace(" ", "\N{NO-BREAK SPACE}")
        found.append(Happened(f"Watch {began}", gap.at, f"alerts were not evaluated for {length}"))
    for one in picture.restarts:
        if one.kind == "watch" and found and found[0].what == "Watch restarted":
            continue
        name = one.name if len(hosts) == 1 else f"{one.name} on {one.host}"
        what = f"{name} was restarted" if one.times == 1 else f"{name} was restarted {one.times} times, lastly"
        found.append(Happened(what, one.at, "it ended without a stop"))
    return found
