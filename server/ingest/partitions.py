"""One partition of outcomes a UTC day: made days ahead, dropped when all of it is too old."""

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
from server.tables.outcomes import RANGE_PAGES

DAYS_AHEAD = 3
SUMMARISE_EVERY_S = 10.0
OPEN_PAGES = 256  # at the end of a partition: writers fill the pages that PostgreSQL adds by the dozen
LATE_S = 3600  # an outcome taken just inside the retention may be stored this much later

PAUSES_S = (0.1, 0.3, 1.0, 3.0)

T = TypeVar("T")

NAME = re.compile(r"outcomes_(\d{4})(\d{2})(\d{2})")


def name_of(day: date) -> str:
    return f"outcomes_{day:%Y%m%d}"


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


async def ensure_partitions(db: Database, now: float, retention_days: int) -> list[str]:
    """Make what is missing; the names made. `now` in Unix seconds."""
    async with opened(db, "partitions", **WORK) as connection:
        there = {partition.name for partition in await store.partitions(connection)}
        if not there:
            await store.drop_earlier_index(connection)
        missing = [day for day in wanted_days(now, retention_days) if name_of(day) not in there]
        return [name_of(day) for day in missing if await again(partial(store.make, connection, name_of(day), day))]


async def index_request_ids(db: Database) -> bool:
    """Give the partitions of earlier versions the index of request ids, then drop the one that they had.

    False where somebody reads on and on, so that it cannot be dropped without holding ingest up: try again later.
    """
    async with opened(db, "partitions", **WORK) as connection:
        if not await store.has_earlier_index(connection):
            return True
        for name in await store.unindexed(connection):
            await store.index(connection, name)
        return await store.drop_earlier_index(connection)


class RequestIds:
    """Makes the filters of request ids as outcomes come, so that a look-up reads few pages that have none.

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
        ranges, today = 0, name_of(datetime.fromtimestamp(now, UTC).date())
        async with opened(self.db, "request ids", **WORK) as connection:
            for table, index, pages in await store.blocks(connection):
                settled = table < today and self._pages.get(index) == pages
                self._pages[index] = pages
                # Pages that are still being filled wait: each row in a range with a filter would log the filter. Of a
                # day that is over none do: a look-up reads what has no filter, of every day.
                last = pages if settled else max(0, pages - OPEN_PAGES) // RANGE_PAGES * RANGE_PAGES
                made = self._made.get(index, 0)
                first = made // RANGE_PAGES * RANGE_PAGES
                if made < last and await store.summarise(connection, index, first, last):
                    ranges += -(-(last - first) // RANGE_PAGES)
                    self._made[index] = last
        return ranges


async def drop_partitions(db: Database, now: float, retention_days: int) -> list[str]:
    """Detach what is too old without stalling ingest, and drop it; the names dropped."""
    dropped: list[str] = []
    async with opened(db, "partitions", **WORK) as connection:
        workers = await store.has_citus(connection)
        for partition in await store.partitions(connection):
            day = day_of(partition.name)
            if day is None or not (is_over(day, now, retention_days) or partition.pending):
                continue
            await again(partial(drop_partition, connection, partition, workers=workers))
            dropped.append(partition.name)
    return dropped


async def drop_partition(connection: Connection, partition: store.Partition, *, workers: bool) -> None:
    """Drop one; `workers`: in a cluster of Citus, where none can be detached while ingest goes on."""
    if workers:
        await store.drop_quickly(connection, partition.name)
        return
    if partition.pending:
        await store.finish_detaching(connection, partition.name)
    elif partition.attached:
        await store.detach(connection, partition.name)
    await store.drop(connection, partition.name)


async def again(act: Callable[[], Awaitable[T]]) -> T:
    """Do what somebody may be in the way of, or, on the workers of Citus, may end in a deadlock; try a few times."""
    for pause_s in PAUSES_S:
        with contextlib.suppress(LockNotAvailable, DeadlockDetected):
            return await act()
        await asyncio.sleep(pause_s)
    return await act()
