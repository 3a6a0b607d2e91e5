"""What a drain's body says: requests, log lines, changes, and what its sender says that it has lost."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from server.kernel.errors import ApiError

REQUEST_ID = re.compile(r"""(?:request[-_.]?id|req[-_]?id|\brid)"?'?\s*[=:]\s*["']?([A-Za-z0-9._-]{1,128})""", re.I)
RAILS_ID = re.compile(r"\[([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\]")
TRACE_ID = re.compile(r"""trace[-_.]?id"?'?\s*[=:]\s*["']?([0-9a-f]{32})(?![0-9a-f])""", re.I)
LEVEL = re.compile(r"""(?:^|[\s{,;])["']?(?:level|severity|lvl)["']?\s*[=:]\s*["']?([A-Za-z]{3,9})\b""", re.I)
WORD = re.compile(r"(?<![\w.-])(DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL|PANIC)(?![\w.-])")
LINES_MAX = 1_000_000  # of a body: real lines are longer than that leaves them
HEAD, HEAD_WORD = 2_000, 80  # characters of a line in which these stand
SEVERITIES = {
    "trace": 1, "debug": 5, "info": 9, "notice": 10, "warn": 13, "warning": 13, "err": 17, "error": 17, "crit": 18,
    "critical": 18, "alert": 19, "fatal": 21, "panic": 21, "emerg": 21, "emergency": 21,
}  # fmt: skip


class DrainedRequest(NamedTuple):
    """A request. `at` is when it ended, `duration_us` None: not known. `failed` None: its status says. `abandoned`:
    nobody got an answer, and nobody knows whether it failed."""

    service: str
    method: str
    target: str  # the path as it came, or its route where no more is known
    status: int
    at: int
    duration_us: int | None
    failed: bool | None
    abandoned: bool
    error_class: str
    instance: str
    request_id: str | None
    known_by: bytes = b""  # 12 bytes, by which it is known where it comes again in another body; empty: by none


class DrainedLine(NamedTuple):
    """A log line. `at` None: when it came. `severity` is OpenTelemetry's number, 0: not known."""

    service: str
    at: int | None
    text: str
    severity: int
    level: str
    instance: str
    process: str
    request_id: str
    trace_id: str
    cut: bool


class DrainedChange(NamedTuple):
    """A change that a platform's line tells of. `event` names it there: told again it is the same."""

    service: str
    event: str
    kind: Literal["deploy", "scale", "other"]
    version: str
    summary: str
    actor: str
    at: int  # microseconds since 1970
    returns: bool  # it puts an earlier version back


class LostLines(NamedTuple):
    """Lines of a service that its platform says it has thrown away between two times, in microseconds since 1970."""

    service: str
    lines: int
    since: int
    until: int


@dataclass(slots=True)
class Drained:
    """All that a body says, in the order in which it came. `left`: messages that give nothing, by why."""

    messages: int = 0
    cut: int = 0
    exact: bool = True  # some message has a time with a fraction of its second: two equal bodies are one, sent twice
    requests: list[DrainedRequest] = field(default_factory=list)
    lines: list[DrainedLine] = field(default_factory=list)
    changes: list[DrainedChange] = field(default_factory=list)
    lost: list[LostLines] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)


def require_lines(n: int) -> None:
    """ApiError PAYLOAD_TOO_LARGE where a body has more lines than are read: each takes longer than its bytes say."""
    if n > LINES_MAX:
        raise ApiError(
            "PAYLOAD_TOO_LARGE", f"The body has more than {LINES_MAX} lines. Nothing was stored: send fewer at a time."
        )


def ids_in(text: str) -> tuple[str, str]:
    """The request id and the trace id that a line names, each '' where it names none."""
    text = text[:HEAD]
    asked = REQUEST_ID.search(text) or RAILS_ID.search(text)
    traced = TRACE_ID.search(text)
    return asked[1] if asked else "", traced[1].lower() if traced else ""


def severity_in(text: str) -> tuple[int, str]:
    """The severity that a line says it has, by OpenTelemetry's number, and its word for it; (0, '') where it says
    none."""
    named = LEVEL.search(text[:HEAD]) or WORD.search(text[:HEAD_WORD])
    number = SEVERITIES.get(named[1].lower(), 0) if named else 0
    return (number, named[1]) if named and number else (0, "")
