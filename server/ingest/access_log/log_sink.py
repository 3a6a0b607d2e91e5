"""Where what a log says is stored: in the database at hand, or in an Evenkeel elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from server.ingest.access_log.log_place import LogPlace
from server.ingest.access_log.log_taking import LogPart, LogPiece, Report
from server.ingest.batch import Claim, StoredBatch
from server.receivers.access_log.detect import LogReader


class LogSink(Protocol):
    """Stores the logs of one service. All but `read` raise ApiError: UNAVAILABLE and IN_FLIGHT end by themselves."""

    service: str
    report: Report

    def read(
        self, lines: Sequence[str | None], reader: LogReader, first: int, shift: int = 0, *, final: bool = False
    ) -> LogPiece:
        """What lines say."""
        ...

    async def places(self, known: bytes) -> dict[int, LogPlace]:
        """How far the logs are stored that begin so, by number."""
        ...

    def prepare(self, known: bytes, number: int, place: LogPlace, parts: Mapping[bytes, LogPart]) -> None:
        """These parts, by the digest of their claims, are stored next; the log is stored up to `place` then."""
        ...

    async def store(self, part: LogPart, claim: Claim | None) -> StoredBatch:
        """Store outcomes, under a claim once."""
        ...

    async def move(self, known: bytes, number: int, place: LogPlace, report: Report) -> None:
        """A log is stored up to there."""
        ...
