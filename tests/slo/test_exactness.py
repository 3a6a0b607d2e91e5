"""The ledger is exact whatever is late, taken out, changed or recounted: against a count one by one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from server.db import Database
from server.ingest.partitions import ensure_partitions
from server.live.fold import Fold
from server.slo import exclusions, recount_store
from server.slo.exclusions import Act, ExclusionAsked
from server.slo.ledger import Ledger
from server.slo.policies import Policies
from server.slo.recount import Recount
from server.times import utc
from tests.live.test_fold import lead
from tests.live.writing import Sample, Writer, database
from tests.slo.exact import Sent, adopt, check_rows, check_windows
from tests.slo.making import SHOP, availability, latency, service
from tests.slo.test_ledger import NOW, clear, in_a_database, policies

DAYS = 6
SLOWER = service("shop") + availability("shop-works", "shop") + latency("shop-fast", "shop", at_most_ms=500)
MOVED = service("other") + availability("shop-works", "other") + latency("shop-fast", "other")
POLICIES = (SHOP, SLOWER, MOVED)


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
        saved = await exclusions.make(self.db, self.held, asked, Act("test", "", NOW))
        self.excluded[saved.exclusion.id] = asked

    async def revoke(self, number: int) -> None:
        await exclusions.revoke(self.db, self.held, number, Act("test", "", NOW))
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


def exclusion(random_: random.Random) -> ExclusionAsked:
    start = int(NOW) - random_.choice(PLACES) - random_.randrange(LONG_S)
    return ExclusionAsked(
        service=random_.choice(("shop", "shop", "other")),
        start=utc(start),
        stop=utc(start + random_.randrange(1, LONG_S)),
        reason="load test",
        version=random_.choice(("", "", "v1")),
        method=random_.choice(("", "", "GET", "POST")),
        route=random_.choice(("", "", "/pay")),
    )


STEPS = {"flush": 8, "fold": 4, "recount": 3, "check": 2, "exclude": 3, "revoke": 2, "change": 1}


async def step(world: World, random_: random.Random) -> None:
    """Something happens."""
    (what,) = random_.choices(list(STEPS), list(STEPS.values()))
    if what == "flush":
        world.flush(some(random_), random_.randrange(3))
    elif what == "fold":
        await world.folded()
    elif what == "recount":
        await world.recount.once(1)
    elif what == "check":
        await world.check()
    elif what == "exclude":
        await world.exclude(exclusion(random_))
    elif what == "revoke" and world.excluded:
        await world.revoke(random_.choice(list(world.excluded)))
    elif what == "change":
        await adopt(world.db, random_.choice(POLICIES))


@given(st.integers(0, 2**32))
@in_a_database(10)
def test_whatever_happens_in_whatever_order(database_url: str, tmp_path: Path, seed: int) -> None:
    async def run() -> None:
        random_ = random.Random(seed)
        clear(database_url)
        async with world(database_url, tmp_path) as one:
            # Each service is known from the beginning, so that it can be excluded.
            one.flush([Sample(int(NOW) - 100, service=name) for name in ("shop", "other")], 0)
            await one.settled()
            for _ in range(25):
                await step(one, random_)
            await one.folded()
            await one.check()
            await one.check_all()

    asyncio.run(run())
