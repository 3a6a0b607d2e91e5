"""HTTP of the patterns by which paths become routes."""

from __future__ import annotations

from msgspec import Struct

from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.ingest.routes import template_store
from server.ingest.routes.route_patterns import TOPIC, put
from server.ingest.routes.templates import RoutePattern


class RoutePatternsAsked(Struct, forbid_unknown_fields=True):
    """All patterns that people set for the service: `/shop/:slug`, `/static/*`, `/users/me`, `!/docs/:page`."""

    patterns: list[str]


class RoutePatternsAnswer(Struct):
    """Those of people, then those that were learned, whose `author` is empty."""

    patterns: list[RoutePattern]


class RoutePatternsHandler(ApiHandler):
    """/api/v1/services/{service}/route-patterns"""

    @operation("How paths of a service become routes", scope="read", returns=RoutePatternsAnswer)
    async def get(self, service: str) -> None:
        async with self.parts.db.ask() as connection:
            self.reply(RoutePatternsAnswer(await template_store.of_service(connection, service)))

    @operation(
        "Set how paths of a service become routes",
        scope="act",
        of_service=True,
        body=RoutePatternsAsked,
        returns=RoutePatternsAnswer,
    )
    async def post(self, service: str) -> None:
        """In the place of those that people had set. In force within a second; what was counted before stays."""
        self.for_service(service)
        asked = self.body(RoutePatternsAsked)
        assert self.identity is not None
        async with self.parts.db.act() as connection:
            found = await put(connection, service, asked.patterns, self.identity.actor, self.request_id)
        await self.parts.bus.publish(TOPIC, 0)
        self.reply(RoutePatternsAnswer(found))


ROUTES: tuple[Route, ...] = (Route("/api/v1/services/{service}/route-patterns", RoutePatternsHandler),)
