from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from hashlib import md5

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import text

from server.ingest import partition_store, partitions
from server.ingest.partitions import (
    DAYS_AHEAD,
    RequestIds,
    day_of,
    days_ahead,
    drop_partitions,
    ensure_partitions,
    index_request_ids,
    is_over,
    name_of,
    wanted_days,
)
from server.kernel.db import Database
from server.live.outcomes import outcomes_by_request_id
from tests.ingest.making import ready_database, rows, value

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
DAY = 86_400.0

BARE = """DO $$ DECLARE it record; BEGIN
FOR it IN SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'outcomes'::regclass LOOP
    EXECUTE 'DROP TABLE ' || it.name;
END LOOP; END $$;
CREATE INDEX outcomes_request_id ON outcomes (request_id)"""
INSERT = "INSERT INTO outcomes VALUES (to_timestamp(%s), 1, 1, false, 'r', NULL)"


def partition_of(at: float) -> str:
    return name_of(datetime.fromtimestamp(at, UTC).date())


@pytest.fixture
def database_url(database_url: str) -> str:
    """As right after the migrations: without a partition, with the index that the first start drops."""
    with psycopg.connect(database_url) as connection:
        connection.execute(BARE)
    return database_url


@given(st.dates(date(1970, 1, 2), date(2100, 1, 1)))
def test_names_and_days_are_one_another(day: date) -> None:
    assert day_of(name_of(day)) == day


@pytest.mark.parametrize("name", ["outcomes", "outcomes_2026113", "outcomes_20261301", "series"])
def test_other_names_are_left_alone(name: str) -> None:
    assert day_of(name) is None


@given(st.floats(0, 4e9), st.integers(1, 365), st.floats(0, 1))
def test_what_may_be_stored_has_a_partition_that_is_not_dropped(now: float, days: int, part: float) -> None:
    """Any time within the retention, or 5 minutes ahead, also one hour after it was taken."""
    at = now - days * DAY + part * (days * DAY + 300)
    day = datetime.fromtimestamp(at, UTC).date()
    assert day in wanted_days(now, days)
    assert not is_over(day, now + 3599, days)


def test_a_day_is_over_an_hour_after_all_of_it_is_too_old() -> None:
    day = date(2026, 11, 16)
    end = datetime(2026, 11, 17, tzinfo=UTC).timestamp()
    assert not is_over(day, end + 7 * DAY + 3600, 7)
    assert is_over(day, end + 7 * DAY + 3601, 7)


def test_days_ahead_stop_at_a_gap() -> None:
    today = datetime.fromtimestamp(NOW, UTC).date()
    names = [name_of(date.fromordinal(today.toordinal() + n)) for n in (0, 1, 3)]
    assert days_ahead(names, NOW) == 1
    assert days_ahead(names[1:], NOW) == -1


@pytest.mark.gen_test
async def test_made_once_whoever_makes_them_and_dropped_when_over(database_url: str) -> None:
    db = Database(database_url, "test")
    made = await asyncio.gather(*[ensure_partitions(db, NOW, 2) for _ in range(3)])
    assert sorted(name for names in made for name in names) == [name_of(day) for day in wanted_days(NOW, 2)]
    assert value(database_url, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'outcomes'::regclass") == 6
    for n in range(-2, DAYS_AHEAD + 1):
        rows(database_url, INSERT + " RETURNING 1", NOW + n * DAY)
    assert await drop_partitions(db, NOW, 2) == []
    later = NOW + 3 * DAY
    assert await drop_partitions(db, later, 2) == ["outcomes_20261121", "outcomes_20261122", "outcomes_20261123"]
    assert value(database_url, "SELECT count(*) FROM outcomes") == 3
    assert await ensure_partitions(db, later, 2) == [
        name_of(day) for day in wanted_days(later, 2) if day > date(2026, 11, 26) or day <= date(2026, 11, 23)
    ]
    await db.close()


@pytest.mark.gen_test
async def test_neither_making_nor_dropping_stalls_ingest_behind_a_reader(database_url: str) -> None:
    db = Database(database_url, "test")
    now = time.time()
    await ensure_partitions(db, now - 10 * DAY, 1)
    await ensure_partitions(db, now, 1)
    old = name_of(datetime.fromtimestamp(now - 10 * DAY, UTC).date())
    async with (
        await psycopg.AsyncConnection.connect(database_url) as reader,
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as ingest,
    ):
        await reader.execute("SELECT count(*) FROM outcomes")  # holds a lock on every partition until it ends
        await ensure_partitions(db, now + DAY, 1)  # not held up
        await ingest.execute("SET lock_timeout = '0.4s'")
        dropping = asyncio.create_task(drop_partitions(db, now, 1))
        pending = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending"
        while not value(database_url, pending):
            await asyncio.sleep(0.02)
        for _ in range(20):
            await ingest.execute(INSERT, (now,))
        assert not dropping.done()
        await reader.rollback()
        assert old in await dropping
    assert value(database_url, "SELECT count(*) FROM outcomes") == 20
    await db.close()


@pytest.mark.gen_test
async def test_a_drop_that_was_cut_short_is_finished(database_url: str) -> None:
    db = Database(database_url, "test")
    await ensure_partitions(db, NOW, 1)
    async with await psycopg.AsyncConnection.connect(database_url) as reader:
        await reader.execute("SELECT count(*) FROM outcomes")
        dropping = asyncio.create_task(drop_partitions(db, NOW + DAY, 1))
        while not value(database_url, "SELECT count(*) FROM pg_inherits WHERE inhdetachpending"):
            await asyncio.sleep(0.02)
        backend = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'ALTER TABLE%%CONCURRENTLY'"
        rows(database_url, backend)
        with pytest.raises(psycopg.Error):
            await dropping
    assert await drop_partitions(db, NOW + DAY, 1) == ["outcomes_20261122"]
    # Detached and then cut short: found by its name.
    connection = await db.raw("test")
    await partition_store.detach(connection, "outcomes_20261123")
    await connection.close()
    assert await drop_partitions(db, NOW + 2 * DAY, 1) == ["outcomes_20261123"]
    await db.close()


DAYS = 3
OF_BEFORE = "SELECT to_regclass('outcomes_request_id') IS NOT NULL"
SERIES = "INSERT INTO series (service, version, route, method, status) VALUES ('a', '', '/', 'GET', 200) RETURNING id"
BUILDING = """
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'CREATE INDEX%%'
)
"""
SCANS = """
SELECT sum(seq_scan) AS of_all, sum(idx_scan) AS by_index FROM pg_stat_xact_user_tables WHERE relname ~ '^outcomes_'
"""


def partition_of_before(url: str, day: date) -> None:
    """A partition as the version before made it, with 30,000 outcomes."""
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"CREATE TABLE {name_of(day)} PARTITION OF outcomes"
            f" FOR VALUES FROM ('{at}') TO ('{at + timedelta(days=1)}')"
        )
        connection.execute(
            "INSERT INTO outcomes SELECT %s + i * interval '1 second', 1, 1, false, 'id-' || %s || '-' || i, NULL"
            " FROM generate_series(1, 30000) AS i",
            (at, f"{day:%d}"),
        )


