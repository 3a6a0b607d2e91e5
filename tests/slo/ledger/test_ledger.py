"""The ledger is exact: against a brute-force count, through the real fold, on PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from server.live.deltas import Delta
from server.live.fold import Fold
from server.slo.ledger import ledger_store
from server.slo.ledger.ledger import Ledger
from server.slo.ledger.windows import LedgerWindows, first_minute
from server.slo.model.counts import Counts
from server.slo.model.objective import Objective
from tests.live.rollups import lead
from tests.live.writing import Sample, Writer, database
from tests.slo.ledgers import NOW, clear, in_a_database, policies
from tests.slo.making import SHOP, availability, latency, service


def brute(objective: Objective, samples: Sequence[Sample], start: float, end: float) -> Counts:
    """Count one by one."""
    good = bad = excluded = 0
    for sample in samples:
        if sample.service != objective.service or not start <= sample.second < end:
            continue
        if objective.threshold_us is None:
            good, bad = good + (not sample.bad), bad + sample.bad
        elif sample.bad:
            excluded += 1
        elif sample.duration_us <= objective.threshold_us:
            good += 1
        else:
            bad += 1
    return Counts(good, bad, excluded)


def rows(url: str, table: str, column: str) -> dict[tuple[int, int], Counts]:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            f"SELECT objective_id, extract(epoch FROM {column})::bigint, good, bad, excluded FROM {table}".encode()
        )
        return {(row[0], row[1]): Counts(*row[2:]) for row in found}


def expected_rows(objectives: Sequence[Objective], samples: Sequence[Sample], span: int) -> dict[object, Counts]:
    return {
        (o.id, start): brute(o, samples, start, start + span)
        for o in objectives
        for start in {s.second // span * span for s in samples if s.service == o.service}
    }


sample = st.builds(
    Sample,
    second=st.one_of(
        st.integers(int(NOW) - 7200, int(NOW)),  # now
        st.integers(int(NOW) - 28 * 86_400 - 90, int(NOW)),  # late, and at the window's edge
        st.integers(int(NOW), int(NOW) + 300),  # ahead
    ),
    duration_us=st.sampled_from([0, 299_999, 300_000, 300_001, 5_000_000]),
    bad=st.booleans(),
    service=st.sampled_from(["shop", "other"]),
    route=st.sampled_from(["/pay", "/cart"]),
    version=st.sampled_from(["", "v1"]),
    method=st.just("GET"),
    status=st.just(200),
)


flushes = st.lists(st.lists(sample, min_size=1, max_size=12), min_size=1, max_size=8)


@given(flushes, st.data())
@in_a_database(20)
def test_ledger_and_windows_equal_a_brute_force_count(
    database_url: str, tmp_path: Path, batches: list[list[Sample]], data: st.DataObject
) -> None:
    """At every step, folded or not, by minute, by hour and over every window."""

    async def run() -> None:
        clear(database_url)
        lead(database_url, 1)
        writers = [stack.enter_context(closing(Writer(database_url))) for _ in range(2)]
        done: list[Sample] = []
        async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
            fold, windows = Fold(db, Ledger(held).fold), LedgerWindows((300, 3600, 21_600))
            for batch in batches:
                writers[data.draw(st.integers(0, 1))].flush(batch)
                done += batch
                if data.draw(st.booleans()):
                    await fold.run(1)
                async with db.ask() as connection:
                    counts = await windows.read(connection, held.objectives, NOW)
                for objective in held.objectives:
                    for window, counted in counts[objective.id].items():
                        # A minute belongs to the window when it has begun.
                        end = int(NOW) - int(NOW) % 60 + 60
                        assert counted == brute(objective, done, first_minute(NOW, window), end)
            await fold.run(1)
            assert rows(database_url, "ledger_minutes", "minute") == expected_rows(held.objectives, done, 60)
            assert rows(database_url, "ledger_hours", "hour") == expected_rows(held.objectives, done, 3600)

    with ExitStack() as stack:
        asyncio.run(run())


@given(st.integers(0, 4 * 3600), st.integers(0, 4 * 3600), st.sets(st.integers(0, 240), max_size=60))
@in_a_database(30)
def test_hours_and_the_minutes_at_the_ends_are_the_span(
    database_url: str, tmp_path: Path, start: int, length: int, minutes: set[int]
) -> None:
    base = int(NOW) // 3600 * 3600
    start -= start % 60

    async def run() -> None:
        clear(database_url)
        async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
            first = held.objectives[0].id
            by_minute = {(first, base + minute * 60): Counts(1 << minute % 40, minute) for minute in minutes}
            by_hour: dict[tuple[int, int], Counts] = {}
            for (_, at), counts in by_minute.items():
                key = (first, at // 3600 * 3600)
                by_hour[key] = by_hour.get(key, Counts()).plus(counts)
            async with db.act() as connection:
                await ledger_store.add(connection, by_minute, by_hour)
            async with db.ask() as connection:
                found = await ledger_store.sums(connection, [first], base + start, base + start + length)
        wanted = Counts()
        for (_, at), counts in by_minute.items():
            if base + start <= at < base + start + length:
                wanted = wanted.plus(counts)
        assert found.get(first, Counts()) == wanted

    asyncio.run(run())


@pytest.mark.gen_test
async def test_the_sum_is_exact_while_the_fold_moves_and_dies(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writers write and others begin, the fold folds and is killed, the ledger is read in parts, one at a time; every
    reading in between equals what was acknowledged."""
    monkeypatch.setattr("server.slo.ledger.windows.PART", 1)
    lead(database_url, 1)
    random_, done = random.Random(8), list[Sample]()
    writer = Writer(database_url)
    text = SHOP + "".join(service(name) + availability(f"{name}-works", name) for name in ("a", "b", "c"))
    async with database(database_url) as db, policies(db, database_url, tmp_path, text) as held:
        ledger = Ledger(held)

        async def dying(connection: AsyncConnection, deltas: Sequence[Delta], term: int) -> None:
            await ledger.fold(connection, deltas, term)
            if random_.random() < 0.4:
                raise RuntimeError("killed after the ledger was written")

        fold, windows = Fold(db, dying), LedgerWindows((3600,))
        for step in range(40):
            batch = [
                Sample(int(NOW) - random_.randrange(3000), 9, random_.random() < 0.3, random_.choice(("shop", *"abc")))
                for _ in range(8)
            ]
            if step % 10 == 9:
                writer = Writer(database_url)
            writer.flush(batch)
            done += batch
            await asyncio.gather(fold.run(1), return_exceptions=True)
            async with db.ask() as connection:
                # The clock moves, so that the ledger is read anew now and then.
                counts = await windows.read(connection, held.objectives, NOW + step)
            for objective in held.objectives:
                assert counts[objective.id][3600] == brute(objective, done, 0, NOW)
        assert len({base.at for base in windows.bases.values()}) > 1


