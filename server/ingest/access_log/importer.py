"""What a log says into the database, by the same path as outcomes that are sent."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection

from server.ingest import received_store
from server.ingest.access_log import log_place_store
from server.ingest.access_log.log_place import LogPlace
from server.ingest.access_log.log_survey import reads
from server.ingest.batch import Batch, Claim, StoredBatch
from server.ingest.count import count
from server.ingest.counted import Counted, Thresholds, Unnumbered
from server.ingest.numbering import Numbering
from server.ingest.outcome import Outcome, span, time_fault
from server.ingest.partitions import ensure_partitions
from server.ingest.received import ReceivedTally
from server.ingest.routes import template_store
from server.ingest.routes.templates import NO_PATTERNS, PathTree
from server.ingest.series import Caps
from server.ingest.writer import Writer
from server.kernel import shared_clock
from server.kernel.connection import OwnConnection
from server.kernel.db import Database, why_away
from server.kernel.errors import ApiError
from server.kernel.names import NOT_FOUND, OTHER
from server.kernel.settings import Environment
from server.process.reserve import reserve_of
from server.receivers.access_log.detect import LogReader
from server.receivers.access_log.entry import LeftKind, LeftLine, LoggedRequest

SHOWN = 5
ACCESS_LOG = "Access log"  # the receiver
PATIENCE_S = 30.0
NAMED_MAX = 20_000  # routes remembered with what patterns make of them
LIVE_S = 2.0  # for one try, which is made again
PLACES_S = 5.0  # for the place of a log to be read or written
TOLD = -1  # stands for a process that has sent the log's outcomes itself, so that the watch tells of them
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


class Importer:
    """Stores logs as outcomes of one service. `thresholds` are those of the objectives in force.

    `aborted` is what requests without a whole answer are; `tell`: the watch takes the outcomes for sent ones and
    alerts on them, else they only count. `live`: which routes carry traffic is learned as it comes.
    """

    def __init__(
        self,
        env: Environment,
        db: Database,
        thresholds: Thresholds,
        service: str,
        *,
        aborted: Aborted = "bad",
        tell: bool = False,
        live: bool = False,
    ) -> None:
        self.env = env
        self.db = db
        self.service = service
        self.aborted = aborted
        self.report = Report()
        self.routes: set[str] = set()  # those that carry traffic, and are counted under their names
        self.routes_max = max(1, env.routes_max - 1)  # one is for NOT_FOUND
        self._live = live
        self._tree = NO_PATTERNS
        self._named: dict[str, str] = {}  # path as route -> route by the patterns
        self._patience_s = LIVE_S if live else PATIENCE_S
        self._numbering = Numbering(db, Caps(env.services_max, env.routes_max, env.versions_max), shared_clock.now)
        self._writer = Writer(db, "import", thresholds, self.make_partitions, reserve=reserve_of(env))
        self._places = OwnConnection(db, "log places")
        if tell:
            self._writer.process_id = TOLD

    async def take_patterns(self, connection: AsyncConnection) -> None:
        """Take the patterns of routes that are in force."""
        found = await template_store.of_service(connection, self.service)
        self._tree = PathTree((one.pattern, not one.author) for one in found)
        self._named.clear()

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

    async def make_partitions(self) -> None:
        """Make room for outcomes of the days that are taken. psycopg.Error, OSError: the database is away."""
        await ensure_partitions(self.db.of_outcomes, shared_clock.now(), self.env.outcome_retention_days)

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

    async def store(self, part: LogPart, claim: Claim | None) -> StoredBatch:
        """Store outcomes, under a claim once. Raises ApiError; UNAVAILABLE and IN_FLIGHT end by themselves."""
        batch = Batch(await self._counted(part), claim.answer if claim else b"", claim)
        await self._writer.store([batch], self._patience_s)
        return await batch.done

    async def _counted(self, part: LogPart) -> Counted:
        find = self._numbering.find
        while True:
            try:
                return count(part.outcomes, part.times, find, os.urandom(10), timed=part.timed)
            except Unnumbered as unnumbered:
                await self._numbering.number(unnumbered.spellings, first=unnumbered.spellings)

    async def places(self, known: bytes) -> dict[int, LogPlace]:
        """The places of logs that begin so, by number. ApiError UNAVAILABLE."""
        try:
            async with self._places.use(PLACES_S) as connection:
                return await log_place_store.places(connection, known)
        except (psycopg.Error, OSError) as error:
            raise away(error) from error

    async def move(self, known: bytes, number: int, place: LogPlace, report: Report) -> None:
        """A log is stored up to there, and what became of the lines before it. ApiError UNAVAILABLE."""
        try:
            async with self._places.use(PLACES_S) as connection:
                await log_place_store.move(connection, known, number, place)
                await received_store.add(connection, received_of(report).take(shared_clock.now()))
        except (psycopg.Error, OSError) as error:
            raise away(error) from error

    async def close(self) -> None:
        """Give back its connections."""
        await self._writer.close()
        await self._numbering.close()
        await self._places.close()


def received_of(report: Report) -> ReceivedTally:
    """What became of some lines, as it is counted by receiver."""
    tally, now = ReceivedTally(), shared_clock.now()
    if report.stored:
        tally.add(now, ACCESS_LOG, 0, requests=0, items=report.stored)
    for reason, left in (("not understood", report.left[LeftKind.REFUSED]), ("time not taken", report.outside)):
        if left.count:
            tally.add(now, ACCESS_LOG, 0, reason, requests=0, items=left.count, said=left.first[0][2])
    return tally


def away(error: BaseException) -> ApiError:
    return ApiError("UNAVAILABLE", f"{why_away(error)} Run it again: it goes on where it was.", retry_after=2)
