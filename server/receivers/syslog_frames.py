"""The frames of a syslog stream: RFC 6587's octet counting, its lines, and what real senders make of both.

A count that is no count (of characters, of more than came) costs its own frame alone: the next one begins where one
plainly begins. What is no frame is one too, as it came: no byte is lost but the counts and what stands between frames,
and those are counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

COUNT = re.compile(rb"(\d{1,9}) (?=<)")
BETWEEN = re.compile(rb"[\r\n\0]+")
# Where a frame ends: before the line that follows, or another count.
ENDS = frozenset(b"\r\n\0<0123456789")
BEGINS = re.compile(rb"\n|(?=(?<!\d)\d{1,7} <\d{1,3}>)")
# A sender of lines that writes none of their ends (winston-syslog over TCP) has its whole header before each.
HEADED = re.compile(rb"<\d{1,3}>1 \d{4}-\d\d-\d\dT[0-9:.Z+-]{8,25} ([!-~]{1,255} [!-~]{1,48} [!-~]{1,128}) ")


class SyslogFrame(NamedTuple):
    """The bytes of one message; `cut`: its count says that there were more."""

    data: bytes
    cut: bool


class SyslogFrames:
    """The frames of a body, in order, once; `between` then says how many bytes stood between them."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.between = 0

    def __iter__(self) -> Iterator[SyslogFrame]:
        body, at = self.body, 0
        while at < len(body):
            between = BETWEEN.match(body, at)
            count = COUNT.match(body, at)
            if between:
                self.between += between.end() - at
                at = between.end()
            elif count:
                self.between += count.end() - at
                at, cut = self._counted(count.end(), int(count[1]))
                yield SyslogFrame(body[count.end() : at], cut)
            else:
                start, at = at, line_end(body, at)
                for data in headed(body[start:at]):
                    yield SyslogFrame(data, cut=False)

    def _counted(self, start: int, length: int) -> tuple[int, bool]:
        """Where the frame ends that begins at `start`, and whether some of it is missing."""
        body, end = self.body, start + length
        if length and (end == len(body) or (end < len(body) and body[end] in ENDS)):
            return end, False
        begins = BEGINS.search(body, start)
        return (begins.start() if begins else len(body)), end > len(body)


def line_end(body: bytes, start: int) -> int:
    """Where the line ends that begins at `start`."""
    end = body.find(b"\n", start)
    return len(body) if end < 0 else end


def headed(line: bytes) -> Iterator[bytes]:
    """The messages of a line that has several, each with the same sender's header before it."""
    first = HEADED.match(line)
    start = 0
    if first:
        for found in HEADED.finditer(line, first.end()):
            if found[1] == first[1]:
                yield line[start : found.start()]
                start = found.start()
    yield line[start:]
