"""What a drill's service sends: its requests of some seconds, as they are while all is well and while its fault is in.

Nothing is left to chance: what a request is follows from its time, each thing as if drawn independently of the others.
Times are Unix seconds and come in as arguments.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from server.kernel.names import DRILL

PER_SECOND = 30
SURGE_PER_SECOND = 200
IMPORTS_PER_SECOND = 5  # of bad-revision: each a real batch, sent to be taken or refused
IMPORT_ITEMS = 4
CALM_MS, SLOW_MS = 25, 900
ROUTES = (("GET", "/items"), ("POST", "/orders"))
CLIENTS = ("web", "phone", "partner")

Item = dict[str, Any]


def service_of(scenario: str) -> str:
    """`drill:bad-deploy`."""
    return DRILL + scenario


def versions(began: float) -> tuple[str, str]:
    """The version that runs and the one that is deployed: of this drill alone, so that another one tells nothing of
    them."""
    tag = datetime.fromtimestamp(began, UTC).strftime("%m%d.%H%M")
    return f"1.{tag}", f"2.{tag}"


def requests(service: str, version: str, start: float, seconds: int, per_second: int = PER_SECOND) -> Iterator[Item]:
    """Good requests, evenly over the time, on both routes and by three clients."""
    for number in range(seconds * per_second):
        at = start + (number + 0.5) / per_second
        method, route = ROUTES[spread(at, "route") > 0.6]
        yield {
            "service": service,
            "version": version,
            "method": method,
            "route": route,
            "status": 200,
            "duration_ms": CALM_MS + round(10 * spread(at, "ms")),
            "timestamp": round(at * 1000),
            "client": CLIENTS[int(3 * spread(at, "client"))],
        }


def spread(at: float, what: str) -> float:
    """From 0 to 1, as if drawn: of a time and what is decided of it always the same."""
    return int.from_bytes(blake2b(f"{what} {at:.3f}".encode(), digest_size=4).digest()) / 2**32


def decided(item: Item, what: str) -> float:
    """The same of one request."""
    return spread(item["timestamp"] / 1000, what)


def failed(item: Item, status: int, **said: str) -> Item:
    """The same request, failed."""
    return item | {"status": status} | said


def bad_deploy(items: Iterator[Item], version: str) -> Iterator[Item]:
    """Every second request is of the new version, and 30 % of those fail."""
    for item in items:
        if decided(item, "version") < 0.5:
            yield item
        else:
            one = item | {"version": version}
            yield failed(one, 500, error_class="KeyError") if decided(item, "fails") < 0.3 else one


def dependent(items: Iterator[Item], *, slow: bool) -> Iterator[Item]:
    """Every third request waits for payments, the others for the catalog; `slow`: 0.9 s for payments."""
    for item in items:
        pays = decided(item, "dependency") < 1 / 3
        one = item | {"dependency": "payments" if pays else "catalog"}
        yield one | {"duration_ms": SLOW_MS} if pays and slow else one


def outage(items: Iterator[Item]) -> Iterator[Item]:
    """All of them fail, for want of the database."""
    for item in items:
        yield failed(item, 503, error_class="ConnectionRefused", dependency="database")


def surge(service: str, version: str, start: float, seconds: int) -> Iterator[Item]:
    """One client asks for as much as all others together several times over, and more than half of it fails."""
    for item in requests(service, version, start, seconds, SURGE_PER_SECOND):
        one = item | {"client": "crawler"}
        yield failed(one, 503, error_class="Overloaded") if decided(item, "fails") < 0.6 else one


def imported(service: str, version: str, at: float, code: str) -> Item:
    """The outcome of one import: `code` is why its batch was refused, '' where it was taken."""
    item = next(requests(service, version, at, 1, 1)) | {"method": "POST", "route": "/import", "client": "importer"}
    return failed(item, 502, error_class=code) if code else item
