"""The patterns of routes that are in force in this process, and what it learns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from server.auth.audit_store import audit
from server.ingest.routes import template_store
from server.ingest.routes.templates import NO_PATTERNS, Learner, PathTree, RoutePattern, faults
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.errors import invalid
from server.kernel.loop import Loop
from server.kernel.names import NOT_FOUND
from server.kernel.text import storable

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

TOPIC = "routes"
EVERY_S, LIMIT_S = 30.0, 10.0
PATTERNS_MAX = 200  # of people, of a service
ROW_CHARACTERS = 600  # of four bytes each, an index holds them
WAITING_MAX = 100  # places that are learned, and not stored yet


class LearnedPlace(NamedTuple):
    """A place of a service that taught patterns; its own is the last of them."""

    service: str
    pattern: str


class RoutePatterns:
    """Routes of paths, the same in every process. `counted`: whether a service has a route already."""

    def __init__(self, db: Database, bus: Bus, counted: Callable[[str, str], bool]) -> None:
        self.db = db
        self.bus = bus
        self.counted = counted
        self._trees: dict[str, PathTree] = {}
        self._learner = Learner()
        self._learned: dict[LearnedPlace, list[str]] = {}  # and not stored yet: an outage may last
        self._loop = Loop("reading the patterns of routes", self._look, EVERY_S, limit_s=LIMIT_S)

    def route(self, service: str, target: str, status: int) -> str:
        """The route of a path or URL of a service that was answered so.

        What was not found has one only where the service is known to have it: strangers try thousands of paths.
        """
        found = self._trees.get(service, NO_PATTERNS).route(target)
        if status == 404:
            return found.route if self.counted(service, found.route) else NOT_FOUND
        patterns = self._learner.saw(service, found)
        if patterns:
            self._keep(LearnedPlace(service, patterns[-1]), patterns)
        return found.route

    def _keep(self, place: LearnedPlace, patterns: list[str]) -> None:
        """Store it with the next look. What no database holds would keep all others from being stored."""
        rows = [place.service + pattern for pattern in patterns]
        held = all(len(row) <= ROW_CHARACTERS and storable(row) == row for row in rows)
        if held and place not in self._learned and len(self._learned) < WAITING_MAX:
            self._learned[place] = patterns
            self._loop.wake()

    async def start(self) -> None:
        """Read them, and follow them from now on."""
        await self._look()
        self.bus.subscribe(TOPIC, self._loop.wake)
        self._loop.start()

    async def _look(self) -> None:
        """Store what was learned, and read what is in force."""
        learned, new = dict(self._learned), False
        async with self.db.act() as connection:
            for place, patterns in learned.items():
                new |= await template_store.learn(connection, place.service, patterns)
            found = await template_store.every(connection)
        for place in learned:
            del self._learned[place]
        self._take(found)
        if new:
            await self.bus.publish(TOPIC, 0)

    def _take(self, found: Sequence[RoutePattern]) -> None:
        by_service: dict[str, list[tuple[str, bool]]] = {}
        for one in found:
            by_service.setdefault(one.service, []).append((one.pattern, not one.author))
        self._trees = {service: PathTree(patterns) for service, patterns in by_service.items()}

    async def close(self) -> None:
        await self._loop.close()


async def put(
    connection: AsyncConnection, service: str, patterns: Sequence[str], actor: str, request_id: str
) -> list[RoutePattern]:
    """Make these a service's patterns of people, with the audit entry; all that are in force. ApiError INVALID."""
    if len(patterns) > PATTERNS_MAX:
        raise invalid("patterns", f"are at most {PATTERNS_MAX}")
    wrong = faults(patterns)
    if wrong is not None:
        raise invalid(f"patterns[{wrong[0]}]", wrong[1])
    before = [one.pattern for one in await template_store.of_service(connection, service) if one.author]
    await template_store.put(connection, service, patterns, actor)
    await audit(connection, actor, "route_patterns.put", service, before, list(patterns), request_id)
    return await template_store.of_service(connection, service)