@pytest.mark.gen_test
async def test_partitions_of_before_get_the_index_of_request_ids_without_holding_ingest_up(database_url: str) -> None:
    db = Database(database_url, "test")
    days = [date(2026, 11, 23 + n) for n in range(DAYS)]
    value(database_url, SERIES)
    for day in days:
        partition_of_before(database_url, day)
    async with (
        await psycopg.AsyncConnection.connect(database_url) as reader,
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as ingest,
    ):
        await reader.execute("SELECT count(*) FROM outcomes")  # a reader that does not end
        await ingest.execute("SET lock_timeout = '2s'")
        indexing = asyncio.create_task(index_request_ids(db))
        while not indexing.done():
            await ingest.execute(INSERT, (NOW,))
            await asyncio.sleep(0.01)
            if value(database_url, BUILDING):  # waits for readers of before, while ingest does not wait for it
                await reader.rollback()
                await reader.execute("SELECT count(*) FROM outcomes")
        assert not await indexing
        assert value(database_url, OF_BEFORE)
    assert await index_request_ids(db)
    assert not value(database_url, OF_BEFORE)
    await ensure_partitions(db, NOW, 1)
    indexes = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'outcomes_request_ids'::regclass"
    assert value(database_url, indexes) == value(database_url, indexes.replace("_request_ids", ""))
    async with db.ask() as connection:
        for day in days:
            (found,) = await outcomes_by_request_id(connection, f"id-{day:%d}-29999")
            assert found.timestamp.date() == day
    await db.close()


@pytest.mark.gen_test
async def test_a_request_id_is_found_by_filters_and_where_none_is_made_yet(database_url: str) -> None:
    db = await ready_database(database_url)
    value(database_url, SERIES)
    many = (
        "INSERT INTO outcomes SELECT to_timestamp(%s) - make_interval(days => i %% 2), 1, 1, false, md5(i::text), NULL"
        " FROM generate_series(1, 80000) AS i"
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(many, (time.time(),))
        connection.execute("ANALYZE outcomes")
        connection.execute("INSERT INTO outcomes VALUES (now(), 1, 1, false, 'the-newest', NULL)")
    async with db.ask() as asking:
        for request_id in ("the-newest", md5(b"4711").hexdigest()):
            (found,) = await outcomes_by_request_id(asking, request_id)
            assert found.request_id == request_id
        assert not await outcomes_by_request_id(asking, "of-nobody")
    request_ids = RequestIds(db)
    now = time.time()
    assert await request_ids.summarise(now) > 2
    assert await request_ids.summarise(now) > 0, "of the day that is over and has not grown, the rest"
    assert await request_ids.summarise(now) == 0, "what is made is not made again"
    with psycopg.connect(database_url) as connection:  # what autovacuum would still have to do
        rest = "SELECT brin_summarize_new_values(%s)"
        assert connection.execute(rest, (f"{partition_of(now - DAY)}_request_id_idx",)).fetchone() == (0,)
        assert connection.execute(rest, (f"{partition_of(now)}_request_id_idx",)).fetchone() != (0,)
    async with db.ask() as asking:
        (found,) = await outcomes_by_request_id(asking, md5(b"4711").hexdigest())
        (scans,) = await asking.execute(text(SCANS))
        assert (scans.of_all, scans.by_index > 0) == (0, True)
    await db.close()


@pytest.mark.gen_test
async def test_what_ends_in_a_deadlock_is_tried_again_and_at_last_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "PAUSES_S", (0.0, 0.0))
    tries: list[int] = []

    async def act(works_at: int) -> str:
        tries.append(works_at)
        if len(tries) < works_at:
            raise (DeadlockDetected, LockNotAvailable)[len(tries) % 2]
        return "done"

    assert await partitions.again(lambda: act(3)) == "done"
    tries.clear()
    with pytest.raises((DeadlockDetected, LockNotAvailable)):
        await partitions.again(lambda: act(4))
    assert len(tries) == 3
