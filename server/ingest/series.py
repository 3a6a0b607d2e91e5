"""Which series an outcome is counted under: names, their caps, and the numbers known here.

Services, routes and versions over their cap are counted under `(other)`. A cap
counts what was active within a day, so that old versions make room for new ones. Of
half of each cap every sending key has an equal share, also when others have filled it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
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


class SendingKey(NamedTuple):
    """Who sends: the id of a key, 0 for ourselves and for what came before keys were kept; `bound`: it may send only
    services that it was given, so that those have names of their own."""

    key_id: int = 0
    bound: bool = False


OURSELVES = SendingKey()


class Names:
    """Names in use, each with the key that brought it. `(other)` is none."""

    def __init__(self) -> None:
        self._by: dict[Hashable, int] = {}
        self._held: Counter[int] = Counter()

    def add(self, name: Hashable, key_id: int) -> None:
        """The key brings a name; one in use stays its bringer's."""
        if name != OTHER and name not in self._by:
            self._by[name] = key_id
            self._held[key_id] += 1

    def takes(self, name: Hashable, key_id: int, cap: int, senders: int) -> bool:
        """Whether a key may use it: it is in use, there is room, or the key has less than its share."""
        if name in self._by or len(self._by) < cap:
            return True
        return self._held[key_id] < max(1, cap // (2 * max(1, senders)))

    def __contains__(self, name: Hashable) -> bool:
        return name in self._by

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._by)


@dataclass(slots=True)
class Active:
    """What a service has sent within a day."""

    routes: Names = field(default_factory=Names)
    versions: Names = field(default_factory=Names)
    series: Names = field(default_factory=Names)


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
        self.senders = 1  # keys that may send
        self.services = Names()  # without our own
        self.active: dict[str, Active] = {}
        self.by_spelling: dict[Spelling, Series] = {}
        self._by_name: dict[Name, Series] = {}

    def load(self, names: Iterable[tuple[Name, int]], last_id: int, senders: int, now: float) -> None:
        """Begin again with what is active now: each name with the key that brought it, the oldest first."""
        self.senders = senders
        self.services = Names()
        self.active = {}
        self.by_spelling.clear()
        self._by_name.clear()
        self.last_id = last_id
        self.loaded_at = now
        for name, key_id in names:
            self.activate(name, key_id)

    def activate(self, name: Name, key_id: int) -> None:
        if name.service != OWN:
            self.services.add(name.service, key_id)
        active = self.active.setdefault(name.service, Active())
        active.routes.add(name.route, key_id)
        active.versions.add(name.version, key_id)
        active.series.add(name, key_id)

    def counts(self, service: str, route: str) -> bool:
        """Whether a service has a route of that name."""
        active = self.active.get(service)
        return active is not None and route in active.routes

    def add(self, series: Series, key_id: int = 0) -> None:
        """A series that was numbered."""
        self.activate(series.name, key_id)
        if len(self._by_name) >= KNOWN_MAX:
            self._by_name.clear()
            self.by_spelling.clear()
        self._by_name[series.name] = series
        self.last_id = max(self.last_id, series.id)

    def find(self, spelling: Spelling, now: float, sender: SendingKey = OURSELVES) -> Series | None:
        """The series of an outcome as sent; None where the database has to be asked."""
        name = self.named(spelling, sender)
        found = self._by_name.get(name)
        if OTHER in name:  # not remembered by its spelling: room may be made
            return found if now - self.loaded_at < FRESH_S else None
        if found is not None:
            if len(self.by_spelling) >= KNOWN_MAX:
                self.by_spelling.clear()
            self.by_spelling[spelling] = found
        return found

    def named(self, spelling: Spelling, sender: SendingKey = OURSELVES) -> Name:
        """The name that an outcome is counted under, within the caps."""
        service, version, route, method, status = spelling
        key_id, senders = sender.key_id, self.senders
        method = method.upper() if method.upper() in METHODS else OTHER
        active = self.active.get(service)
        if active is None:
            named = service == OWN or sender.bound or self.services.takes(service, key_id, self.caps.services, senders)
            return (
                Name(service, version or "", route, method, status) if named else Name(OTHER, "", OTHER, method, status)
            )
        name = Name(
            service,
            version or "" if active.versions.takes(version or "", key_id, self.caps.versions, senders) else OTHER,
            route if active.routes.takes(route, key_id, self.caps.routes, senders) else OTHER,
            method,
            status,
        )
        if not active.series.takes(name, key_id, SERIES_MAX, senders):
            return Name(service, OTHER, OTHER, method, status // 100 * 100)
        return name
