"""Which series an outcome is counted under: names, their caps, and the numbers known here.

Services, routes and versions over their cap are counted under `(other)`. A cap
counts what was active within a day, so that old versions make room for new ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from server.kernel.names import OTHER, OWN

KNOWN_MAX = 50_000  # spellings remembered: a hostile sender must not grow our memory
FRESH_S = 60.0
SERIES_MAX = 5_000  # active series a service, above which its new ones lose version, route and exact status

METHODS = frozenset({
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY", "PURGE",
    "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH",
})  # fmt: skip

Spelling = tuple[str, str | None, str, str, int]  # service, version, route, method, status as sent


class Name(NamedTuple):
    """What identifies a series."""

    service: str
    version: str
    route: str
    method: str
    status: int


@dataclass(frozen=True, slots=True)
class Series:
    """A numbered series."""

    id: int
    name: Name


@dataclass(slots=True)
class Active:
    """What a service has sent within a day."""

    routes: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)
    series: set[Name] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Caps:
    """How many services, and routes and versions a service, are counted under their own name."""

    services: int
    routes: int
    versions: int


class Book:
    """The series known to this process. Times are Unix seconds."""

    def __init__(self, caps: Caps) -> None:
        self.caps = caps
        self.last_id = 0  # series up to here are in `active`
        self.loaded_at = 0.0
        self.active: dict[str, Active] = {}
        self.by_spelling: dict[Spelling, Series] = {}
        self._by_name: dict[Name, Series] = {}

    def load(self, names: Iterable[Name], last_id: int, now: float) -> None:
        """Begin again with what is active now."""
        self.active = {}
        self.by_spelling.clear()
        self._by_name.clear()
        self.last_id = last_id
        self.loaded_at = now
        for name in names:
            self.activate(name)

    def activate(self, name: Name) -> None:
        active = self.active.setdefault(name.service, Active())
        active.routes.add(name.route)
        active.versions.add(name.version)
        active.series.add(name)

    def add(self, series: Series) -> None:
        """A series that was numbered."""
        self.activate(series.name)
        if len(self._by_name) >= KNOWN_MAX:
            self._by_name.clear()
            self.by_spelling.clear()
        self._by_name[series.name] = series
        self.last_id = max(self.last_id, series.id)

    def find(self, spelling: Spelling, now: float) -> Series | None:
        """The series of an outcome as sent; None where the database has to be asked."""
        name = self.named(spelling)
        found = self._by_name.get(name)
        if OTHER in name:  # not remembered by its spelling: room may be made
            return found if now - self.loaded_at < FRESH_S else None
        if found is not None:
            if len(self.by_spelling) >= KNOWN_MAX:
                self.by_spelling.clear()
            self.by_spelling[spelling] = found
        return found

    def named(self, spelling: Spelling) -> Name:
        """The name that an outcome is counted under, within the caps."""
        service, version, route, method, status = spelling
        method = method.upper() if method.upper() in METHODS else OTHER
        active = self.active.get(service)
        if active is None:
            if service != OWN and len(self.active.keys() - {OTHER, OWN}) >= self.caps.services:
                return Name(OTHER, "", OTHER, method, status)
            return Name(service, version or "", route, method, status)
        name = Name(
            service,
            within(version or "", active.versions, self.caps.versions),
            within(route, active.routes, self.caps.routes),
            method,
            status,
        )
        if len(active.series) >= SERIES_MAX and name not in active.series:
            return Name(service, OTHER, OTHER, method, status // 100 * 100)
        return name


def within(name: str, active: set[str], cap: int) -> str:
    """The name, or `(other)` where the cap is reached and it is a new one."""
    return name if name in active or len(active) - (OTHER in active) < cap else OTHER
