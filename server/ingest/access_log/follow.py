"""A log while it grows, across rotations: what it says is stored as it comes, each line once.

The file at the path is looked at twice a second. Another one there, or the same one emptied, is the next log; what
still comes to the one before counts until that has been quiet for a while. Files beside it that are stored in part, as
where the log was rotated while nobody followed, are stored to their ends first, with those that followed them.
"""

from __future__ import annotations

import asyncio
import contextlib
import glob
import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from server.ingest.access_log.log_file import CHUNK_BYTES, LogChunk, LogFile, OpenLog, UnreadableLog
from server.ingest.access_log.log_form import GrowingForm
from server.ingest.access_log.log_intake import LogIntake
from server.ingest.access_log.log_sink import LogSink
from server.kernel.errors import ApiError
from server.receivers.access_log.detect import LogReader

POLL_S = 0.5
QUIET_S = 10.0  # after so long without a line, a log that was rotated has its last one
ASIDE_MAX = 10  # files beside the log that are looked at, the newest
ROTATED = r"[.-]\d[\dT.-]*"  # behind the name, or before its ending: of logrotate, and of Caddy
WAITS = frozenset({"UNAVAILABLE", "IN_FLIGHT"})  # what ends by itself
BEGUN_BYTES = 256
FULL = 0.5  # of a chunk: more waits than comes

Done = TypeVar("Done")


class FollowTerms(NamedTuple):
    """How a log is followed: until `stop`; `tell` is given what people may want to know, `progress` called often."""

    form: GrowingForm
    stop: asyncio.Event
    tell: Callable[[str], None]
    progress: Callable[[], None]


class Stopped(Exception):
    """Somebody has asked to stop. What is not stored is read the next time."""


class FollowedLog:
    """One file that is at the path, or was."""

    def __init__(self, path: Path) -> None:
        raw = path.open("rb", buffering=0)
        self.log = OpenLog(raw, path.name)
        self.intake: LogIntake | None = None  # None: its place is not known yet
        self.moved_at = time.monotonic()
        self._raw = raw
        self._begun = b""  # its first bytes, by which it is known to be the same

    @property
    def size(self) -> int:
        """Bytes, now."""
        return os.fstat(self._raw.fileno()).st_size

    def is_at(self, path: Path) -> bool:
        """Whether it is the file at the path; so too while there is none."""
        try:
            return os.path.samestat(os.fstat(self._raw.fileno()), path.stat())
        except FileNotFoundError:
            return True

    def is_emptied(self) -> bool:
        """Whether what was read of it is there no more."""
        begun = os.pread(self._raw.fileno(), BEGUN_BYTES, 0)
        same = begun.startswith(self._begun)
        self._begun = begun
        return not same or (self.intake is not None and self.size < self.intake.place.end)


class Follow:
    """Follows the log at a path."""

    def __init__(self, importer: LogSink, path: Path, terms: FollowTerms) -> None:
        self.importer = importer
        self.path = path
        self.lines = 0
        self._form, self._stop = terms.form, terms.stop
        self._tell, self._progress = terms.tell, terms.progress
        self._open: list[FollowedLog] = []  # the one at the path last
        self._reader: LogReader | None = None
        self._waiting = ""  # for what

    @property
    def behind(self) -> int:
        """Bytes that are there and not stored."""
        return sum(one.size - (one.intake.place.end if one.intake else 0) for one in self._open)

    async def run(self) -> None:
        """Follow it. ApiError: what it says cannot be stored."""
        with contextlib.suppress(Stopped):
            await self._aside()
            while not self._stop.is_set():
                if self._is_emptied():
                    await self._aside()  # there may be a copy of what it held
                self._look()
                full = [await self._advance(one) for one in tuple(self._open)]
                self._progress()
                if not any(full):
                    await self._pause()
        while self._open:
            self._open.pop().log.close()

    def _is_emptied(self) -> bool:
        """Whether the file at the path was emptied; it is closed then."""
        if not self._open or not self._open[-1].is_emptied():
            return False
        self._tell(f"{self.path.name} was emptied, and is read from its beginning.")
        self._open.pop().log.close()
        return True

    def _look(self) -> None:
        """Open what is at the path, where that is another file than before."""
        if self._open and self._open[-1].is_at(self.path):
            return
        with contextlib.suppress(FileNotFoundError):
            if self._open:
                self._tell(f"{self.path.name} is another file now: rotated.")
            self._open.append(FollowedLog(self.path))

    async def _advance(self, one: FollowedLog) -> bool:
        """Store what has come; whether more may be there already."""
        if one.intake is None:
            one.intake = await self._found(one.log)
        if one.intake is None:
            return False
        over = one is not self._open[-1] and time.monotonic() - one.moved_at > QUIET_S
        chunk = await self._next(one.intake, last=over)
        if chunk is not None:
            one.moved_at = time.monotonic()
        elif over:
            self._open.remove(one)  # only the one at the path is closed elsewhere
            one.log.close()
        return chunk is not None and chunk.end - chunk.start > CHUNK_BYTES * FULL

    async def _found(self, log: OpenLog) -> LogIntake | None:
        """Where to go on; None while it has no line."""
        intake = LogIntake(self.importer, log, self._form.of, live=True)
        if not await self._patiently(intake.find):
            return None
        intake.begin(None if intake.place.end else self._reader)
        if intake.place.end:
            self._tell(f"{log.name}: {intake.place.lines:,} lines of it are stored already; going on behind them.")
        return intake

    async def _next(self, intake: LogIntake, *, last: bool) -> LogChunk | None:
        chunk = await self._patiently(lambda: intake.next(last=last))
        self._reader = intake.reader
        self.lines += len(chunk.lines) if chunk else 0
        return chunk

    async def _aside(self) -> None:
        """Store to their ends the files beside it that were begun, and those after them."""
        found: list[LogIntake] = []
        for path in rotated(self.path):
            with contextlib.suppress(OSError, UnreadableLog):
                intake = LogIntake(self.importer, LogFile(str(path)), self._form.of)
                if await self._patiently(intake.find):
                    found.append(intake)
                    if intake.place.end:
                        break
        else:
            found = []  # none was begun: they are older than the first time that it was followed
        for intake in reversed(found):
            intake.begin()
            while await self._next(intake, last=True) is not None:
                self._progress()
            intake.log.close()

    async def _patiently(self, do: Callable[[], Awaitable[Done]]) -> Done:
        """Do it, again and again while the database is away; the path is looked at meanwhile."""
        while True:
            try:
                done = await do()
            except ApiError as error:
                if error.code not in WAITS:
                    raise
                if not self._waiting:
                    self._tell(f"Waiting, nothing is lost: {error.detail}")
                self._waiting = error.detail
                await self._pause()
                self._look()
                self._progress()
            else:
                if self._waiting:
                    self._tell("Storing again.")
                self._waiting = ""
                return done

    async def _pause(self) -> None:
        """Wait a moment. Stopped, where somebody asks."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._stop.wait()
        if self._stop.is_set():
            raise Stopped


def rotated(path: Path) -> list[Path]:
    """What the log may have been rotated to, the newest first."""
    stem, ending = re.escape(path.stem), re.escape(path.suffix)
    name = re.compile(rf"(?:{stem}{ending}{ROTATED}|{stem}{ROTATED}{ending})(?:\.gz)?")
    beside = [one for one in path.parent.glob(glob.escape(path.stem) + "?*") if one.is_file()]
    beside = [one for one in beside if one.name != path.name and name.fullmatch(one.name)]
    return sorted(beside, key=lambda one: -one.stat().st_mtime)[:ASIDE_MAX]
