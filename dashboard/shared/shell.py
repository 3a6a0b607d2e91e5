"""The frame around every page: navigation, how fresh the picture is, and what is degraded."""

from __future__ import annotations

import time

from msgspec import Struct

from dashboard.shared.standing import worst
from server.parts import Parts
from server.picture.picture import OpenIncident, Picture

STALE_S = 3.0  # a picture older than this is not the present


class NavItem(Struct, frozen=True):
    """One entry of the navigation. `key` follows `g`."""

    name: str
    href: str
    key: str
    pages: tuple[str, ...]  # the pages that stand under it


NAVIGATION = (
    NavItem("Now", "/", "n", ("now", "service", "request")),
    NavItem("Incidents", "/incidents", "i", ("incidents", "incident", "knew", "alerts", "alert")),
    NavItem("Objectives", "/objectives", "o", ("objectives", "objective")),
    NavItem("Changes", "/changes", "c", ("config", "changes", "maintenance")),
    NavItem("Review", "/review", "r", ("review",)),
    NavItem("Setup", "/setup", "s", ("setup",)),
)


class Banner(Struct):
    """A line about Evenkeel itself. `look`: burning, or degraded."""

    look: str
    text: str


class Shell(Struct):
    """What the frame shows. `at` is the picture's time in Unix seconds, `age_s` its age when this was made."""

    at: float | None
    seq: int
    age_s: float | None
    state: str  # the worst state of any service, as a word; empty: not known
    notices: list[Banner]
    incidents: list[OpenIncident]  # open ones, the worst first
    navigation: tuple[NavItem, ...] = NAVIGATION


def shell(parts: Parts, now: float) -> Shell:
    """The frame now."""
    picture = parts.relay.picture
    age_s = parts.relay.age_s(now)
    look = worst(picture)
    return Shell(
        at=picture.at if picture else None,
        seq=picture.seq if picture else 0,
        age_s=age_s,
        state=look.word if look else "",
        notices=notices(picture, age_s) + spooled(parts),
        incidents=picture.incidents if picture else [],
    )


def notices(picture: Picture | None, age_s: float | None) -> list[Banner]:
    """What is not as it should be with Evenkeel itself, worst first."""
    found: list[Banner] = []
    if picture is None or age_s is None:
        found.append(Banner("burning", "No picture yet: the watch has not begun. Alerts are not being evaluated."))
    elif age_s + picture.behind_s > STALE_S:
        found.append(Banner("burning", f"Alerts have not been evaluated for {age_s + picture.behind_s:.0f} s"))
    if picture is not None and picture.redis is False:
        found.append(Banner("degraded", "Redis lost: changes reach processes within 5 s. Nothing is lost."))
    return found


def spooled(parts: Parts) -> list[Banner]:
    """What waits on this machine's disk for the database, and since when."""
    intake = parts.intake
    if intake.spool is not None and intake.spool.refusing and intake.away:
        return [Banner("burning", f"Outcomes are refused: {intake.spool.refusing}")]
    waiting = intake.waiting()
    if waiting.since is None:
        return []
    since = time.strftime("%H:%M:%S UTC", time.gmtime(waiting.since))
    if intake.away:
        away = "Outcomes' database away" if intake.writer.rows_only else "Database away"
        return [Banner("degraded", f"{away}: {waiting.items:,} outcomes wait on this machine's disk since {since}")]
    return [Banner("degraded", f"{waiting.items:,} outcomes of the outage since {since} are being stored")]
