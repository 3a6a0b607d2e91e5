"""A glance: many questions in one statement, most of which find nothing.

The watch looks after much that seldom happens. A transaction for each costs it, and the
database, some twenty times as much as a part of one statement.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from server.kernel.connection import OwnConnection
from server.kernel.db import AWAY, Database
from server.process import watch_store as store

LOOK_S = 1.5


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


class Presence:
    """What the last glance found, for those who then need not ask for what is not there.

    Nothing is known before it, after it has failed, and without one: then all is asked, as if there were none.
    """

    def __init__(
        self,
        glance: Glance | None = None,
        asked: Mapping[str, str] | None = None,
        given: Callable[[float], Mapping[str, object]] = lambda _: {},
    ) -> None:
        """`asked`: expressions in SQL by name; `given` answers what they depend on at a time, Unix seconds."""
        self.found: Mapping[str, Any] = {}
        self._glance = glance
        self._asked = asked or {}
        self._given = given

    async def look(self, now: float) -> None:
        """See what there is. Where that cannot be asked, nothing is known."""
        self.found = {}
        if self._glance is not None:
            with contextlib.suppress(*AWAY):
                self.found = await self._glance.look(self._asked, self._given(now), LOOK_S)

    def forget(self) -> None:
        """It is of a moment ago."""
        self.found = {}

    def nothing(self, name: str) -> bool:
        """Whether it is known that there is none."""
        return self.found.get(name) is False

    def mark(self, *names: str) -> tuple[Any, ...] | None:
        """What tells two states of these apart; None: not known."""
        return tuple(self.found[name] for name in names) if self.found else None
