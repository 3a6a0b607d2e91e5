"""One partition of outcomes and one of log lines a UTC day: made days ahead, dropped when all of it is too old."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TypeVar

from psycopg.errors import DeadlockDetected, LockNotAvailable

from server.ingest import partition_store as store
from server.kernel import shared_clock
from server.kernel.connection import Connection, opened
from server.kernel.db import WORK, Database
from server.kernel.settings import Environment
from server.tables.lines import LINE_RANGE_PAGES
from server.tables.outcomes import RANGE_PAGES

DAYS_AHEAD = 3
SUMMARISE_EVERY_S = 10.0
OPEN_PAGES = 256  # at the end of a partition: writers fill the pages that PostgreSQL adds by the dozen
LATE_S = 3600  # an outcome taken just inside the retention may be stored this much later

PAUSES_S = (0.1, 0.3, 1.0, 3.0)

T = TypeVar("T")

NAME = re.compile(r"(?:outcomes|service_lines)_(\d{4})(\d{2})(\d{2})")
INDEXES = (  # those of ids, with the pages of one filter
    *((name, RANGE_PAGES) for name in store.INDEXED),
    ("service_lines_request_ids", LINE_RANGE_PAGES),
    ("service_lines_trace_ids", LINE_RANGE_PAGES),
)


def name_of(day: date, table: str = store.OUTCOMES) -> str:
    return f"{table}_{day:%Y%m%d}"


def day_of(name: str) -> date | None:
    """The day of a partition; None where the name is not one of ours."""
    found = NAME.fullmatch(name)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def wanted_days(now: float, retention_days: int) -> list[date]:
    """The days that outcomes may fall in, and some ahead."""
    today = datetime.fromtimestamp(now, UTC).date()
    return [today + timedelta(days=n) for n in range(-retention_days, DAYS_AHEAD + 1)]


def is_over(day: date, now: float, retention_days: int) -> bool:
    """Whether no outcome of that day is kept any more."""
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    return end.timestamp() + retention_days * 86_400 + LATE_S < now


def days_ahead(names: list[str], now: float) -> int:
    """How many whole days after today have a partition, without a gap; -1 where today has none."""
    today = datetime.fromtimestamp(now, UTC).date()
    days = {day_of(name) for name in names}
    ahead = -1
    while today + timedelta(days=ahead + 1) in days:
        ahead += 1
    return ahead


def line_days(hours: int) -> int:
    """How many whole days partitions of log lines are kept, so that none goes before its hours."""
    return -(-hours // 24)


async def ensure_all(db: Database, now: float, env: Environment) -> None:
    """Make what is missing of outcomes and of log lines. `now` in Unix seconds."""
    await ensure_partitions(db, now, env.outcome_retention_days)
    await ensure_partitions(db, now, line_days(env.log_retention_hours), store.LINES)


async def ensure_partitions(db: Database, now: float, retention_days: int, table: str = store.OUTCOMES) -> list[str]:
    """Make what is missing; the names made. `now` in Unix seconds."""
    async with opened(db, "partitions", **WORK) as connection:
        there = {partition.name for partition in await store.partitions(connection, table)}
        if not there and table == store.OUTCOMES:
            await store.drop_earlier_index(connection)
        days = {name_of(day, table): day for day in wanted_days(now, retention_days)}
        missing = [name for name in days if name not in there]
        return [name for name in missing if await again(partial(store.make, connection, table, name, days[name]))]


async def index_request_ids(db: Database) -> bool:
    """Give the partitions of earlier versions the indexes of ids, then drop the one that they had.

    False where somebody reads on and on, so that it cannot be dropped without holding ingest up: try again later.
    """
    async with opened(db, "partitions", **WORK) as connection:
        for index in store.INDEXED:
            for name in await store.unindexed(connection, index):
                await store.index(connection, name, index)
        if not await store.has_earlier_index(connection):
            return True
        return await store.drop_earlier_index(connection)


class RequestIds:
    """Makes the filters of ids as outcomes and lines come, so that a look-up reads few pages that have none.

    PostgreSQL does that itself (autosummarize), once a minute and for the newest 256 ranges: too late after a burst.
    """

    def __init__(self, db: Database) -> None:
        self.db = db
        self._made: dict[str, int] = {}  # by index: the page up to which there are filters
        self._pages: dict[str, int] = {}  # as it was when it was looked at last

    async def run(self, term: int) -> None:
        """As a job of the watch."""
        await self.summarise(shared_clock.now())

    async def summarise(self, now: float) -> int:
        """Make what is missing; how many ranges of pages that were. `now` in Unix seconds."""
        today = datetime.fromtimestamp(now, UTC).date()
        async with opened(self.db, "request ids", **WORK) as connection:
            return sum([await self._summarise(connection, today, *index) for index in INDEXES])

    async def _summarise(self, connection: Connection, today: date, of: str, of_one: int) -> int:
        """One index, a filter of which is of so many pages."""
        ranges = 0
        for table, index, pages in await store.blocks(connection, of):
            settled = (day_of(table) or today) < today and self._pages.get(index) == pages
            self._pages[index] = pages
            # Pages that are still being filled wait: each row in a range with a filter would log the filter. Of a
            # day that is over none do: a look-up reads what has no filter, of every day.
            last = pages if settled else max(0, pages - OPEN_PAGES) // of_one * of_one
            made = self._made.get(index, 0)
            first = made // of_one * of_one
            if made < last and await store.summarise(connection, index, first, last, of_one):
                ranges += -(-(last - first) // of_one)
                self._made[index] = last
        return ranges


async def drop_all(db: Database, now: float, env: Environment) -> None:
    """Drop what is too old of both. `now` in Unix seconds."""
    await drop_partitions(db, now, env.outcome_retention_days)
    await drop_partitions(db, now, line_days(env.log_retention_hours), store.LINES)


async def drop_partitions(db: Database, now: float, retention_days: int, table: str = store.OUTCOMES) -> list[str]:
    """Detach what is too old without stalling ingest, and drop it; the names dropped."""
    dropped: list[str] = []
    async with opened(db, "partitions", **WORK) as connection:
        workers = await store.has_citus(connection)
        for partition in await store.partitions(connection, table):
            day = day_of(partition.name)
            if day is None or not (is_over(day, now, retention_days) or partition.pending):
                continue
            await again(partial(drop_partition, connection, table, partition, workers=workers))
            dropped.append(partition.name)
    return dropped


async def drop_partition(connection: Connection, table: str, partition: store.Partition, *, workers: bool) -> None:
    """Drop one; `workers`: in a cluster of Citus, where none can be detached while ingest goes on."""
    if workers:
        await store.drop_quickly(connection, partition.name)
        return
    if partition.pending:
        await store.finish_detaching(connection, partition.name, table)
    elif partition.attached:
        await store.detach(connection, partition.name, table)
    await store.drop(connection, partition.name)


async def again(act: Callable[[], Awaitable[T]]) -> T:
    """Do what somebody may be in the way of, or, on the workers of Citus, may end in a deadlock; try a few times."""
    for pause_s in PAUSES_S:
        with contextlib.suppress(LockNotAvailable, DeadlockDetected):
            return await act()
        await asyncio.sleep(pause_s)
    return await act()
