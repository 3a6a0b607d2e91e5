from __future__ import annotations

import time
from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.config.registry import Counted
from server.ingest import intake_store, retention_store
from server.ingest.preview import RefusedItems, effect, preview
from server.ingest.received import ABANDONED
from server.ingest.tally import ACCEPTED, IntakeLine, IntakeTally, size_key
from server.kernel.db import Database
from tests.ingest.making import rows, value

NOW = 1_795_442_504.0


@given(st.integers(0, 2**31 - 1))
def test_sizes_are_exact_to_1024_and_then_within_half_a_percent(size: int) -> None:
    key = size_key(size)
    assert key <= size
    assert size - key <= size * 0.004
    assert key == size or size > 1024
    assert size_key(key) == key
    assert 0 <= key < 2**31


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 50), min_size=1), st.integers(0, 10_000))
def test_a_request_of_several_services_counts_for_each_and_its_size_once(services: dict[str, int], size: int) -> None:
    tally = IntakeTally(200)
    tally.add(NOW, 7, ACCEPTED, services=services, items=sum(services.values()), size=size)
    counts = tally.take(NOW)
    assert {line.service: count.items for line, count in counts.items()} == services
    assert {count.requests for count in counts.values()} == {1}
    assert size - len(services) < sum(count.bytes for count in counts.values()) <= size
    sizes = [key for count in counts.values() for key in count.item_sizes]
    assert sizes == [sum(services.values())]


def test_only_what_changed_is_taken_and_old_slots_are_forgotten() -> None:
    tally = IntakeTally(200)
    tally.add(NOW, 1, ACCEPTED, services={"a": 1}, items=1, size=10)
    first = tally.take(NOW)
    assert [line.slot for line in first] == [1_795_442_500]
    assert tally.take(NOW) == {}
    assert tally.put_back(first, NOW) == 0
    tally.add(NOW, 1, ACCEPTED, services={"a": 2}, items=2, size=10)
    (count,) = tally.take(NOW).values()
    assert (count.requests, count.items) == (2, 3)
    tally.take(NOW + 60)
    assert tally.counts == {}


def test_a_name_that_no_database_holds_loses_no_count() -> None:
    tally = IntakeTally(200)
    tally.add_items(NOW, 7, ABANDONED, 1, "a\0b")
    tally.add(NOW, 7, ABANDONED, services={"a\ud800": 2}, items=2, size=1)
    assert {line.service: count.items for line, count in tally.take(NOW).items()} == {"ab": 1, "a?": 2}


def test_services_over_the_cap_are_other() -> None:
    tally = IntakeTally(2)
    for service in "abcd":
        tally.add(NOW, 1, "THROTTLED", services={service: 5}, items=5, size=10)
    assert {line.service: count.items for line, count in tally.take(NOW).items()} == {"a": 5, "b": 5, "(other)": 10}


def test_what_cannot_be_written_for_ten_minutes_is_dropped() -> None:
    tally = IntakeTally(200)
    for minutes in range(30):
        now = NOW + 60 * minutes
        tally.add(now, 1, ACCEPTED, services={"a": 1, "b": 1}, items=2, size=10)
        dropped = tally.put_back(tally.take(now), now)
        assert dropped == (1 if minutes >= 10 else 0)  # requests, not lines
    assert len(tally.counts) == 20
    assert len(tally.take(NOW + 60 * 29)) == 20


@pytest.mark.parametrize("size", [2**31 - 1, 3_000_000_000, 10**20])
@pytest.mark.gen_test
async def test_a_size_that_was_only_claimed_can_be_written(database_url: str, size: int) -> None:
    db = Database(database_url, "test")
    tally = IntakeTally(200)
    for _ in range(3):
        tally.add(NOW, 0, "PAYLOAD_TOO_LARGE", services=None, items=size, size=size)
    await stored(db, tally, 1, NOW)
    assert rows(database_url, "SELECT requests, bytes, items FROM intake") == [(3, 3 * (2**31 - 1), 3 * (2**31 - 1))]
    assert value(database_url, "SELECT byte_sizes FROM intake") == [size_key(2**31 - 1) << 32 | 3]
    await db.close()


async def stored(db: Database, tally: IntakeTally, process_id: int, now: float) -> None:
    connection = await db.raw("test")
    await intake_store.write(connection, process_id, tally.take(now))
    await connection.close()


@pytest.mark.gen_test
async def test_writing_again_changes_nothing(database_url: str) -> None:
    db = Database(database_url, "test")
    tally = IntakeTally(200)
    for _ in range(2):
        tally.add(NOW, 1, ACCEPTED, services={"a": 3}, items=3, size=100)
        counts = tally.take(NOW)
        connection = await db.raw("test")
        for _ in range(2):
            await intake_store.write(connection, 5, counts)
        await connection.close()
    assert rows(database_url, "SELECT requests, items, bytes, item_sizes FROM intake") == [(2, 6, 200, [3 << 32 | 2])]
    await db.close()


