"""Numbers for series that this process meets for the first time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Protocol

import psycopg

from server.ingest import store
from server.ingest.count import count
from server.ingest.counted import Counted, Unnumbered
from server.ingest.decode import Decoded
from server.ingest.sent import SentBatch
from server.ingest.series import FRESH_S, OURSELVES, Book, Caps, Name, SendingKey, Series, Spelling
from server.kernel.connection import Connection, OwnConnection
from server.kernel.db import Database, local, why_away
from server.kernel.errors import ApiError

LIMIT_S = 5.0
STATEMENT = "3s"
RECOUNTS = 5


class Clock(Protocol):
    """Unix seconds."""

    def __call__(self) -> float: ...


class Numbering:
    """The series of this process, numbered in the table that all processes share."""

    def __init__(self, db: Database, caps: Caps, clock: Clock) -> None:
        self.book = Book(caps)
        self._clock = clock
        self._connection = OwnConnection(db, "series")
        self._alone = asyncio.Lock()

    def find(self, spelling: Spelling, sender: SendingKey = OURSELVES) -> Series | None:
        """The series of an outcome as sent; None: `number` it."""
        return self.book.by_spelling.get(spelling) or self.book.find(spelling, self._clock(), sender)

    async def number(
        self,
        spellings: Iterable[Spelling],
        sender: SendingKey = OURSELVES,
        first: Mapping[Spelling, int] = MappingProxyType({}),
        left_s: Callable[[], float] = lambda: LIMIT_S,
    ) -> None:
        """Make `book.find` know these; `first` is the second of the first outcome of each, where it is not now.

        `left_s`: seconds that the database has for it, asked once it is our turn. Raises ApiError UNAVAILABLE where
        the database is away.
        """
        wanted = set(spellings)
        async with self._alone:
            if all(self.find(spelling, sender) for spelling in wanted):
                return
            try:
                async with self._connection.use(left_s()) as connection:
                    await self._number(connection, wanted, sender, first)
            except (psycopg.Error, OSError) as error:
                self.book.loaded_at = 0.0  # what was thought to be numbered may not be
                raise ApiError(
                    "UNAVAILABLE", f"{why_away(error)} Nothing was stored; send it again.", retry_after=2
                ) from error

    async def _number(
        self, connection: Connection, wanted: set[Spelling], sender: SendingKey, first: Mapping[Spelling, int]
    ) -> None:
        async with connection.transaction():
            await connection.execute(local(connection, statement_timeout=STATEMENT))
            await store.lock_series(connection)
            await self._refresh(connection)
            names: dict[Name, int] = {}
            now = int(self._clock())
            for spelling in wanted:
                name = self.book.named(spelling, sender)
                names[name] = min(names.get(name, now), first.get(spelling, now))
                self.book.activate(name, sender.key_id)  # so that the caps hold within one batch too
            numbered = await store.number_series(connection, names, sender.key_id)
        for series in numbered:
            self.book.add(series, sender.key_id)

    async def _refresh(self, connection: Connection) -> None:
        now = self._clock()
        if now - self.book.loaded_at >= FRESH_S:
            names, last_id = await store.active_series(connection, None)
            self.book.load(names, last_id, await store.senders(connection), now)
            return
        names, self.book.last_id = await store.active_series(connection, self.book.last_id)
        for name, key_id in names:
            self.book.activate(name, key_id)

    def count(self, decoded: Decoded, sent: SentBatch) -> Counted:
        """Count a batch; raises Unnumbered."""
        random = sent.random if sent.keep_rows else None
        return count(
            decoded.outcomes,
            decoded.times,
            partial(self.find, sender=sent.sender),
            random,
            self.book.by_spelling,
            timed=sent.timed,
        )

    async def counted(
        self, decoded: Decoded, sent: SentBatch, left_s: Callable[[], float] = lambda: LIMIT_S
    ) -> Counted:
        """Count a batch, numbering the series that are new; ApiError UNAVAILABLE where that cannot be done."""
        for _ in range(RECOUNTS):
            try:
                return self.count(decoded, sent)
            except Unnumbered as unnumbered:
                await self.number(unnumbered.spellings, sent.sender, unnumbered.spellings, left_s)
        raise ApiError("UNAVAILABLE", "The series of this batch could not be numbered; send it again.", retry_after=1)

    async def close(self) -> None:
        await self._connection.close()
