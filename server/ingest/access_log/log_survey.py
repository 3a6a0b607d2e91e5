"""What a log is as a whole, before any of it is stored: its form, its times, and the routes that carry its traffic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from itertools import chain, islice

from server.ingest.access_log.log_file import LINE_MAX
from server.live.sketch import bucket, rank
from server.receivers.access_log.detect import SAMPLE, Detected, LogReader, detect
from server.receivers.access_log.entry import LeftKind, LeftLine, LoggedRequest, Read
from server.receivers.access_log.latency import LogAsk

TOO_LONG = LeftLine(LeftKind.REFUSED, f"it is longer than {LINE_MAX:,} bytes")
DAY_US = 86_400_000_000
DAYS_MAX = 50_000  # since 1970: to 2106
WEEK, YEAR = 7, 365  # days
FEW = 0.1  # of the lines
ROUTES_KEPT = 50_000  # counted at once: a log of a stranger's paths must not grow our memory


@dataclass(slots=True)
class Survey:
    """One reading of a log. Times are microseconds since 1970."""

    detected: Detected
    days: dict[int, tuple[int, int]] = field(default_factory=dict)  # day -> lines, newest time
    traffic: Counter[str] = field(default_factory=Counter)  # of routes that were answered otherwise than 404
    durations: Counter[int] = field(default_factory=Counter)  # bucket of the sketch -> requests
    sums: Counter[int] = field(default_factory=Counter)  # and what they took, in microseconds
    proof: tuple[str, LoggedRequest] | None = None  # one line, and what was read of it
    lines: int = 0  # with something in them
    refused: tuple[int, str, LeftLine] | None = None  # the first that is not understood: number, text, reason
    telling: bool = False  # one is of a request, or of a connection that asked for nothing
    unzoned: int = 0  # requests whose time says no zone

    def add(self, line: str, entry: LoggedRequest) -> None:
        """Count a request."""
        self.telling = True
        day = entry.at // DAY_US
        if 0 <= day <= DAYS_MAX:
            lines, newest = self.days.get(day, (0, 0))
            self.days[day] = (lines + 1, max(newest, entry.at))
        self.unzoned += not entry.zoned
        if entry.status != 404:
            self.traffic[entry.route] += 1
            if len(self.traffic) > ROUTES_KEPT:
                self.traffic = Counter(dict(self.traffic.most_common(ROUTES_KEPT // 2)))
        if entry.duration_us is not None:
            self.durations[bucket(entry.duration_us)] += 1
            self.sums[bucket(entry.duration_us)] += entry.duration_us
            if self.proof is None and entry.duration_us:
                self.proof = (line, entry)

    def newest(self, now_us: int) -> int | None:
        """The time that the log ends at; None where it has none.

        What is ahead of now, or a few lines long after all others, is a clock gone wrong and decides nothing.
        """
        days = sorted(self.days.items())
        days = [one for one in days if one[0] * DAY_US <= now_us + DAY_US] or days
        total = sum(lines for _, (lines, _) in days)
        end, after = len(days), 0
        for place in range(len(days) - 1, 0, -1):
            after += days[place][1][0]
            gap = days[place][0] - days[place - 1][0]
            if (gap > WEEK and after <= total * FEW) or (gap > YEAR and after * 2 < total):
                end = place
        return days[end - 1][1][1] if days else None

    def p50_us(self) -> float | None:
        """The median time taken: within 1 %, and exact where all near it are the same."""
        left = rank(self.durations.total(), 0.5)
        for key in sorted(self.durations):
            left -= self.durations[key]
            if left <= 0:
                return self.sums[key] / self.durations[key]
        return None


def survey(lines: Iterable[str | None], asked: LogAsk, zone: tzinfo = UTC) -> Survey:
    """Read a log once. ValueError: what was asked for is not in it."""
    stream = iter(lines)
    first = list(islice(stream, SAMPLE))
    found = Survey(detect([line for line in first if line], asked, zone))
    reader = found.detected.form.reader()
    for number, line, read in reads(chain(first, stream), reader):
        found.lines += 1
        if isinstance(read, LoggedRequest):
            found.add(line, read)
        elif read.kind is LeftKind.NO_REQUEST:
            found.telling = True
        elif found.refused is None:
            found.refused = (number, line, read)
    for read in reader.rest():
        if isinstance(read, LoggedRequest):
            found.add("", read)
    return found


def reads(lines: Iterable[str | None], reader: LogReader, first: int = 1) -> Iterator[tuple[int, str, Read]]:
    """What the lines say, each beside its number (`first` is that of the first) and its text."""
    for number, line in enumerate(lines, first):
        if line is None:
            yield number, "", TOO_LONG
        elif line and not line.isspace():
            for read in reader.read(line):
                yield number, line, read
