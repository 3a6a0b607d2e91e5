"""What one line of an access log says of one request, and what is said of a line that tells of none."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

NO_ANSWER = 499  # stored where the log has no status: the common code of a client that got no answer
UNANSWERED = frozenset({444, 499})  # nginx: closed without an answer; the client left
NO_STATUS = frozenset({"", "-", "-1", "0", "000"})
ROUTE_MAX = 500

METHOD = r"[A-Za-z][A-Za-z_-]{0,31}"
VERSION = r"HTTP/\d(?:\.\d)?"
REQUEST = re.compile(rf"({METHOD}) +(\S.*?)(?: +({VERSION}|1\.[01]|[23]))? *")
PREFACE = "PRI"  # of HTTP/2, at a server that speaks HTTP/1

ID = re.compile(r"\d+|[0-9a-fA-F]{16,}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
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


@lru_cache(maxsize=4096)
def route_of(target: str) -> str:
    """The path without query and path parameters, its ids as {id}: what requests are counted by."""
    if "://" in target.partition("?")[0]:
        target = "/" + target.partition("://")[2].partition("/")[2]
    path = target.partition("?")[0].partition("#")[0].replace("\0", "") or "/"
    return "/".join("{id}" if ID.fullmatch(part) else part for part in map(named_part, path.split("/")))[:ROUTE_MAX]


def named_part(part: str) -> str:
    """A part of a path without its parameters: `cart` of `cart;jsessionid=1F`."""
    return part.partition(";")[0]


def status_of(text: str) -> int | None:
    """A status from 100 to 599, 0 where the log says that there was none, None where this is no status."""
    if text in NO_STATUS:
        return 0
    return int(text) if len(text) == 3 and text.isascii() and text.isdigit() and "100" <= text <= "599" else None
