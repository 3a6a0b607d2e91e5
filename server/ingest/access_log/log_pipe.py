"""A log that comes once, line by line, through standard input: nothing of it can be read again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time

from server.ingest.access_log.follow import POLL_S, WAITS, FollowTerms
from server.ingest.access_log.log_file import CHUNK_BYTES, LogBytes
from server.ingest.access_log.log_intake import SAME
from server.ingest.access_log.log_sink import LogSink
from server.ingest.access_log.log_taking import LogPiece
from server.ingest.batch import Claim
from server.kernel.errors import ApiError
from server.receivers.access_log.detect import LogReader


class LogPipe:
    """Follows what comes through a descriptor until its end, or until it is stopped: then what has come is stored."""

    def __init__(self, importer: LogSink, descriptor: int, terms: FollowTerms) -> None:
        self.importer = importer
        self.lines = 0
        self.behind = 0
        self._descriptor = descriptor
        self._form, self._stop = terms.form, terms.stop
        self._tell, self._progress = terms.tell, terms.progress
        self._held = bytearray()
        self._ended = False
        self._reader: LogReader | None = None

    async def run(self) -> None:
        """Follow it. ApiError: what it says cannot be stored."""
        reading = LogBytes(self._read)
        while not (self._ended or self._stop.is_set()):
            await self._gather()
            over = self._ended or self._stop.is_set()
            while chunk := reading.next(last=over):
                await self._store(self._said(chunk.lines, final=chunk.final))
                reading.take(chunk)
                self.lines += len(chunk.lines)
            self._progress()

    def _read(self, most: int) -> bytes:
        data = bytes(self._held[:most])
        del self._held[:most]
        return data

    async def _gather(self) -> None:
        """Wait for something, and a little for more."""
        until = None
        while not self._ended and len(self._held) < CHUNK_BYTES and (until is None or time.monotonic() < until):
            there = await self._readable(until)
            if self._stop.is_set():
                return
            if there:
                data = os.read(self._descriptor, CHUNK_BYTES)
                self._held += data
                self._ended = not data
            until = until or time.monotonic() + POLL_S

    async def _readable(self, until: float | None) -> bool:
        """Wait for something or the end, until then (monotonic) or until somebody asks to stop; whether it is there."""
        loop, there = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._descriptor, there.set)
        waits = [asyncio.ensure_future(event.wait()) for event in (there, self._stop)]
        try:
            left_s = None if until is None else max(0.0, until - time.monotonic())
            await asyncio.wait(waits, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_reader(self._descriptor)
            for wait in waits:
                wait.cancel()
        return there.is_set()

    def _said(self, lines: list[str | None], *, final: bool) -> LogPiece:
        before, form = self._form.found, self._form.of(lines)
        if self._reader is None or before is None or form != before.form:
            self._reader = form.reader()
        return self.importer.read(lines, self._reader, self.lines + 1, final=final)

    async def _store(self, piece: LogPiece) -> None:
        """Store what was read, waiting for the database. ApiError where somebody asks to stop meanwhile."""
        for part in (piece.timed, piece.untimed):
            claim = Claim(os.urandom(16), SAME, b"")  # tried again, it counts once
            while part.outcomes:
                try:
                    await self.importer.store(part, claim)
                    break
                except ApiError as error:
                    if error.code not in WAITS or self._stop.is_set():
                        raise
                    self._tell(f"Waiting: {error.detail}")
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(POLL_S):
                            await self._stop.wait()
            piece.report.count(part)
        self.importer.report.join(piece.report)
