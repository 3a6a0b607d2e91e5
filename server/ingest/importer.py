"""A whole access log into the database, by the same path as outcomes that are sent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from server.ingest.accesslog import parse
from server.ingest.batch import Batch
from server.ingest.count import Counted, Thresholds, Unnumbered, count
from server.ingest.numbering import Numbering
from server.ingest.outcome import Outcome, TakenSpan, span, time_fault
from server.ingest.partitions import ensure_partitions
from server.ingest.series import Caps
from server.ingest.writer import Writer
from server.kernel import shared_clock
from server.kernel.db import Database
from server.kernel.settings import Environment

BATCH_ITEMS = 5_000
SHOWN = 5
PATIENCE_S = 30.0


@dataclass(slots=True)
class Report:
    """What became of the lines. Times are microseconds since 1970."""

    stored: int = 0
    unparsed: int = 0
    first_unparsed: list[tuple[int, str]] = field(default_factory=list)  # line number from 1, text
    outside: int = 0  # older than what is kept, or ahead
    outside_why: str = ""
    untimed: int = 0  # stored without a request time: their latency is not known
    oldest: int | None = None
    newest: int | None = None


@dataclass(slots=True)
class Pending:
    """What goes into one batch: lines with a request time, or lines without."""

    timed: bool
    outcomes: list[Outcome] = field(default_factory=list)
    times: list[int] = field(default_factory=list)


def newest(lines: Iterable[str], service: str) -> int | None:
    """The newest time in a log, microseconds since 1970; None where no line parses."""
    return max((logged.at for line in lines if (logged := parse(line, service))), default=None)


class Importer:
    """Stores lines as outcomes of one service. `thresholds` are those of the objectives in force."""

    def __init__(self, env: Environment, db: Database, thresholds: Thresholds) -> None:
        self.env = env
        self.db = db
        self.report = Report()
        self._numbering = Numbering(db, Caps(env.services_max, env.routes_max, env.versions_max), shared_clock.now)
        self._writer = Writer(db, "import", thresholds)
        self._pending = {timed: Pending(timed) for timed in (True, False)}

    async def run(self, lines: Iterable[str], service: str, shift: int, progress: Callable[[int], None]) -> Report:
        """Store the lines, each `shift` microseconds later; `progress` gets the length of what was done.

        Raises ApiError UNAVAILABLE; what was stored before stays, and `report` counts it.
        """
        days = self.env.outcome_retention_days
        await ensure_partitions(self.db, shared_clock.now(), days)
        taken = span(shared_clock.now(), days)
        done = 0
        for number, line in enumerate(lines, 1):
            self._take(number, line, service, shift, taken)
            done += len(line)
            for pending in self._pending.values():
                if len(pending.outcomes) >= BATCH_ITEMS:
                    await self._store(pending)
                    progress(done)
                    done = 0
        for pending in self._pending.values():
            await self._store(pending)
        progress(done)
        return self.report

    def _take(self, number: int, line: str, service: str, shift: int, taken: TakenSpan) -> None:
        report = self.report
        logged = parse(line, service)
        if logged is None:
            if line.strip():
                report.unparsed += 1
                if len(report.first_unparsed) < SHOWN:
                    report.first_unparsed.append((number, line.strip()[:200]))
            return
        at = logged.at + shift
        why = time_fault(at, taken)
        if why:
            report.outside += 1
            report.outside_why = report.outside_why or why
            return
        report.untimed += not logged.timed
        pending = self._pending[logged.timed]
        pending.outcomes.append(logged.outcome)
        pending.times.append(at)

    async def _store(self, pending: Pending) -> None:
        if not pending.outcomes:
            return
        batch = Batch(await self._counted(pending), b"", None)
        await self._writer.store([batch], PATIENCE_S)
        await batch.done
        report = self.report
        report.stored += batch.items
        report.oldest = min(report.oldest or pending.times[0], *pending.times)
        report.newest = max(report.newest or 0, *pending.times)
        self._pending[pending.timed] = Pending(pending.timed)

    async def _counted(self, pending: Pending) -> Counted:
        find = self._numbering.find
        while True:
            try:
                return count(pending.outcomes, pending.times, find, os.urandom(10), timed=pending.timed)
            except Unnumbered as unnumbered:
                await self._numbering.number(unnumbered.spellings)

    async def close(self) -> None:
        await self._writer.close()
        await self._numbering.close()
