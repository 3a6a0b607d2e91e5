"""One service over the live windows.

Ratios are bad / n, from 0 to 1; durations are milliseconds; times are Unix
seconds. `None` means that there is no value: nothing was counted.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class Point(Struct, array_like=True):
    """One second of a service."""

    second: int
    n: int
    bad: int
    p95_ms: float | None


class ServicePart(Struct):
    """One version, route, method or status of a service over the last 60 s."""

    name: str
    n: int
    bad: int
    p95_ms: float | None = None


class RouteVersion(Struct, array_like=True):
    """What one version of a service counted on one route over the last 60 s."""

    route: str  # METHOD /path
    version: str
    n: int
    bad: int


class VersionCount(NamedTuple):
    """What a version counted on one route in one slot. Times are Unix seconds: when the service's newest version was
    first seen, and the newest and the first minute in which anything was counted here."""

    service: str
    newest: str
    first: float
    version: str
    route: str
    slot: int
    n: int
    bad: int
    last: int
    began: int = 0


class LiveService(Struct):
    """One service, live. The window of `n`, `bad`, p50 to p99 and the parts is the last 60 s."""

    name: str
    n: int
    bad: int
    n_5m: int
    bad_5m: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    points: list[Point]  # the last 120 s, oldest first, seconds without outcomes left out
    routes: list[ServicePart]  # worst first (most bad, then most), at most 20, then `(other)`; named `METHOD /path`
    versions: list[ServicePart]  # most first, at most 20
    worst_route: ServicePart | None  # the route with most of the bad ones, where any are bad
    worst_version: ServicePart | None
    last_seen: int | None  # the newest second with an outcome
    usual_per_second: float | None  # over the last 15 min, without the last minute
    silent_s: int | None  # set where it used to send and has stopped (blind)
    accepted_items: int = 0  # offered and taken in the last 60 s
    refused_items: int = 0  # offered and refused by a limit in the last 60 s; where items are unknown, 1 a request
    refused_by: str = ""  # the reason that refused most
    refused_key: str = ""  # the key that was refused most
    last_bad: int | None = None  # the newest second with a bad outcome, while it has traffic
    n_since_bad: int = 0  # outcomes after that second, of the last 15 min at most
    clean_s: int | None = None  # seconds since then without a bad one
    clock_ahead_s: float = 0.0  # of a sender, in the last 60 s; its outcomes are taken as of when they arrive
    clock_ahead_key: str = ""
    last_sent: int | None = None  # the newest second that its senders sent, not a command
    by_route: list[RouteVersion] = []  # of each version where there are several, on the routes that fail most
    refused_requests: int = 0  # of our own, in the last 60 s: refused on purpose, which is no failure
    late_items: int = 0  # arrived in the last 60 s and more than a minute late: counted in their own time
    lost_items: int = 0  # log lines of the last 60 s that its platform has thrown away: some were requests

    @property
    def partial(self) -> bool:
        """Whether its senders are being refused, so that its ratio is a range."""
        return self.refused_items > 0

    @property
    def blind(self) -> bool:
        """Whether it is not known what its requests became: none come that used to, or some were lost on the way."""
        return self.silent_s is not None or self.lost_items > 0
