"""Outcomes, exclusions and policies at random, the service that counts them, and a count one by one."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psycopg

from server.ingest.partitions import ensure_partitions
from server.kernel.db import Database
from server.live.fold import Fold
from server.slo.ledger import exclusions, recount_store, spans
from server.slo.ledger.exclusion import ExclusionAsked
from server.slo.ledger.ledger import Ledger
from server.slo.ledger.recount import Recount
from server.slo.ledger.spans import Split
from server.slo.ledger.windows import LedgerWindows, first_minute
from server.slo.model.counts import Counts
from server.slo.model.objective import Objective
from server.slo.policy import adoption
from server.slo.policy.policies import Policies
from tests.live.rollups import lead
from tests.live.writing import Sample, Writer, database
from tests.slo.ledgers import NOW, policies
from tests.slo.making import SHOP, availability, latency, service


class Sent(NamedTuple):
    """An outcome that was stored; `timed` False: nobody knows how long it took."""

    sample: Sample
    timed: bool = True


def covered(sample: Sample, exclusions: Iterable[ExclusionAsked]) -> bool:
    """Whether one of them takes the outcome out."""
    return any(
        each.service == sample.service
        and each.start.timestamp() // 60 * 60 <= sample.second < -(-each.stop.timestamp() // 60) * 60
        and each.route in ("", sample.route)
        and each.version in ("", sample.version)
        and each.method in ("", sample.method)
        for each in exclusions
    )


def brute(
    objective: Objective, sent: Iterable[Sent], start: float, stop: float, exclusions: Sequence[ExclusionAsked] = ()
) -> Split:
    """Count one by one."""
    found = Split()
    for sample, timed in sent:
        if sample.service != objective.service or not start <= sample.second < stop:
            continue
        if objective.threshold_us is None:
            one = Counts(not sample.bad, sample.bad)
        elif sample.bad or not timed:
            one = Counts(excluded=1)
        else:
            fast = sample.duration_us <= objective.threshold_us
            one = Counts(fast, not fast)
        out = covered(sample, exclusions)
        # What is neither good nor bad for an objective cannot be taken out of it.
        kept, left_out = (Counts(excluded=one.excluded), Counts(one.good, one.bad)) if out else (one, Counts())
        found = Split(found.counts.plus(kept), found.left_out.plus(left_out))
    return found


def ledger_rows(url: str, table: str, column: str) -> dict[tuple[int, int], Counts]:
    """A table of the ledger, by objective and Unix seconds; without rows of nothing."""
    excluded = "0" if table == "ledger_left_out" else "excluded"
    with psycopg.connect(url) as connection:
        found = connection.execute(
            f"SELECT objective_id, extract(epoch FROM {column})::bigint, good, bad, {excluded} FROM {table}".encode()
        )
        return {(row[0], row[1]): Counts(*row[2:]) for row in found if any(row[2:])}


async def adopt(db: Database, text: str) -> None:
    """Another process stores another policy."""
    async with db.act() as connection:
        await adoption.adopt(connection, text, author="test", asked=True)


async def check_windows(
    db: Database,
    objectives: tuple[Objective, ...],
    sent: Sequence[Sent],
    exclusions: Sequence[ExclusionAsked],
    now: float,
) -> None:
    """Over rolling windows and the month, with what is folded and what is not."""
    month = "2026-09"
    async with db.ask() as connection:
        rolling = await LedgerWindows((300, 3600, 86_400)).read(connection, objectives, now)
        monthly = await spans.read(connection, objectives, spans.month_span(month, now))
    end = int(now) - int(now) % 60 + 60  # a minute belongs to a window when it has begun
    start, stop = spans.months.bounds(month)
    for objective in objectives:
        read = rolling[objective.id]
        for window in read:
            expected = brute(objective, sent, first_minute(now, window), end, exclusions)
            assert (read[window], read.out(window)) == expected, (objective.name, window)
            assert read.counted(window) == expected.counted
        assert monthly[objective.id] == brute(objective, sent, start, min(stop, end), exclusions), objective.name


def check_rows(
    url: str, held: Policies, sent: Sequence[Sent], exclusions: Sequence[ExclusionAsked], only: Iterable[int]
) -> None:
    """Every row of the ledgers in `only`, once all is folded and recounted."""
    for table, column, span in (
        ("ledger_minutes", "minute", 60),
        ("ledger_hours", "hour", 3600),
        ("ledger_left_out", "minute", 60),
    ):
        expected = {}
        for objective in held.objectives:
            for start in {each.sample.second // span * span for each in sent}:
                split = brute(objective, sent, start, start + span, exclusions)
                counts = split.left_out if table == "ledger_left_out" else split.counted
                if any(counts):
                    expected[objective.id, start] = counts
        found = {key: counts for key, counts in ledger_rows(url, table, column).items() if key[0] in set(only)}
        assert found == expected, table


DAYS = 6


SLOWER = service("shop") + availability("shop-works", "shop") + latency("shop-fast", "shop", at_most_ms=500)


@dataclass
class World:
    """One database, its writers, its watch, and what was done so far."""

    url: str
    db: Database
    held: Policies
    writers: list[Writer]
    sent: list[Sent] = field(default_factory=list)
    excluded: dict[int, ExclusionAsked] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.held)
        self.fold = Fold(self.db, self.ledger.fold)
        self.recount = Recount(self.db, self.fold, self.ledger, lambda: NOW)
        self.unfolded = False

    def flush(self, batch: list[Sample], writer: int) -> None:
        self.unfolded = True
        self.writers[writer].flush(batch)
        self.sent += [Sent(sample, self.writers[writer].threshold_us is not None) for sample in batch]

    async def exclude(self, asked: ExclusionAsked) -> None:
        saved = await exclusions.make(self.db, self.held, asked, actor="test", request_id="", now=NOW)
        self.excluded[saved.exclusion.id] = asked

    async def revoke(self, number: int) -> None:
        await exclusions.revoke(self.db, self.held, number, actor="test", request_id="", now=NOW)
        del self.excluded[number]

    async def folded(self) -> None:
        await self.fold.run(1)
        self.unfolded = False

    async def settled(self) -> None:
        """All is folded and recounted."""
        await self.folded()
        while await self.recount.once(1):
            pass

    async def check(self) -> None:
        """Where nothing is being recounted, every window is exact at any moment.

        Latency once all is folded: before, nobody knows what a process did not measure.
        """
        async with self.db.act() as connection:
            await self.held.follow(connection)
            exact = await recount_store.exactness(connection, [o.id for o in self.held.objectives], NOW)
        if not any(each.recounting for each in exact.values()):
            objectives = tuple(o for o in self.held.objectives if o.kind == "availability" or not self.unfolded)
            await check_windows(self.db, objectives, self.sent, list(self.excluded.values()), NOW)

    async def check_all(self) -> None:
        """The windows, and every row of the ledgers in force."""
        await self.settled()
        await self.check()
        ids = [objective.id for objective in self.held.objectives]
        check_rows(self.url, self.held, self.sent, list(self.excluded.values()), ids)


@asynccontextmanager
async def world(url: str, directory: Path) -> AsyncIterator[World]:
    """Writers that know 300 ms, 500 ms, and an import without request times."""
    lead(url, 1)
    with ExitStack() as stack:
        thresholds: tuple[int | None, ...] = (300_000, 500_000, None)
        writers = [stack.enter_context(closing(Writer(url, threshold_us=each, raw=True))) for each in thresholds]
        async with database(url) as db, policies(db, url, directory, SHOP) as held:
            await ensure_partitions(db, NOW, DAYS + 2)
            yield World(url, db, held, writers)


PLACES = (-300, 900, 900, 7000, 86_400, DAYS * 86_400)  # seconds ago; the first lies ahead, the last are late


LONG_S = 900


def some(random_: random.Random) -> list[Sample]:
    """Outcomes at a few places in time, so that they meet one another and the exclusions."""
    return [
        Sample(
            int(NOW) - random_.choice(PLACES) - random_.randrange(LONG_S),
            random_.choice((0, 300_000, 300_001, 500_001)),
            random_.random() < 0.3,
            random_.choice(("shop", "shop", "other")),
            random_.choice(("/pay", "/cart")),
            random_.choice(("", "v1")),
        )
        for _ in range(random_.randrange(1, 40))
    ]
