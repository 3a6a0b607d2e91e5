"""Simulated faults: traffic of a service with what usually fails in it, and one fault whose cause is known."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from server.incidents.suspects import Combination, Compared, Row, Values

DIMENSIONS = ("route", "version", "client", "instance", "method", "key", "revision")
MARKS = ("dependency", "error class", "status")
KINDS = ("version", "version on a route", "dependency", "client", "instance", "revision", "slow route")


class Fault(NamedTuple):
    """What was counted, and the values of its cause by dimension."""

    kind: str
    compared: Compared
    cause: dict[str, str]


class Service:
    """How a service's requests come about: shares by rank, instances of one version each, some routes worse."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.routes = [f"/r{i}" for i in range(chance.randint(3, 15))]
        self.clients = [f"c{i}" for i in range(chance.randint(3, 30))]
        self.instances = [f"web.{i}" for i in range(chance.randint(2, 8))]
        self.keys = [f"k{i}" for i in range(chance.randint(1, 3))]
        self.methods = {route: chance.choice(("GET", "GET", "POST")) for route in self.routes}
        self.usual = {route: chance.choice((0.0005, 0.001, 0.005, 0.02)) for route in self.routes}
        self.dependencies = {route: chance.choice(("db", "db", "stripe", "search", "")) for route in self.routes}
        self.weights = {name: [1 / (i + 1) for i in range(len(getattr(self, name)))] for name in ("routes", "clients")}

    def request(self) -> dict[str, str]:
        route = self.chance.choices(self.routes, self.weights["routes"])[0]
        return {
            "route": route,
            "client": self.chance.choices(self.clients, self.weights["clients"])[0],
            "instance": self.chance.choice(self.instances),
            "key": self.chance.choice(self.keys),
            "method": self.methods[route],
            "version": "v1",
            "revision": "r1",
        }

    def marks(self, said: dict[str, str], error: str = "") -> Values:
        """What a failure says; `error` where it is the fault's."""
        usual = self.chance.choice(("Timeout", "ValueError", "DatabaseError"))
        status = self.chance.choice(("500", "500", "502", "503"))
        return (self.dependencies[said["route"]], error or usual, "500" if error else status)


def fault(kind: str, seed: int, most: int = 10_000) -> Fault:
    """One fault of a kind: 300 to `most` requests since its onset, three times as many before."""
    chance = random.Random(f"{kind} {seed}")
    service = Service(chance)
    changed, cause = MAKE[kind](service)
    p = 10 ** chance.uniform(-1.5, 0)  # of the requests that it hits
    before, now = Counter[Counted](), Counter[Counted]()
    n = int(300 * (most / 300) ** chance.random())
    for at in range(n * 4):
        said = service.request()
        hit = changed(said, at >= n * 3)
        usual = chance.random() < service.usual[said["route"]]
        bad = usual or (at >= n * 3 and hit and chance.random() < p)
        marks = service.marks(said, "" if usual else ERRORS[kind]) if bad else ()
        if kind == "dependency" and bad and not usual:
            marks = (cause["dependency"], *marks[1:])
        (now if at >= n * 3 else before)[tuple(said[name] for name in DIMENSIONS), marks, bad] += 1
    return Fault(kind, Compared(rows(now), rows(before)), cause)


Counted = tuple[Values, Values, bool]


def rows(counted: Counter[Counted]) -> list[Row]:
    return [Row(values, n, n if bad else 0, marks or ("",) * 3) for (values, marks, bad), n in counted.items()]


Changed = Callable[[dict[str, str], bool], bool]  # changes a request, after the onset or before; whether it is hit


def version(service: Service) -> tuple[Changed, dict[str, str]]:
    """A new version on a share of the instances, from the onset on."""
    new = set(service.instances[: max(1, int(len(service.instances) * service.chance.uniform(0.1, 1)))])

    def changed(said: dict[str, str], after: bool) -> bool:
        said["version"] = "v2" if after and said["instance"] in new else "v1"
        return said["version"] == "v2"

    return changed, {"version": "v2"}


def version_on_route(service: Service) -> tuple[Changed, dict[str, str]]:
    """A new version that fails on one route."""
    route = service.chance.choice(service.routes[:3])
    deploy, cause = version(service)
    return lambda said, after: deploy(said, after) and said["route"] == route, cause | {"route": route}


def dependency(service: Service) -> tuple[Changed, dict[str, str]]:
    """A dependency that at least three routes call."""
    broken = "stripe"
    using = set(service.chance.sample(service.routes, service.chance.randint(3, len(service.routes))))
    for route in service.routes:
        if (service.dependencies[route] == broken) is not (route in using):
            service.dependencies[route] = broken if route in using else "db"
    return lambda said, after: said["route"] in using, {"dependency": broken}


def revision(service: Service) -> tuple[Changed, dict[str, str]]:
    """A revision that is in force everywhere from the onset on."""

    def changed(said: dict[str, str], after: bool) -> bool:
        said["revision"] = "r2" if after else "r1"
        return after

    return changed, {"revision": "r2"}


def one(name: str) -> Callable[[Service], tuple[Changed, dict[str, str]]]:
    """One value of a dimension, not of the rarest."""

    def make(service: Service) -> tuple[Changed, dict[str, str]]:
        values = getattr(service, name + "s")
        value = service.chance.choice(values[: max(2, len(values) // 2)])
        return lambda said, after: said[name] == value, {name: value}

    return make


MAKE: dict[str, Callable[[Service], tuple[Changed, dict[str, str]]]] = {
    "version": version,
    "version on a route": version_on_route,
    "dependency": dependency,
    "client": one("client"),
    "instance": one("instance"),
    "revision": revision,
    "slow route": one("route"),
}
ERRORS = {
    "version": "NullPointer",
    "version on a route": "KeyError",
    "dependency": "UpstreamTimeout",
    "client": "ValueError",
    "instance": "OSError",
    "revision": "TooLarge",
    "slow route": "",
}


def named(combination: Combination) -> dict[str, str]:
    """A combination's values by dimension."""
    return {(DIMENSIONS + MARKS)[place]: value for place, value in combination}


def right(fault: Fault, combination: Combination) -> bool:
    """Whether a combination names the cause, and beside it nothing but marks, which all its failures have."""
    said = named(combination)
    beside = set(said) - set(fault.cause)
    return fault.cause.items() <= said.items() and beside <= set(MARKS)
