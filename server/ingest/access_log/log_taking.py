"""What of a log is taken as outcomes of one service: in its time, under which routes, and what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

from server.ingest.access_log.log_survey import reads
from server.ingest.outcome import Outcome, span, time_fault
from server.ingest.routes.templates import NO_PATTERNS, PathTree
from server.kernel import shared_clock
from server.kernel.names import NOT_FOUND, OTHER
from server.kernel.settings import Environment
from server.receivers.access_log.detect import LogReader
from server.receivers.access_log.entry import LeftKind, LeftLine, LoggedRequest

SHOWN = 5
NAMED_MAX = 20_000  # routes remembered with what patterns make of them
ANSWERED = (2, 5)  # hundreds of statuses that a stranger's guess at a path does not get

Aborted = Literal["bad", "good", "apart"]


@dataclass(slots=True)
class LeftOut:
    """How many lines were left out, and the first of them: number from 1, text, reason."""

    count: int = 0
    first: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, number: int, line: str, why: str) -> None:
        """Count a line."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append((number, line, why))

    def join(self, other: LeftOut) -> None:
        """Count what another has counted, of lines that follow."""
        self.count += other.count
        self.first += other.first[: SHOWN - len(self.first)]


@dataclass(slots=True)
class LogPart:
    """The outcomes of some lines that go into one batch: those with a latency, or those without."""

    timed: bool
    outcomes: list[Outcome] = field(default_factory=list)
    times: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """What became of the lines. Times are microseconds since 1970."""

    known: int = 0  # lines that were stored before
    stored: int = 0
    untimed: int = 0  # stored without knowing their latency
    unanswered: Counter[str] = field(default_factory=Counter)  # what the log says of it -> requests
    left: dict[LeftKind, LeftOut] = field(default_factory=lambda: {kind: LeftOut() for kind in LeftKind})
    outside: LeftOut = field(default_factory=LeftOut)  # older than what is kept, or ahead
    other_routes: int = 0  # stored under (other)
    oldest: int | None = None
    newest: int | None = None

    def count(self, part: LogPart) -> None:
        """Count outcomes that are stored."""
        self.stored += len(part.times)
        self.untimed += 0 if part.timed else len(part.times)
        self.oldest = min((at for at in (self.oldest, *part.times) if at is not None), default=None)
        self.newest = max((at for at in (self.newest, *part.times) if at is not None), default=None)

    def join(self, other: Report) -> None:
        """Add what became of other lines, which follow."""
        self.known += other.known
        self.stored += other.stored
        self.untimed += other.untimed
        self.unanswered.update(other.unanswered)
        for kind, left in other.left.items():
            self.left[kind].join(left)
        self.outside.join(other.outside)
        self.other_routes += other.other_routes
        self.oldest = min((at for at in (self.oldest, other.oldest) if at is not None), default=None)
        self.newest = max((at for at in (self.newest, other.newest) if at is not None), default=None)


@dataclass(slots=True)
class LogPiece:
    """What some lines of a log say, not stored yet, and what is to be reported of them."""

    timed: LogPart = field(default_factory=lambda: LogPart(True))
    untimed: LogPart = field(default_factory=lambda: LogPart(False))
    report: Report = field(default_factory=Report)


class LogTaking:
    """Makes outcomes of one service of what a log says.

    `aborted` is what requests without a whole answer are. `live`: which routes carry traffic is learned as it comes.
    """

    def __init__(self, env: Environment, service: str, *, aborted: Aborted = "bad", live: bool = False) -> None:
        self.env = env
        self.service = service
        self.aborted = aborted
        self.report = Report()
        self.routes: set[str] = set()  # those that carry traffic, and are counted under their names
        self.routes_max = max(1, env.routes_max - 1)  # one is for NOT_FOUND
        self._live = live
        self._tree: PathTree = NO_PATTERNS
        self._named: dict[str, str] = {}  # path as route -> route by the patterns

    def named(self, route: str) -> str:
        """The route by the patterns in force."""
        known = self._named.get(route)
        if known is None:
            if len(self._named) >= NAMED_MAX:
                self._named.clear()
            known = self._named[route] = self._tree.route(route).route
        return known

    def take_traffic(self, traffic: Mapping[str, int]) -> None:
        """Give names to the routes with most of the traffic."""
        counted: Counter[str] = Counter()
        for route, requests in traffic.items():
            counted[self.named(route)] += requests
        self.routes = {route for route, _ in counted.most_common(self.routes_max)}

    def read(
        self, lines: Sequence[str | None], reader: LogReader, first: int, shift: int = 0, *, final: bool = False
    ) -> LogPiece:
        """What lines say, each `shift` microseconds later; `first` is the number of the first. `final`: with what is
        known only at the end."""
        taken = span(shared_clock.now(), self.env.outcome_retention_days)
        piece = LogPiece()
        report = piece.report
        rest = ((first + len(lines), "", read) for read in reader.rest()) if final else ()
        for number, line, read in chain(reads(lines, reader, first), rest):
            if isinstance(read, LeftLine):
                report.left[read.kind].add(number, line, read.why)
                continue
            at = read.at + shift
            if at > taken.newest or at < taken.oldest:
                report.outside.add(number, line, time_fault(at, taken) or "")
                continue
            if read.unanswered:
                report.unanswered[read.unanswered] += 1
                if self.aborted == "apart":
                    continue
            part = piece.untimed if read.duration_us is None else piece.timed
            part.outcomes.append(self._outcome(read, report))
            part.times.append(at)
        return piece

    def _outcome(self, entry: LoggedRequest, report: Report) -> Outcome:
        return Outcome(
            service=self.service,
            route=self._route(entry, report),
            method=entry.method,
            status=entry.status,
            duration_ms=(entry.duration_us or 0) / 1000,
            request_id=entry.request_id,
            error=self.aborted == "bad" if entry.unanswered else None,
        )

    def _route(self, entry: LoggedRequest, report: Report) -> str:
        """The route that it is counted under: only what carries traffic has one of its own."""
        route = self.named(entry.route)
        if route in self.routes:
            return route
        if self._live and entry.status // 100 in ANSWERED and len(self.routes) < self.routes_max:
            self.routes.add(route)
            return route
        if entry.status == 404:
            return NOT_FOUND
        report.other_routes += 1
        return OTHER
