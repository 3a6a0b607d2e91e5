"""A whole access log into the database, by the same path as outcomes that are sent."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from server.ingest.batch import Batch
from server.ingest.count import count
from server.ingest.counted import Counted, Thresholds, Unnumbered
from server.ingest.log_survey import Survey, reads
from server.ingest.numbering import Numbering
from server.ingest.outcome import Outcome, span, time_fault
from server.ingest.partitions import ensure_partitions
from server.ingest.series import Caps
from server.ingest.writer import Writer
from server.kernel import shared_clock
from server.kernel.db import Database
from server.kernel.names import NOT_FOUND, OTHER
from server.kernel.settings import Environment
from server.process.reserve import reserve_of
from server.receivers.access_log.entry import LeftKind, LeftLine, LoggedRequest

BATCH_ITEMS = 5_000
SHOWN = 5
PATIENCE_S = 30.0
TOLD = -1  # stands for a process that has sent the log's outcomes itself, so that the watch tells of them

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


@dataclass(slots=True)
class Report:
    """What became of the lines. Times are microseconds since 1970."""

    stored: int = 0
    untimed: int = 0  # stored without knowing their latency
    unanswered: Counter[str] = field(default_factory=Counter)  # what the log says of it -> requests
    left: dict[LeftKind, LeftOut] = field(default_factory=lambda: {kind: LeftOut() for kind in LeftKind})
    outside: LeftOut = field(default_factory=LeftOut)  # older than what is kept, or ahead
    other_routes: int = 0  # stored under (other)
    oldest: int | None = None
    newest: int | None = None


@dataclass(slots=True)
class Pending:
    """What goes into one batch: lines with a request time, or lines without."""

    timed: bool
    outcomes: list[Outcome] = field(default_factory=list)
    times: list[int] = field(default_factory=list)


class Importer:
    """Stores a log as outcomes of one service. `thresholds` are those of the objectives in force.

    `aborted` is what requests without a whole answer are; `tell`: the watch takes the outcomes for sent ones and
    alerts on them, else they only count.
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
    ) -> None:
        self.env = env
        self.db = db
        self.service = service
        self.aborted = aborted
        self.report = Report()
        self._numbering = Numbering(db, Caps(env.services_max, env.routes_max, env.versions_max), shared_clock.now)
        self._writer = Writer(db, "import", thresholds, reserve=reserve_of(env))
        if tell:
            self._writer.process_id = TOLD
        self._pending = {timed: Pending(timed) for timed in (True, False)}
        self._routes: set[str] = set()  # those that carry the log's traffic

    async def run(
        self, lines: Iterable[str | None], survey: Survey, shift: int, progress: Callable[[], None]
    ) -> Report:
        """Store the log that was surveyed, each line `shift` microseconds later; `progress` is called now and then.

        Raises ApiError UNAVAILABLE; what was stored before stays, and `report` counts it.
        """
        days = self.env.outcome_retention_days
        await ensure_partitions(self.db.of_outcomes, shared_clock.now(), days)
        taken = span(shared_clock.now(), days)
        named = max(1, self.env.routes_max - 1)  # one is for NOT_FOUND
        self._routes = {route for route, _ in survey.traffic.most_common(named)}
        for number, line, read in reads(lines, survey.detected.form):
            if isinstance(read, LeftLine):
                self.report.left[read.kind].add(number, line, read.why)
                continue
            why = time_fault(read.at + shift, taken)
            if why:
                self.report.outside.add(number, line, why)
                continue
            self._take(read, read.at + shift)
            for pending in self._pending.values():
                if len(pending.outcomes) >= BATCH_ITEMS:
                    await self._store(pending)
                    progress()
        for pending in self._pending.values():
            await self._store(pending)
        progress()
        return self.report

    def _take(self, entry: LoggedRequest, at: int) -> None:
        if entry.unanswered:
            self.report.unanswered[entry.unanswered] += 1
            if self.aborted == "apart":
                return
        pending = self._pending[entry.duration_us is not None]
        pending.outcomes.append(
            Outcome(
                service=self.service,
                route=self._route(entry),
                method=entry.method,
                status=entry.status,
                duration_ms=(entry.duration_us or 0) / 1000,
                request_id=entry.request_id,
                error=self.aborted == "bad" if entry.unanswered else None,
            )
        )
        pending.times.append(at)

    def _route(self, entry: LoggedRequest) -> str:
        """The route that it is counted under: only what carries traffic has one of its own."""
        if entry.route in self._routes:
            return entry.route
        if entry.status == 404:
            return NOT_FOUND
        self.report.other_routes += 1
        return OTHER

    async def _store(self, pending: Pending) -> None:
        if not pending.outcomes:
            return
        batch = Batch(await self._counted(pending), b"", None)
        await self._writer.store([batch], PATIENCE_S)
        await batch.done
        report = self.report
        report.stored += batch.items
        report.untimed += 0 if pending.timed else batch.items
        report.oldest = min(report.oldest or pending.times[0], *pending.times)
        report.newest = max(report.newest or 0, *pending.times)
        self._pending[pending.timed] = Pending(pending.timed)

    async def _counted(self, pending: Pending) -> Counted:
        find = self._numbering.find
        while True:
            try:
                return count(pending.outcomes, pending.times, find, os.urandom(10), timed=pending.timed)
            except Unnumbered as unnumbered:
                await self._numbering.number(unnumbered.spellings, first=unnumbered.spellings)

    async def close(self) -> None:
        await self._writer.close()
        await self._numbering.close()
