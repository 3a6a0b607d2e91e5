"""Log lines in: which of them are kept, and how many bytes of a service came today, over all processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

from msgspec.structs import replace

from server.ingest.lines import line_store
from server.ingest.lines.line import LineCount, LineDay, LogLine, bounded, oldest_line
from server.kernel import shared_clock
from server.kernel.connection import OwnConnection
from server.kernel.db import Database
from server.kernel.loop import Loop
from server.kernel.names import OTHER
from server.kernel.settings import Environment

EVERY_S = 5.0
LIMIT_S = 5.0
CLOSE_S = 2.0
TURN_LINES = 500


class TakenLines(NamedTuple):
    """The lines that are kept, and how many are not: of services that the key may not send, over the bytes of a
    day, older than is kept."""

    kept: list[LogLine]
    refused: int
    over: int
    old: int


NO_LINES_TAKEN = TakenLines([], 0, 0, 0)


def day_of(now_s: float) -> date:
    return datetime.fromtimestamp(now_s, UTC).date()


class LineIntake:
    """The lines of one web process. `start` and `close` inside its loop."""

    def __init__(self, env: Environment, db: Database) -> None:
        self.hours = env.log_retention_hours
        self.bytes_a_day = env.log_bytes_a_day
        self.services_max = env.services_max
        self._counts: dict[LineDay, LineCount] = {}
        self._elsewhere: dict[LineDay, int] = {}  # bytes that other processes took
        self._process_id = 0
        self._connection = OwnConnection(db, "lines")
        self._loop = Loop("counting log lines", self.write, EVERY_S)

    def start(self, process_id: int) -> None:
        self._process_id = process_id
        self._loop.wake()
        self._loop.start()

    async def admit(self, lines: Sequence[LogLine], refuses: Callable[[str], str], now_us: int) -> TakenLines:
        """Which lines are kept, free of secrets; `refuses` says what is wrong with the sending of a service."""
        found = []
        for begin in range(0, len(lines), TURN_LINES):
            found.append(self._admit(lines[begin : begin + TURN_LINES], refuses, now_us))
            await asyncio.sleep(0)  # others have a turn
        kept = [line for one in found for line in one.kept]
        return TakenLines(kept, *(sum(left) for left in zip(*(one[1:] for one in found), strict=True)))

    def _admit(self, lines: Iterable[LogLine], refuses: Callable[[str], str], now_us: int) -> TakenLines:
        day = day_of(now_us / 1_000_000)
        oldest = oldest_line(now_us / 1_000_000, self.hours)
        kept: list[LogLine] = []
        refused = over = old = 0
        for sent in lines:
            line = bounded(sent)
            if not line.service or refuses(line.service):
                refused += 1
                continue
            which = self._day(day, line.service)
            count = self._counts.setdefault(which, LineCount())
            if line.at and line.at < oldest:
                count.old_lines += 1
                old += 1
            elif self._elsewhere.get(which, 0) + count.bytes + line.size > self.bytes_a_day:
                count.over_lines += 1
                over += 1
            else:
                count.lines += 1
                count.bytes += line.size
                # A clock that is ahead puts no line behind what comes later.
                kept.append(line if 0 < line.at <= now_us else replace(line, at=now_us))
        return TakenLines(kept, refused, over, old)

    def give_back(self, kept: Iterable[LogLine], now_us: int) -> None:
        """These were not stored after all."""
        day = day_of(now_us / 1_000_000)
        for line in kept:
            if (count := self._counts.get(self._day(day, line.service))) is not None:
                count.lines -= 1
                count.bytes -= line.size

    def _day(self, day: date, service: str) -> LineDay:
        which = LineDay(day, service)
        if which not in self._counts and len(self._counts) >= self.services_max:
            return LineDay(day, OTHER)
        return which

    async def write(self) -> None:
        """Write what this process took today, whole, and read what the others took."""
        today = day_of(shared_clock.now())
        self._counts = {which: count for which, count in self._counts.items() if which.day == today}
        async with self._connection.use(LIMIT_S) as connection:
            await line_store.write(connection, self._process_id, self._counts)
            found = await line_store.elsewhere(connection, self._process_id, today)
        self._elsewhere = {LineDay(today, service): taken for service, taken in found.items()}

    async def close(self) -> None:
        """Write what was counted, for at most CLOSE_S."""
        await self._loop.close(last_run_s=CLOSE_S)
        await self._connection.close()
