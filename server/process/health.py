"""GET /health/live and /health/ready, open to strangers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

import msgspec

from server import __version__
from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.ingest.native import counting
from server.process.readiness import Health, Readiness

MEDIA = "application/health+json"


class Alive(msgspec.Struct):
    """The process answers."""

    status: str
    version: str
    counting: Literal["compiled", "python"]  # the code that counts and encodes outcomes: both do the same


class HealthHandler(ApiHandler):
    """What both share: the content type, and that they do not count as traffic."""

    counted = False

    def answer(self, value: object) -> None:
        self.set_header("Content-Type", MEDIA)
        self.write(msgspec.json.encode(value))


class AliveHandler(HealthHandler):
    @operation("Whether the process answers", scope=None, returns=Alive, media=MEDIA)
    async def get(self) -> None:
        self.answer(Alive("pass", __version__, counting()))


class ReadyHandler(HealthHandler):
    @operation(
        "Whether this process can accept outcomes durably: 503 with the same document where it cannot",
        scope=None,
        returns=Health,
        media=MEDIA,
        also=(503,),
    )
    async def get(self) -> None:
        health = await self.readiness().look()
        if health.status == "fail":
            self.set_status(HTTPStatus.SERVICE_UNAVAILABLE)
        self.answer(health)

    def readiness(self) -> Readiness:
        """One for each application, so that strangers share a look."""
        made: Readiness = self.settings.setdefault("readiness", Readiness(self.parts))
        return made


ROUTES: tuple[Route, ...] = (Route("/health/live", AliveHandler), Route("/health/ready", ReadyHandler))
