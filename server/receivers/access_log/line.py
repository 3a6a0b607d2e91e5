"""Lines of servers that write about as Apache does: a time, a quoted request line, the status, and what follows.

Nearly all do. What stands where before and behind differs, and so does what the numbers at the end mean: a
latency is one that a name or a unit calls so, or that the caller has named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from server.receivers.access_log.entry import LeftKind, LeftLine, Read, request_of
from server.receivers.access_log.form import Found, Sense, entry_of
from server.receivers.access_log.moment import STAMP
from server.receivers.access_log.peers import Peers
from server.receivers.access_log.quick import quick
from server.receivers.access_log.tail import LineTail, tail_of

# From the time to the request line nothing is quoted; a bracket there belongs to a time that came before.
AFTER = re.compile(
    r'[\])]?(?P<between>[^"\[]{0,200})"(?P<request>(?:[^"\\]|\\.)*)" +(?P<status>-1|-|\d{1,3})(?=\s|$)(?P<tail>.*)$',
    re.DOTALL,
)
TIMELESS = re.compile(r'"(?P<request>(?:[^"\\]|\\.)*)" +(?P<status>-1|-|\d{3})(?=\s|$)', re.DOTALL)
SIZE = re.compile(r"\s*(\d+|-)(?=\s|$)")
PEER = re.compile(r"(\S+:\d{1,5}) -(?: \S+)? *$")
STAMPS_MAX = 4
BEFORE, HEAD = 200, 2_000  # characters that are looked at: nothing is searched for in all of a long line
REQUEST_IDS = ("rid", "request_id", "req_id", "requestId", "request-id", "x_request_id", "x-request-id")


@dataclass(slots=True)
class Shape:
    """A line taken apart. `bare` fields stand behind the size."""

    time: str
    request: str
    status: str
    peer: str | None
    tail: LineTail


@dataclass(slots=True)
class Takes:
    """What of the tail is taken: the named field, or the bare one by its place from 0 (negative: from the end)."""

    name: str | None = None
    column: int | None = None
    with_unit: bool = False  # the one bare field that has a unit, as `1.3 ms`
    aborted_column: int | None = None  # Apache's %X
    columns: int | None = None  # how many bare fields a line has, where `column` is certain only then


@dataclass(slots=True)
class LineForm:
    """How lines are read; `reader` begins one reading."""

    name: str = "one request a line, as Apache and nginx write it"
    sense: Sense = field(default_factory=Sense)
    takes: Takes = field(default_factory=Takes)
    layout: re.Pattern[str] | None = field(default=None, compare=False)  # of most lines

    def reader(self) -> LineReader:
        return LineReader(self)


class LineReader:
    """Reads lines of one log."""

    def __init__(self, form: LineForm) -> None:
        self.form = form
        self._peers = Peers()
        self._quick = quick(form.layout, form.sense) if form.layout is not None else None

    def read(self, line: str) -> tuple[Read, ...]:
        """What the line says."""
        if self._quick is not None and (read := self._quick.read(line)) is not None:
            return (read,)
        shape = shape_of(line)
        if isinstance(shape, LeftLine):
            return (shape,)
        found = found_in(shape, self.form.takes)
        return (self._peers.judged(shape.peer, shape.request, found, entry_of(found, self.form.sense)),)

    def rest(self) -> Iterator[Read]:
        """Nothing waits for another line."""
        return iter(())


def shape_of(line: str) -> Shape | LeftLine:
    """Take a line apart."""
    for count, stamp in enumerate(STAMP.finditer(line)):
        after = AFTER.match(line, stamp.end())
        if after:
            between = after["between"]
            before = line[max(0, stamp.start() - BEFORE) : stamp.start()].rstrip("[(")
            peer = PEER.search(between if between.strip() else before)
            tail = after["tail"]
            size = SIZE.match(tail)
            rest = tail[size.end() :] if size else tail
            return Shape(stamp[0], after["request"], after["status"], peer[1] if peer else None, tail_of(rest))
        if count == STAMPS_MAX:
            break
    timeless = TIMELESS.search(line[:HEAD])
    if timeless and request_of(timeless["request"]):
        return LeftLine(LeftKind.REFUSED, "it has no time that can be read: its server can be told to print one")
    return LeftLine(LeftKind.REFUSED, "it is no request with its time and status")


def found_in(shape: Shape, takes: Takes) -> Found:
    """What is what, of a line taken apart."""
    tail = shape.tail
    identity = next((tail.named[name] for name in REQUEST_IDS if name in tail.named), None)
    bare = tail.bare
    aborted = tail.named.get("X")
    if takes.aborted_column is not None and takes.aborted_column < len(bare):
        aborted = bare[takes.aborted_column]
    return {
        "time": shape.time,
        "request": shape.request,
        "status": shape.status,
        "taken": taken_in(tail, takes),
        "aborted": aborted,
        "id": identity,
    }


def taken_in(tail: LineTail, takes: Takes) -> str | None:
    """The text of the time taken."""
    if takes.name is not None:
        return tail.named.get(takes.name)
    if takes.with_unit:
        return next(iter(with_units(tail)), None)
    if takes.column is None or (takes.columns is not None and len(tail.bare) != takes.columns):
        return None
    return tail.bare[takes.column] if -len(tail.bare) <= takes.column < len(tail.bare) else None


NUMBER = re.compile(r"\d+(?:\.\d+)?")
UNITS_BARE = frozenset({"ms", "s", "us", "µs", "ns", "msec", "msecs", "secs"})
BARE_WITH_UNIT = re.compile(r"(?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?(?:ns|us|µs|μs|ms|s)")


def with_units(tail: LineTail) -> list[str]:
    """The bare fields with a unit: `12ms`, or `12` before `ms`."""
    found = [text for text in tail.bare if BARE_WITH_UNIT.fullmatch(text)]
    for number, unit in zip(tail.bare, tail.bare[1:], strict=False):
        if unit in UNITS_BARE and NUMBER.fullmatch(number):
            found.append(f"{number} {unit}")
    return found
