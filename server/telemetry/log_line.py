"""A log line: what it holds, how secrets are taken out of it, and how it is written as JSON or text."""

from __future__ import annotations

import logging
import re
import time
import traceback
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import msgspec

from server.kernel import shared_clock
from server.kernel.names import HOST, process_name
from server.kernel.redaction import redact

MESSAGE_CHARACTERS = 4_000
EXCEPTION_CHARACTERS = 8_000
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_request_id: ContextVar[str] = ContextVar("request_id", default="")


def in_request(request_id: str) -> None:
    """From here on, lines logged by this task and those it starts carry the request id."""
    _request_id.set(request_id)


class OwnLine(msgspec.Struct):
    """One line of Evenkeel's own log, free of secrets and of what PostgreSQL cannot store. `at` is Unix seconds."""

    at: float
    level: str
    logger: str
    request_id: str
    message: str
    fields: dict[str, Any]


def line_of(record: logging.LogRecord) -> OwnLine:
    """The record as a line; made once, whichever handler asks first."""
    made: OwnLine | None = record.__dict__.get("line")
    if made is None:
        request_id = record.__dict__.get("request_id") or _request_id.get()
        message = clean(record.getMessage(), MESSAGE_CHARACTERS)
        at = shared_clock.corrected(record.created)
        made = OwnLine(at, record.levelname.lower(), record.name, request_id, message, fields_of(record))
        record.__dict__["line"] = made
    return made


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    given = record.__dict__.get("fields") or {}
    fields = {
        name: value if isinstance(value, int | float) else clean(str(value), 1000) for name, value in given.items()
    }
    if record.exc_info and record.exc_info[0] is not None:
        fields["exception"] = clean(
            "".join(traceback.format_exception(*record.exc_info)), EXCEPTION_CHARACTERS, keep_end=True
        )
    return fields


def clean(text: str, limit: int, keep_end: bool = False) -> str:
    """Without secrets, NULs and broken surrogates, and bounded; a traceback's end says most."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    # Secrets go first, so that a cut cannot leave a part of one that is not recognised.
    text = redact(text.replace("\0", ""))
    if len(text) > limit:
        text = f"…{text[-limit:]}" if keep_end else f"{text[:limit]}…"
    return text


class JsonFormatter(logging.Formatter):
    """One JSON object a line; a field cannot replace what every line has."""

    def format(self, record: logging.LogRecord) -> str:
        line = line_of(record)
        base = {
            "at": moment(line.at),
            "level": line.level,
            "host": HOST,
            "process": process_name(),
            "logger": line.logger,
            "request_id": line.request_id,
            "message": line.message,
        }
        return msgspec.json.encode(base | {k: v for k, v in line.fields.items() if k not in base}).decode()


class TextFormatter(logging.Formatter):
    """One readable line; control characters are escaped, so that a message cannot draw on the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        line = line_of(record)
        fields = dict(line.fields)
        exception = fields.pop("exception", "")
        at = time.strftime("%H:%M:%S", time.localtime(line.at)) + f".{int(line.at * 1000) % 1000:03d}"
        words = [at, f"{line.level:<7}", f"{process_name():<7}", f"{line.logger}:", line.message]
        words += [f"{name}={value}" for name, value in fields.items() if value != ""]
        words += [f"[{line.request_id}]"] if line.request_id else []
        shown = CONTROL.sub(lambda found: repr(found[0])[1:-1], " ".join(words))
        return f"{shown}\n{exception.rstrip()}" if exception else shown


def moment(at: float) -> str:
    """Unix seconds as RFC 3339 in UTC, to the millisecond."""
    milliseconds = int(at * 1000)
    return f"{to_the_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=16)
def to_the_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
