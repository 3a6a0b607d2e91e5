"""A log line of a service: what it holds, its bounds, and its row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from msgspec import Struct

from server.ingest.lines.masking import masked
from server.kernel.text import storable
from server.receivers.drained import DrainedLine
from server.tables import lines as tables
from server.tables.binary import Copied, field_of

MESSAGE_CHARACTERS = 16_384  # Docker cuts there, Heroku at 10,000 bytes
MARGIN = 4_096  # read beyond, so that no cut leaves a part of a secret that is not recognised
WORD_CHARACTERS = 200  # of what stands beside it
ROW_BYTES = 60  # about what a row takes beside its texts

LINE_ROWS = Copied(tables.service_lines)


class LogLine(Struct, array_like=True, gc=False):
    """One line as its service wrote it. Fields are only added: at its end, with a default (the spool keeps them)."""

    service: str
    at: int  # microseconds since 1970; 0: when it came
    message: str
    severity: int = 0  # OpenTelemetry's number, 1 (TRACE) to 24 (FATAL4); 0: not known
    level: str = ""  # the severity as it was sent
    instance: str = ""  # dyno, host or pod
    process: str = ""  # program, facility or logger
    request_id: str = ""
    trace_id: str = ""
    cut: bool = False  # by its sender, a relay or by us

    @property
    def size(self) -> int:
        """Bytes that it takes in the database, nearly."""
        texts = (self.message, self.service, self.level, self.instance, self.process, self.request_id, self.trace_id)
        return ROW_BYTES + sum(len(text) if text.isascii() else len(text.encode()) for text in texts)


class LineDay(NamedTuple):
    """What one process took of a service on one day (UTC)."""

    day: date
    service: str


@dataclass(slots=True)
class LineCount:
    """Lines and bytes that are kept; lines that are not: over the bytes of a day, and older than is kept."""

    lines: int = 0
    bytes: int = 0
    over_lines: int = 0
    old_lines: int = 0


def line_of(drained: DrainedLine) -> LogLine:
    """A line that a receiver has read."""
    return LogLine(
        drained.service,
        drained.at or 0,
        drained.text,
        drained.severity,
        drained.level,
        drained.instance,
        drained.process,
        drained.request_id,
        drained.trace_id,
        drained.cut,
    )


def bounded(line: LogLine) -> LogLine:
    """The line without secrets and what PostgreSQL cannot store, within the bounds of its texts."""
    message = masked(storable(line.message[: MESSAGE_CHARACTERS + MARGIN]))
    return LogLine(
        word(line.service),
        line.at,
        message[:MESSAGE_CHARACTERS],
        min(max(line.severity, 0), 24),
        word(line.level),
        word(line.instance),
        word(line.process),
        word(line.request_id),
        word(line.trace_id),
        line.cut or len(line.message) > MESSAGE_CHARACTERS,
    )


def word(text: str) -> str:
    return storable(text)[:WORD_CHARACTERS]


def oldest_line(now_s: float, hours: int) -> int:
    """The time of the oldest line that is kept for so many hours, in microseconds since 1970."""
    return int((now_s - hours * 3600) * 1_000_000)


class LineRows(NamedTuple):
    """Log lines as a COPY has them; the seconds that they are of, first and last."""

    rows: bytes
    n: int
    first: int
    last: int


NO_LINES = LineRows(b"", 0, 0, 0)


def line_rows(lines: Sequence[LogLine], arrived: int) -> LineRows:
    """Their rows. `arrived` in microseconds since 1970: when they came; each keeps its place."""
    if not lines:
        return NO_LINES
    times = [line.at or arrived for line in lines]
    texts = ("service", "level", "instance", "process", "request_id", "trace_id", "message")
    rows = LINE_ROWS.rows(
        {
            "at": times,
            "arrived": range(arrived, arrived + len(lines)),
            "severity": [line.severity for line in lines],
            "cut": [line.cut for line in lines],
            **{name: [field_of(getattr(line, name).encode()) for line in lines] for name in texts},
        }
    )
    return LineRows(rows, len(lines), min(times) // 1_000_000, max(times) // 1_000_000)
