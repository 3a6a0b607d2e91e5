"""A glance: many questions in one statement, most of which find nothing.

The watch looks after much that seldom happens. A transaction for each costs it, and the
database, some twenty times as much as a part of one statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.kernel.connection import OwnConnection
from server.kernel.db import Database
from server.process import watch_store as store


class Glance:
    """Asks on a connection of its own."""

    def __init__(self, db: Database, purpose: str) -> None:
        self._connection = OwnConnection(db, purpose)

    async def look(self, asked: Mapping[str, str], given: Mapping[str, object], limit_s: float) -> dict[str, Any]:
        """The value of each expression in SQL by its name, all of one snapshot; `given` is what they name.

        Raises psycopg.Error, OSError or TimeoutError where the database does not answer within `limit_s` seconds.
        """
        async with self._connection.use(limit_s) as connection:
            return dict(zip(asked, await store.values(connection, asked.values(), given), strict=True))

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()
