"""Recounts: what bounds them, and what may come between."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import psycopg
import pytest

from server.kernel.db import Database
from server.live.fold import Fold
from server.process.watch import Fenced
from server.slo.ledger import recount_store
from server.slo.ledger.ledger import Ledger
from server.slo.ledger.recount import Recount, Weight, oldest, part_start
from server.slo.ledger.recount_store import Exactness
from tests.live.rollups import lead
from tests.live.writing import Sample, Writer
from tests.slo.ledger.world import SLOWER, World, adopt, ledger_rows, some, world
from tests.slo.ledgers import NOW
from tests.slo.making import SHOP, availability, latency, service

DAY_S = 86_400
HOUR_S = 3600
NOW_MINUTE = int(NOW) // 60 * 60


def execute(url: str, query: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(query.encode())


async def exactness(one: World, name: str) -> Exactness:
    async with one.db.act() as connection:
        await one.held.follow(connection)
        objective = one.held.objective(name)
        assert objective is not None
        return (await recount_store.exactness(connection, [objective.id], NOW))[objective.id]


@pytest.mark.gen_test
async def test_minutes_whose_outcomes_were_not_stored_end_it(database_url: str, tmp_path: Path) -> None:
    """A threshold is raised; an hour ago outcomes were not stored for a minute. What is newer is exact."""
    gap = NOW_MINUTE - HOUR_S
    async with world(database_url, tmp_path) as one:
        one.flush([Sample(gap - 600, 400_000), Sample(gap + 60, 400_000), *[Sample(NOW_MINUTE, 600_000)] * 2], 0)
        execute(database_url, "DELETE FROM outcomes WHERE ctid = (SELECT max(ctid) FROM outcomes)")
        execute(database_url, "UPDATE outcomes SET detail = '{\"weight\": 2}' WHERE duration_us = 600000")
        rollups_only = Writer(database_url)
        rollups_only.flush([Sample(gap + 5, 400_000)])
        rollups_only.close()
        await one.settled()
        assert not (await exactness(one, "shop-fast")).recounting
        await adopt(one.db, SLOWER)
        one.flush([Sample(NOW_MINUTE + 1, 400_000)], 1)
        assert await exactness(one, "shop-fast") == (NOW, True)  # it is known, and nothing is counted yet
        await one.settled()
        assert await exactness(one, "shop-fast") == (gap + 60, False)
        slower = one.held.objective("shop-fast")
        assert slower is not None
        rows = ledger_rows(database_url, "ledger_minutes", "minute")
        assert rows[slower.id, gap + 60] == (1, 0, 0)
        assert rows[slower.id, NOW_MINUTE] == (1, 2, 0)
        # Availability needs no threshold.
        assert (await exactness(one, "shop-works")).since < NOW - 399 * DAY_S


@pytest.mark.gen_test
async def test_a_ledger_that_was_begun_after_the_last_outcome_is_counted_too(database_url: str, tmp_path: Path) -> None:
    """A service sends once, and nothing comes any more that would be folded."""
    async with world(database_url, tmp_path) as one:
        one.flush([Sample(NOW_MINUTE, bad=True), Sample(NOW_MINUTE)], 0)
        await one.settled()
        await adopt(one.db, service("shop") + availability("works", "shop"))
        await exactness(one, "works")  # in force here
        await one.recount.run(1)
        works = one.held.objective("works")
        assert works is not None
        assert ledger_rows(database_url, "ledger_minutes", "minute")[works.id, NOW_MINUTE] == (1, 1, 0)
        assert not (await exactness(one, "works")).recounting


@pytest.mark.gen_test
async def test_a_threshold_that_was_measured_all_along_needs_no_outcomes(database_url: str, tmp_path: Path) -> None:
    async with world(database_url, tmp_path) as one:
        old, renamed = NOW_MINUTE - 20 * DAY_S, SHOP.replace("name: shop-fast", "name: shop-quick")
        one.writers[0].raw = False
        one.flush([Sample(old, 200_000), Sample(old, 400_000), Sample(old, bad=True)], 0)
        await one.settled()
        await adopt(one.db, renamed)
        one.flush([Sample(NOW_MINUTE)], 0)
        await one.settled()
        quick = one.held.objective("shop-quick")
        assert quick is not None
        assert ledger_rows(database_url, "ledger_minutes", "minute")[quick.id, old] == (1, 1, 1)
        assert (await exactness(one, "shop-quick")).since == oldest(NOW, 35)


@pytest.mark.gen_test
async def test_beyond_the_minutes_availability_is_counted_from_the_hours(database_url: str, tmp_path: Path) -> None:
    old = (NOW_MINUTE - 100 * DAY_S) // HOUR_S * HOUR_S
    async with world(database_url, tmp_path) as one:
        one.writers[0].raw = False
        one.flush([Sample(old + 60), Sample(old + 3599, bad=True)], 0)
        one.writers[0].raw = True
        one.flush([Sample(NOW_MINUTE)], 0)
        await one.settled()
        execute(database_url, f"DELETE FROM minutes WHERE minute < to_timestamp({oldest(NOW, 35)})")
        renamed = service("shop") + availability("works", "shop") + latency("fast", "shop", at_most_ms=500)
        execute(
            database_url,
            "INSERT INTO exclusions (service, start, stop, reason, author) SELECT 'shop', at, at + interval '2 hours',"
            f" 'kept', 'test' FROM (SELECT to_timestamp({old + DAY_S}) AS at) AS one",
        )
        await adopt(one.db, renamed)
        one.flush([Sample(NOW_MINUTE)], 1)
        await one.settled()
        works = one.held.objective("works")
        assert works is not None
        assert ledger_rows(database_url, "ledger_hours", "hour")[works.id, old] == (1, 1, 0)
        # What was excluded then is known by the minute only.
        assert await exactness(one, "works") == (old + DAY_S + 2 * HOUR_S, False)
        assert await exactness(one, "fast") == (oldest(NOW, 35), False)


@pytest.mark.gen_test
async def test_an_old_term_recounts_nothing(database_url: str, tmp_path: Path) -> None:
    async with world(database_url, tmp_path) as one:
        one.flush([Sample(NOW_MINUTE)], 0)
        await one.folded()
        execute(database_url, "DELETE FROM ledger_minutes")
        lead(database_url, 2)
        with pytest.raises(Fenced):
            await one.recount.once(1)
        assert ledger_rows(database_url, "ledger_minutes", "minute") == {}
        assert await one.recount.once(2)
        assert ledger_rows(database_url, "ledger_minutes", "minute")


@pytest.mark.gen_test
async def test_two_watches_and_one_that_is_killed_anywhere_count_once(database_url: str, tmp_path: Path) -> None:
    """Both fold and recount at once while writers go on, objectives change, and one loses its connections."""
    random_ = random.Random(9)
    async with world(database_url, tmp_path) as one:
        other = Database(database_url, "doomed")
        ledger = Ledger(one.held)
        fold = Fold(other, ledger.fold)
        recount = Recount(other, fold, ledger, lambda: NOW)
        await one.settled()
        for number in range(15):
            one.flush(some(random_), number % 3)
            if number % 4 == 0:
                await adopt(one.db, (SLOWER, SHOP)[number // 4 % 2])
            doomed = [asyncio.create_task(each) for each in (fold.run(1), recount.once(1))]
            mine = [asyncio.create_task(each) for each in (one.recount.once(1), one.fold.run(1))]
            await asyncio.sleep(random_.random() * 0.05)
            kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doomed control'"
            one.writers[0].connection.execute(kill.encode())
            with contextlib.suppress(Exception):
                await asyncio.gather(*mine)
            await asyncio.gather(*doomed, return_exceptions=True)
        await one.check_all()
        await other.close()


def test_a_part_is_bounded() -> None:
    busy = [Weight(at, 10, 40_000) for at in (7200, 3600, 0)]
    assert part_start(busy, 3600, "latency") == 3600  # two hours of 40,000 outcomes
    assert part_start(busy, 3600, "availability") == 0  # ten series have 600 minutes an hour, whatever their traffic
    assert part_start([Weight(7200, 1, 10**9), Weight(3600, 1, 1)], 3600, "latency") == 7200
