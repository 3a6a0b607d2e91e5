"""How many items limits have refused lately, for the range of a budget while a service is partial."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from server.live.refusals import refusals
from server.picture import store as picture_store
from server.picture.picture import ServicePicture

LATELY_S = 3600
REREAD_S = 5.0


class Refused:
    """The refused items of the last hour by service, read every few seconds while any service is partial."""

    def __init__(self) -> None:
        self.items: dict[str, int] = {}
        self._read_at = float("-inf")

    async def read(self, connection: AsyncConnection, services: Iterable[ServicePicture], now: float) -> dict[str, int]:
        """By service; empty while nobody is refused."""
        if not any(service.partial for service in services):
            return {}
        if not 0 <= now - self._read_at < REREAD_S:
            rows = await picture_store.intake(connection, now - LATELY_S)
            senders = await picture_store.senders(connection, now - LATELY_S)
            self.items = {name: found.refused_items for name, found in refusals(rows, senders).items()}
            self._read_at = now
        return self.items
