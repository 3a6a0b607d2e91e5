"""What one line of an access log says of one request, and what is said of a line that tells of none."""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

NO_ANSWER = 499  # stored where the log has no status: the common code of a client that got no answer
UNANSWERED = frozenset({444, 460, 499})  # nginx: closed without an answer; AWS, nginx: the client left
NO_STATUS = frozenset({"", "-", "-1", "0", "000"})

METHOD = r"[A-Za-z][A-Za-z_-]{0,31}"
VERSION = r"HTTP/\d(?:\.\d)?"
REQUEST = re.compile(rf"({METHOD}) +(\S.*?)(?: +({VERSION}|1\.[01]|[23]))? *")
PREFACE = "PRI"  # of HTTP/2, at a server that speaks HTTP/1

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class LoggedRequest(NamedTuple):
    """One request. `at` is when it ended, `duration_us` what it took (None: not known), in microseconds.

    `unanswered` is what the log says where nobody got the whole answer (`-`, `499`, `CD--`), else None.
    """

    method: str
    route: str
    status: int
    at: int
    duration_us: int | None
    unanswered: str | None
    request_id: str | None
    zoned: bool  # the log says which zone the time is of


class LeftKind(Enum):
    """Why a line gives no outcome."""

    NO_REQUEST = "no request"  # TLS on a plain port, a half request line, a connection that said nothing
    OTHER = "no access line"  # a line that tells of something else
    REFUSED = "not understood"


class LeftLine(NamedTuple):
    """A line that gives no outcome, and why, to be read after `its line: `."""

    kind: LeftKind
    why: str


Read = LoggedRequest | LeftLine


class RequestLine(NamedTuple):
    """A request line taken apart; `version` is empty where it has none."""

    method: str
    target: str
    version: str


def request_of(line: str) -> RequestLine | None:
    """Method and target of a request line; None where it is none."""
    found = REQUEST.fullmatch(line)
    if found is None or found[1] == PREFACE or not is_target(found[1], found[2]):
        return None
    return RequestLine(found[1], found[2], found[3] or "")


def is_target(method: str, target: str) -> bool:
    """Whether this can be asked for: a path, a URL, `*`, or the authority of CONNECT."""
    return target.startswith(("/", "?")) or target == "*" or "://" in target[:16] or method.upper() == "CONNECT"


def status_of(text: str) -> int | None:
    """A status from 100 to 599, 0 where the log says that there was none, None where this is no status."""
    if text in NO_STATUS:
        return 0
    return int(text) if len(text) == 3 and text.isascii() and text.isdigit() and "100" <= text <= "599" else None
