"""Structured logs: JSON or text on standard output, and lines kept for look-up by request id.

A call may give `extra={"request_id": …, "fields": {…}}`; without, the request id
is that of the request being handled. Lines at info and above are kept, but for those with `"kept": False`: gathered
in memory and stored in batches, off the request path.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import IO

import psycopg

from server.kernel.connection import OwnConnection
from server.kernel.db import AWAY, Database
from server.kernel.loop import Loop
from server.kernel.settings import Environment
from server.process.process import Process
from server.process.reserve import reserve_of
from server.telemetry import log_store, metrics
from server.telemetry.log_line import JsonFormatter, OwnLine, TextFormatter, in_request, line_of
from server.telemetry.log_output import Output

__all__ = ["LogStore", "in_request", "setup"]

log = logging.getLogger("evenkeel.logs")

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
OURS = ("evenkeel", "tornado")
WAITING_LINES = 20_000
BATCH_LINES = 5_000
GATHER_S = 0.5
LIMIT_S = 10.0
CLOSE_S = 2.0


def setup(level: str, format: str, stream: IO[str]) -> None:
    """Log to the stream: `level` debug, info, warning or error; `format` json, text or auto (text on a terminal)."""
    text = format == "text" or (format == "auto" and stream.isatty())
    output = Output(stream)
    output.setLevel(LEVELS[level])
    output.setFormatter(TextFormatter() if text else JsonFormatter())
    # What is not shown is not looked for: file and line cost the most.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=logging.WARNING, handlers=[output], force=True)
    listen_to_ours(min(LEVELS[level], logging.INFO))


def listen_to_ours(level: int) -> None:
    """Let our own loggers through at `level`; other libraries stay at warning (SQLAlchemy would log its SQL)."""
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    logging.getLogger("tornado.general").setLevel(logging.WARNING)  # below, it repeats what a peer sent: secrets too
    logging.getLogger("tornado.access").setLevel(
        logging.CRITICAL
    )  # server/http/handler.py writes the one line a request


class Gatherer(logging.Handler):
    """Lines at info and above, waiting to be kept. Bounded: what comes when it is full is counted, not kept."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.waiting: deque[OwnLine] = deque()
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        if not record.__dict__.get("kept", True):
            return
        if len(self.waiting) >= WAITING_LINES:
            self.dropped += 1
        else:
            self.waiting.append(line_of(record))


class LogStore:
    """One process's kept lines, on a connection of their own."""

    def __init__(self, env: Environment, db: Database, process: Process) -> None:
        self.process = process
        self.gatherer = Gatherer()
        self._reserve = reserve_of(env)
        self._connection = OwnConnection(db, "logs")
        self._loop = Loop("keeping log lines", self.flush, GATHER_S)

    async def start(self) -> None:
        """Keep lines until closed. Needs no database to start: lines wait for it."""
        if not logging.getLogger("evenkeel").isEnabledFor(logging.INFO):
            listen_to_ours(logging.INFO)
        logging.getLogger().addHandler(self.gatherer)
        self._loop.start()

    async def flush(self) -> None:
        """Store what waits; a batch that the database refuses is dropped and counted.

        Raises psycopg.Error or OSError where the database is away: then it waits on.
        """
        while self.gatherer.waiting or self.gatherer.dropped:
            batch = [self.gatherer.waiting.popleft() for _ in range(min(BATCH_LINES, len(self.gatherer.waiting)))]
            self._count_dropped()
            try:
                await self._store(batch)
            except psycopg.DataError as error:
                self.gatherer.dropped += len(batch)
                log.warning("%d log lines cannot be stored: %s", len(batch), error)
            except (asyncio.CancelledError, *AWAY):
                self.gatherer.waiting.extendleft(reversed(batch))
                raise
            except Exception:
                self.gatherer.dropped += len(batch)
                raise

    async def _store(self, batch: list[OwnLine]) -> None:
        if batch:
            self._reserve.require()
            async with self._connection.use(LIMIT_S) as connection:
                await log_store.keep(connection, [log_store.copy_row(line, self.process.label) for line in batch])

    def _count_dropped(self) -> None:
        dropped, self.gatherer.dropped = self.gatherer.dropped, 0
        if dropped:
            metrics.log_lines_dropped(dropped)
            if not self._loop.failing:
                log.warning("%d log lines were not kept for look-up", dropped)

    async def close(self) -> None:
        """Store what waits, for at most CLOSE_S."""
        logging.getLogger().removeHandler(self.gatherer)
        await self._loop.close(last_run_s=CLOSE_S)
        await self._connection.close()
