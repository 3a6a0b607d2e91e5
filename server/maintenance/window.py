"""A maintenance window: what may be asked of one, and how it stands. Pure rules; times in Unix seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from server.kernel.errors import invalid
from server.kernel.text import clock, span
from server.kernel.times import Instant, utc

MINUTE_S = 60
DAY_S = 86_400
AHEAD_DAYS = 90  # as far as an exclusion reaches
BACK_S = 60.0  # "now" as a person types it, in minutes, is a little ago
SERVICES_MAX = 100
NAMED = 3

WindowState = Literal["planned", "running", "ended", "cancelled"]
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class WindowAsked(Struct, forbid_unknown_fields=True):
    """[start, stop), widened to whole minutes, for `services`; left out: every service that has an objective now.

    `reason`: what is done and why; `expected`: what will be seen of it, such as `checkout answers 503`.
    """

    start: Instant
    stop: Instant
    reason: str
    services: Annotated[list[Name], Meta(max_length=SERVICES_MAX)] = []
    expected: str = ""


class Extension(Struct, forbid_unknown_fields=True):
    """When it ends instead: later than it does, widened to a whole minute."""

    stop: Instant


class MaintenanceWindow(Struct):
    """One window: whole minutes [start, stop), as planned or extended. `ended_by` '': by its time."""

    id: int
    services: list[str]
    start: Instant
    stop: Instant
    reason: str
    expected: str
    author: str
    created_at: Instant
    started_at: Instant | None
    ended_at: Instant | None
    ended_by: str

    @property
    def state(self) -> WindowState:
        """How it stands."""
        if self.ended_at is not None:
            return "cancelled" if self.started_at is None else "ended"
        return "planned" if self.started_at is None else "running"

    @property
    def what(self) -> str:
        """`checkout, payments`, of many the first ones."""
        rest = len(self.services) - NAMED
        return ", ".join(self.services[:NAMED]) + (f" and {rest} more" if rest > 0 else "")

    @property
    def stretch(self) -> str:
        """`2026-11-30 03:00 to 04:00 UTC (1 h)`, with the second date where that is another one."""
        last = self.stop.strftime("%H:%M UTC") if self.start.date() == self.stop.date() else clock(self.stop)
        return f"{self.start.strftime('%Y-%m-%d %H:%M')} to {last} ({span((self.stop - self.start).total_seconds())})"


def whole_minutes(asked: WindowAsked, now: float) -> tuple[datetime, datetime]:
    """What is asked for as whole minutes; ApiError INVALID where it lies back, is empty, or too far ahead."""
    start, stop = floored(asked.start.timestamp()), ceiled(asked.stop.timestamp())
    if asked.stop <= asked.start:
        raise invalid("stop", "is not after `start`. Nothing was planned.")
    if start < floored(now - BACK_S):
        raise invalid("start", "lies in the past: time that is over is taken out of a budget as an exclusion")
    check_end(stop, now)
    return utc(start), utc(stop)


def extended(window: MaintenanceWindow, asked: Extension, now: float) -> datetime:
    """The later end as a whole minute; ApiError INVALID."""
    stop = ceiled(asked.stop.timestamp())
    if stop <= window.stop.timestamp():
        raise invalid("stop", f"is not after {clock(window.stop)}, when it ends now; end it to have it end sooner")
    check_end(stop, now)
    return utc(stop)


def check_end(stop: int, now: float) -> None:
    """ApiError INVALID for an end that is over, or too far ahead."""
    if stop <= now:
        raise invalid("stop", "lies in the past")
    if stop > now + AHEAD_DAYS * DAY_S:
        raise invalid("stop", f"is more than {AHEAD_DAYS} days ahead")


def floored(at: float) -> int:
    """The minute that a time is in."""
    return int(at // MINUTE_S * MINUTE_S)


def ceiled(at: float) -> int:
    """The end of that minute; a whole minute is its own."""
    return int(-(-at // MINUTE_S) * MINUTE_S)


def services_of(asked: Sequence[str], held: Iterable[str]) -> list[str]:
    """The services that are asked for, each once; none given: those that are `held` to an objective."""
    return sorted(set(asked) or set(held))