@pytest.mark.gen_test
async def test_what_was_sent_before_a_threshold_was_known_is_excluded_not_slow(
    database_url: str, tmp_path: Path
) -> None:
    """Two processes disagree for a moment: one measures 300 ms already, the other still 500 ms."""
    lead(database_url, 1)
    knows, lags = Writer(database_url), Writer(database_url, threshold_us=500_000)
    second = int(NOW) - 30
    async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
        fast = held.objectives[1]
        knows.flush([Sample(second, 200_000), Sample(second, 400_000), Sample(second, bad=True)])
        lags.flush([Sample(second, 200_000), Sample(second, 400_000)])
        for _ in range(2):
            async with db.ask() as connection:
                counts = await LedgerWindows((3600,)).read(connection, held.objectives, NOW)
            assert counts[fast.id][3600] == Counts(good=1, bad=1, excluded=3)
            await Fold(db, Ledger(held).fold).run(1)
        assert sum(rows(database_url, "ledger_minutes", "minute")[fast.id, second // 60 * 60]) == 5


@pytest.mark.gen_test
async def test_the_fold_takes_the_newest_policy_before_it_counts(database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    writer, later = Writer(database_url), tmp_path / "later"
    later.mkdir()
    async with (
        database(database_url) as db,
        policies(db, database_url, tmp_path, service("shop") + availability("one", "shop")) as watch,
    ):
        ledger = Ledger(watch)
        async with policies(
            db, database_url, later, service("shop") + availability("one", "shop") + latency("two", "shop")
        ) as web:
            writer.flush([Sample(int(NOW) - 5)])
            await Fold(db, ledger.fold).run(1)
            assert watch.number == web.number == 2
            folded = rows(database_url, "ledger_minutes", "minute")
    assert {objective_id for objective_id, _ in folded} == {objective.id for objective in web.objectives}


@pytest.mark.gen_test
async def test_rows_that_no_window_reaches_are_dropped_and_no_others(database_url: str, tmp_path: Path) -> None:
    async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
        first = held.objectives[0].id
        day = 86_400
        ages = [0, 27 * day, 34 * day, 36 * day, 399 * day, 402 * day]
        times = {(first, int(NOW - age) // 3600 * 3600): Counts(1, 0) for age in ages}
        async with db.act() as connection:
            await ledger_store.add(connection, times, times)
        await ledger_store.forget_old(db, NOW)
        minutes = {at for _, at in rows(database_url, "ledger_minutes", "minute")}
        hours = {at for _, at in rows(database_url, "ledger_hours", "hour")}
    assert minutes == {int(NOW - age) // 3600 * 3600 for age in ages[:3]}
    assert hours == {int(NOW - age) // 3600 * 3600 for age in ages[:5]}