async def offered(db: Database, database_url: str) -> None:
    """Two processes, two keys: `small` sends batches of 10, `big` of 100; some were refused already."""
    rows(
        database_url,
        "INSERT INTO api_keys (name, prefix, digest, scopes, created_by)"
        " VALUES ('small', '', '1', '{}', ''), ('big', '', '2', '{}', '') RETURNING 1",
    )
    for process_id in (1, 2):
        tally = IntakeTally(200)
        for _ in range(20):
            tally.add(NOW - 60, 1, ACCEPTED, services={"a": 10}, items=10, size=1000)
        for reason in (ACCEPTED, "THROTTLED"):
            tally.add(NOW - 60, 2, reason, services={"a": 40, "b": 60}, items=100, size=50_000)
        tally.add(NOW - 900, 2, ACCEPTED, services={"a": 5000}, items=5000, size=10)  # too long ago
        tally.add(NOW - 60, 0, "UNAUTHENTICATED", services=None, items=None, size=77)
        await stored(db, tally, process_id, NOW)


@pytest.mark.gen_test
async def test_what_a_limit_would_have_refused(database_url: str) -> None:
    db = Database(database_url, "test")
    await offered(db, database_url)
    async with db.ask() as connection:

        async def ask(counted: Counted, limit: int, key_id: int | None = None) -> tuple[object, ...]:
            found = await preview(connection, counted, limit, key_id, NOW)
            return (
                found.requests,
                found.items,
                found.refused_requests,
                found.refused_items,
                found.top_key,
                found.top_share,
            )

        assert await ask("items of a request", 100) == (44, 800, 0, 0, None, 0.0)
        assert await ask("items of a request", 99) == (44, 800, 4, 400, 2, 1.0)
        assert await ask("items of a request", 9) == (44, 800, 44, 800, 1, 0.5)
        assert await ask("items of a request", 9, 2) == (4, 400, 4, 400, 2, 1.0)
        assert await ask("bytes of a request", 40_000) == (44, 800, 4, 400, 2, 1.0)
        # 400 items of each key in one slot of 10 s; 30 a second are 300.
        assert (await ask("items per second", 30))[3] == 200
        assert (await ask("items per second", 0))[3] == 0
        assert await effect(connection, NOW) == [
            RefusedItems("THROTTLED", 2, 2, 200),
            RefusedItems("UNAUTHENTICATED", 0, 2, 0),
        ]
    await db.close()


@pytest.mark.gen_test
async def test_nothing_was_offered(database_url: str) -> None:
    db = Database(database_url, "test")
    async with db.ask() as connection:
        for counted in get_args(Counted):
            found = await preview(connection, counted, 1, None, NOW)
            assert (found.requests, found.refused_items, found.top_key) == (0, 0, None)
    await db.close()


@pytest.mark.gen_test
async def test_keys_and_counts_age_out(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    db = Database(database_url, "test")
    monkeypatch.setattr("server.ingest.retention_store.BITE", 3)
    rows(
        database_url,
        "INSERT INTO idempotency SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), '', '', now() - n * interval '3 hours'"
        " FROM generate_series(1, 20) n RETURNING 1",
    )
    tally = IntakeTally(200)
    now = time.time()
    for hours in range(0, 48, 4):
        tally.add(now - timedelta(hours=hours).total_seconds(), 1, ACCEPTED, services={"a": 1}, items=1, size=1)
    assert all(isinstance(line, IntakeLine) for line in tally.counts)
    connection = await db.raw("test")
    await intake_store.write(connection, 1, dict(tally.counts))
    await connection.close()
    rows(
        database_url,
        "INSERT INTO telemetry_services (service, spans_at) SELECT n::text, now() - n * interval '1 day'"
        " FROM generate_series(1, 20) n RETURNING 1",
    )
    for age, author in (("500", ""), ("300", ""), ("500", "anna")):
        rows(
            database_url,
            "INSERT INTO route_patterns SELECT unnest(ARRAY['gone', 'here']), '/' || %s, %s,"
            " now() - %s * interval '1 day' RETURNING 1",
            age + author,
            author,
            age,
        )
    rows(database_url, "INSERT INTO service_totals SELECT unnest(ARRAY['gone', 'here']), 1, 0, 0, '{}' RETURNING 1")
    (here,) = rows(
        database_url,
        "INSERT INTO series (service, version, route, method, status) VALUES ('here', '', '/', 'GET', 200)"
        " RETURNING id",
    )
    rows(
        database_url,
        "INSERT INTO hours VALUES (%s, now() - interval '399 days', 1, 0, 0, '{}', '{}') RETURNING 1",
        *here,
    )
    await retention_store.forget_old(db)
    patterns = "SELECT service, pattern FROM route_patterns ORDER BY 1, 2"
    kept = [("gone", "/300"), ("gone", "/500anna"), ("here", "/300"), ("here", "/500"), ("here", "/500anna")]
    assert rows(database_url, patterns) == kept
    assert rows(database_url, "SELECT service FROM service_totals") == [("here",)]
    assert value(database_url, "SELECT count(*) FROM telemetry_services") == 6
    assert value(database_url, "SELECT count(*) FROM idempotency") == 7
    assert value(database_url, "SELECT count(*) FROM intake") == 6
    monkeypatch.setattr("server.ingest.retention_store.LARGE_BYTES", 0)
    monkeypatch.setattr("server.ingest.retention_store.KEYS_MAX", 4)
    await retention_store.forget_old(db)
    assert value(database_url, "SELECT count(*) FROM idempotency") == 4
    assert value(database_url, "SELECT min(at) > now() - interval '13 hours' FROM idempotency")
    await db.close()
