"""What the addresses of telemetry share: OTLP, drains, log lines."""

from __future__ import annotations

from msgspec import Struct

from server.http.body import Coding, Room, declared
from server.http.handler import ApiHandler
from server.kernel.errors import ApiError


class DrainAsked(Struct):
    """`service`: whose lines these are; left out, it is the only one of the key, or what the lines name."""

    service: str = ""


class TelemetryHandler(ApiHandler):
    """Large bodies have a room of their own, come with the key in any form, and wait for their turn."""

    codings: tuple[Coding, ...] = ("identity", "gzip", "deflate")
    first = False
    basic = True
    settled = False  # what becomes of this request is counted elsewhere

    async def admit(self) -> None:
        """A known sender, and time for what it sends."""
        await super().admit()
        self.parts.intake.turns.require()

    @property
    def room(self) -> Room:
        return self.parts.telemetry

    def service_of(self, named: str) -> str:
        """Whose lines these are: as the address says, or of the key's only service; '' where the lines say it."""
        assert self.identity is not None
        only = next(iter(self.identity.services)) if len(self.identity.services) == 1 else ""
        return named or only

    def count_refusal(self, error: ApiError) -> None:
        """Count a request that was refused before anything of it was taken in; an address that is none has no
        sender."""
        if self.request.method != "POST" or self.settled or error.code == "NOT_FOUND":
            return
        key_id = self.identity.key_id if self.identity else 0
        size = self.received or declared(self.request.headers.get("Content-Length", ""))
        self.parts.intake.refused(key_id, None, error.code, None, size)
