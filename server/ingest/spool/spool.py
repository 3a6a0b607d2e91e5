"""The spool: batches acknowledged to this machine's disk while the database is away, to be replayed once.

Group commit: while one group is written and synced the next gathers. All that blocks happens in one thread.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from server.ingest.batch import StoredBatch
from server.ingest.flush import mismatch
from server.ingest.sent import SentBatch
from server.ingest.spool.spool_slot import Kept, SpoolFolder, SpoolFull
from server.kernel.db import why_away
from server.kernel.errors import ApiError
from server.kernel.text import first_line
from server.process.reserve import MIB, Reserve
from server.telemetry import metrics

log = logging.getLogger("evenkeel.spool")

T = TypeVar("T")
RETRY_S = 5

Waiting = tuple[SentBatch, "asyncio.Future[StoredBatch]"]


class Spool:
    """The spool of one process. `start` and `close` inside its loop."""

    def __init__(self, root: Path, most_bytes: int, reserve: Reserve) -> None:
        self.root = root
        self.most_bytes = most_bytes
        self.refusing = ""  # why the last group was not kept; empty after a success
        self._reserve = reserve
        self._thread = ThreadPoolExecutor(1, "spool")
        self._folder: SpoolFolder | None = None
        self._waiting: list[Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    @property
    def folder(self) -> SpoolFolder:
        """What is on the disk: for `do`."""
        assert self._folder is not None, "the spool has started"
        return self._folder

    async def start(self) -> None:
        """Take a slot. OSError where the disk cannot be written."""
        self._folder = await self.do(SpoolFolder, self.root, self.most_bytes, self._reserve)

    async def do(self, work: Callable[..., T], *given: object) -> T:
        """What blocks, in the thread that does one thing at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *given)

    async def keep(self, sent: SentBatch) -> StoredBatch:
        """Keep a batch; returns after it is synced to the disk. ApiError UNAVAILABLE, IDEMPOTENCY_MISMATCH."""
        kept: asyncio.Future[StoredBatch] = asyncio.get_running_loop().create_future()
        self._waiting.append((sent, kept))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="write the spool")
        return await kept

    async def _write(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                await self._write_group(group)
        finally:
            self._writing = None

    async def _write_group(self, group: Sequence[Waiting]) -> None:
        try:
            found = await self.do(self.folder.keep, [sent for sent, _ in group])
        except (SpoolFull, OSError) as error:
            self._refuse(group, error)
            return
        except Exception:
            log.exception("the spool failed")
            self._refuse(group, OSError("the spool failed"))
            return
        self.refusing = ""
        for (sent, future), kept in zip(group, found, strict=True):
            if kept == "kept":
                metrics.spooled(sent.items)
            if not future.done():
                settle(future, sent, kept)

    def _refuse(self, group: Sequence[Waiting], error: Exception) -> None:
        why = self.why_not(error)
        if not self.refusing:
            log.error("outcomes are refused: %s", why)
        self.refusing = why
        for _, future in group:
            if not future.done():
                told = f"{why} Nothing was stored; send it again with the same Idempotency-Key."
                future.set_exception(ApiError("UNAVAILABLE", told, retry_after=RETRY_S))

    def why_not(self, error: Exception) -> str:
        """Why a group was not kept, as a sentence."""
        if isinstance(error, SpoolFull):
            mib = math.ceil(self.most_bytes / MIB)
            return f"The database does not take it in time, and the spool of this process is full ({mib} MiB)."
        why = why_away(error)
        full = why_away(OSError(errno.ENOSPC, ""))
        return why if why == full else f"{why} The spool cannot be written: {first_line(error)}."

    async def look(self) -> None:
        """Find out without a new batch whether there is room again: a router that asks sends nothing until then."""
        if self.refusing:
            try:
                await self.do(self.folder.require_room, 1)
            except (SpoolFull, OSError):
                return
            self.refusing = ""

    async def close(self) -> None:
        """Write what waits, then let go of the slot; what is in it stays."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        folder, self._folder = self._folder, None
        if folder is not None:
            await self.do(folder.close)
        self._thread.shutdown()


def settle(future: asyncio.Future[StoredBatch], sent: SentBatch, kept: Kept) -> None:
    """Answer one sender."""
    if kept == "mismatch":
        future.set_exception(mismatch())
    else:
        future.set_result(StoredBatch(spooled(sent.answer), repeated=kept == "repeated", spooled=True))


def spooled(answer: bytes) -> bytes:
    """The body of the 202 from that of the 201."""
    return answer[:-1] + b',"stored":"spool"}'
