"""The frame around every page: navigation, how fresh the picture is, and what is degraded."""

from __future__ import annotations

from msgspec import Struct

from dashboard.shared.standing import worst
from server.parts import Parts
from server.picture.picture import OpenIncident
from server.process.degraded import degraded
from server.selfcheck.degrade import Degraded, Look


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
    NavItem("Setup", "/setup", "s", ("setup", "connect")),
)


class Banner(Struct):
    """What is not as it should be with Evenkeel itself. `look`: burning, or degraded; made at `at`, in Unix seconds."""

    look: Look
    name: str  # of the degrade mode
    at: float
    says: str
    kept: str
    do: str


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
        notices=banners(degraded(parts, now), now),
        incidents=picture.incidents if picture else [],
    )


def banners(seen: list[Degraded], at: float) -> list[Banner]:
    """A line each; of what follows from another only that alerts are not evaluated, and nothing to do for that."""
    told = [one for one in seen if not one.follows or one.mode.look == "burning"]
    return [
        Banner(one.mode.look, one.mode.name, at, one.says, *(("", "") if one.follows else (one.kept, one.do)))
        for one in told
    ]
