"""Outcomes, exclusions and policies at random, and the service that counts them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

from server.ingest.partitions import ensure_partitions
from server.kernel.db import Database
from server.live.fold import Fold
from server.slo.ledger import exclusions, recount_store
from server.slo.ledger.exclusion import ExclusionAsked
from server.slo.ledger.ledger import Ledger
from server.slo.ledger.recount import Recount
from server.slo.policy.policies import Policies
from tests.live.rollups import lead
from tests.live.writing import Sample, Writer, database
from tests.slo.exact import Sent, check_rows, check_windows
from tests.slo.ledgers import NOW, policies
from tests.slo.making import SHOP, availability, latency, service

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
