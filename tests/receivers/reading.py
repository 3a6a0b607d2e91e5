"""Reads a few lines as the import does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo
from typing import Any

from server.ingest.access_log.log_survey import reads
from server.receivers.access_log.detect import Detected, detect
from server.receivers.access_log.entry import LeftKind, LeftLine, LoggedRequest
from server.receivers.access_log.latency import LogAsk


class Log:
    """What was read of some lines."""

    def __init__(self, lines: Sequence[str], zone: tzinfo = UTC, **asked: Any) -> None:
        self.detected: Detected = detect(lines, LogAsk(**asked), zone)
        reader = self.detected.form.reader()
        found = [*(read for _, _, read in reads(lines, reader)), *reader.rest()]
        self.requests = [read for read in found if isinstance(read, LoggedRequest)]
        self.left = [read for read in found if isinstance(read, LeftLine)]

    @property
    def durations_ms(self) -> list[float | None]:
        return [None if one.duration_us is None else one.duration_us / 1000 for one in self.requests]

    @property
    def statuses(self) -> list[int]:
        return [one.status for one in self.requests]

    @property
    def unanswered(self) -> list[str | None]:
        return [one.unanswered for one in self.requests]

    @property
    def kinds(self) -> list[LeftKind]:
        return [one.kind for one in self.left]
