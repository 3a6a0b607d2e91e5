"""The ledger is exact whatever is late, taken out, changed or recounted: against a count one by one."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.kernel.times import utc
from server.slo.ledger.exclusion import ExclusionAsked
from tests.live.writing import Sample
from tests.slo.ledger.world import LONG_S, PLACES, SLOWER, World, adopt, some, world
from tests.slo.ledgers import NOW, clear, in_a_database
from tests.slo.making import SHOP, availability, latency, service

MOVED = service("other") + availability("shop-works", "other") + latency("shop-fast", "other")


POLICIES = (SHOP, SLOWER, MOVED)


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


@pytest.mark.gen_test
async def test_an_exclusion_under_a_policy_that_nothing_was_folded_under(database_url: str, tmp_path: Path) -> None:
    """One policy replaces another and is replaced by it again, all before the next fold."""
    async with world(database_url, tmp_path) as one:
        one.flush([Sample(int(NOW) - second, bad=second % 2 == 0) for second in range(60, 600)], 0)
        one.flush([Sample(int(NOW) - 100, service="other")], 0)
        await one.settled()
        await adopt(one.db, MOVED)
        hour = ExclusionAsked("shop", utc(int(NOW) - 600), utc(int(NOW) - 300), "load test")
        await one.exclude(hour)
        await adopt(one.db, SHOP)
        await one.check_all()
        await adopt(one.db, MOVED)
        await one.revoke(*one.excluded)
        await adopt(one.db, SHOP)
        await one.check_all()
