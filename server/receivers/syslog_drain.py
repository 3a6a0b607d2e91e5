"""What a body of syslog messages says: requests that servers log, and log lines.

Only what a server's own line looks like is a request. An application's JSON about a request that its proxy has logged
too would count it twice: that stays a log line.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, tzinfo
from hashlib import blake2b
from itertools import islice

from server.receivers.access_log.detect import LogReader, detect
from server.receivers.access_log.entry import LoggedRequest
from server.receivers.access_log.latency import LogAsk
from server.receivers.access_log.moment import EPOCH, MICROSECOND, STAMP
from server.receivers.access_log.records import json_record, known_in
from server.receivers.drained import LINES_MAX, Drained, DrainedLine, DrainedRequest, require_lines
from server.receivers.json_lines import inner_of, said_in
from server.receivers.syslog import SyslogLine, in_order, read
from server.receivers.syslog_frames import SyslogFrames

UNNAMED = "syslog"  # the service of what names none
TEXT_MAX, HEAD = 16_384, 2_000  # characters: no server's line is longer, and its time stands near its beginning
METHOD = r"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|[A-Z]{3,16})"
QUOTED = re.compile(rf'"{METHOD} [^"]')  # no other line is worth a look
CUT_REQUEST = re.compile(rf'"{METHOD} [^" ]{{900,}}"?\s*$')  # HAProxy cuts it at 1,024 bytes, and its version with it
SERVERS_KEYS = frozenset({"request_time", "remote_addr", "upstream_addr", "upstream_response_time"})  # nginx's names
QUARTER_US = 900_000_000  # zones are so far apart
ASKED = LogAsk()


def drain(body: bytes, now: int, service: str = "", zone: tzinfo = UTC) -> Drained:
    """What a body says. `now` in microseconds since 1970; `service` '': it is the program of each message, or its host.
    `zone` is that of times that name none."""
    drained = Drained()
    frames = list(islice(SyslogFrames(body), LINES_MAX + 1))
    require_lines(len(frames))
    lines = [read(frame, now, zone) for frame in frames]
    equal: Counter[bytes] = Counter()  # messages, by all that they say
    drained.exact = any(line.at is not None and line.at % 1_000_000 for line in lines)
    requests = ServerLines(zone)
    for frame, line, at in zip(frames, lines, in_order(lines), strict=True):
        whose = service or line.app or line.host or UNNAMED
        request = requests.request_in(line)
        drained.messages += 1
        drained.cut += line.cut or (request is not None and CUT_REQUEST.search(line.text) is not None)
        if request is not None:
            drained.requests.append(drained_request(request, line, whose, known_by(frame.data, line, whose, equal)))
        elif line.text:
            drained.lines.append(log_line(line, at, whose))
        else:
            drained.left["empty"] += 1
    return drained


def log_line(line: SyslogLine, at: int | None, service: str) -> DrainedLine:
    """A message as a log line; what its text says of its severity is more than its header knows."""
    said = said_in(line.text, inner_of(line.text))
    severity, level = (said.severity, said.level) if said.severity > line.severity else (line.severity, line.level)
    process = f"{line.app}[{line.process}]" if line.app and line.process else line.app
    return DrainedLine(
        service, at, line.text, severity, level, line.host, process, said.request_id, said.trace_id, line.cut
    )


def known_by(data: bytes, line: SyslogLine, service: str, equal: Counter[bytes]) -> bytes:
    """By what a message is known in whichever body it comes: shippers put what was not answered into a larger one.

    Only where its time was taken to the microsecond, of which one in a thousand ends in 000. The second of two that are
    equal within a body is another one.
    """
    if line.at is None or not line.fine:
        return b""
    said = service.encode() + b"\0" + data.rstrip(b"\r\n\0")
    equal[said] += 1
    return blake2b(b"%d " % equal[said] + said, digest_size=12).digest()


def drained_request(read: LoggedRequest, line: SyslogLine, service: str, known_by: bytes) -> DrainedRequest:
    """A request that a server logged. The server's end within an answer is a failure, nobody's answer is none."""
    broken = read.unanswered is not None and read.unanswered.startswith("flags ") and read.unanswered[6] not in "Cc"
    return DrainedRequest(
        service=service,
        method=read.method,
        target=read.route,
        status=read.status,
        at=read.at,
        duration_us=read.duration_us,
        failed=True if broken else None,
        abandoned=read.unanswered is not None and not broken,
        error_class=(read.unanswered or "").removeprefix("flags ") if broken else "",
        instance=line.host,
        request_id=read.request_id,
        known_by=known_by,
    )


class ServerLines:
    """Finds the requests in the lines of one body. What was found out of a program's line is used for its next."""

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._readers: dict[str, LogReader] = {}

    def request_in(self, line: SyslogLine) -> LoggedRequest | None:
        """The request that a line tells of; None where it tells of none."""
        text = line.text
        if len(text) > TEXT_MAX or not (is_server_record(text) if text.startswith("{") else QUOTED.search(text)):
            return None
        timed = text.startswith("{") or STAMP.search(text[:HEAD]) is not None
        if not timed:
            if line.at is None:
                return None
            text = f"[{EPOCH + line.at * MICROSECOND:%d/%b/%Y:%H:%M:%S} +0000] {text}"
        found = self._known(line.app, text) or self._detected(line.app, text)
        return None if found is None else found._replace(at=moment_of(found, line, timed))

    def _known(self, app: str, text: str) -> LoggedRequest | None:
        reader = self._readers.get(app)
        return None if reader is None else request_of(reader, text)

    def _detected(self, app: str, text: str) -> LoggedRequest | None:
        found = detect([text], ASKED, self.zone)
        reader = found.form.reader()
        if found.took:
            self._readers[app] = reader
        return request_of(reader, text)


def request_of(reader: LogReader, text: str) -> LoggedRequest | None:
    return next((one for one in reader.read(text) if isinstance(one, LoggedRequest)), None)


def is_server_record(text: str) -> bool:
    """Whether a JSON line is one that a server writes of a request."""
    record = json_record(text)
    return record is not None and (known_in(record) is not None or not SERVERS_KEYS.isdisjoint(record))


def moment_of(read: LoggedRequest, line: SyslogLine, timed: bool) -> int:
    """When a request ended. A time that names no zone is of the zone in which it is nearest to that of the header."""
    if line.at is None:
        return read.at
    if not timed:
        return line.at
    return read.at if read.zoned else read.at + round((line.at - read.at) / QUARTER_US) * QUARTER_US
