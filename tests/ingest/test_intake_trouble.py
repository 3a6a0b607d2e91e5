"""A full queue, a stop, and partitions that are missing."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from server.ingest.partitions import name_of
from tests.ingest.making import body, outcome, value
from tests.ingest.outage import read_only
from tests.ingest.sending import send
from tests.site import answer
from tests.waiting import until


@pytest.mark.gen_test
async def test_a_full_queue_says_so_and_the_rest_keeps_working(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await web()
    key = await site.key("ingest", "read")
    assert (await send(site, key, body(outcome()))).code == 201
    monkeypatch.setattr("server.ingest.batch.ITEMS_MAX", 3)
    async with await psycopg.AsyncConnection.connect(database_url) as blocker:
        await blocker.execute("LOCK TABLE outcomes IN ACCESS EXCLUSIVE MODE")
        waiting = [asyncio.ensure_future(send(site, key, body(outcome(), outcome()))) for _ in range(2)]
        await until(lambda: site.parts.intake.depth()[0] == 4, "the queue to fill")
        refused = await send(site, key, body(outcome()))
        assert (refused.code, answer(refused)["code"], refused.headers["Retry-After"]) == (503, "QUEUE_FULL", "1")
        ok, observed = site.parts.intake.ready()
        assert not ok
        assert "full" in observed
        # The brake does not share the road: the control pool answers while ingest is stuck.
        async with site.parts.db.act() as connection:
            assert (await connection.exec_driver_sql("SELECT 1")).scalar_one() == 1
        await site.parts.intake.lane.write()
        assert value(database_url, "SELECT requests FROM intake WHERE reason = 'QUEUE_FULL'") == 1
        await blocker.rollback()
    assert [(await one).code for one in waiting] == [201, 201]
    assert site.parts.intake.depth() == (0, 0)
    assert site.parts.intake.ready()[0]


@pytest.mark.gen_test
async def test_a_database_that_takes_no_writes_is_not_taken_for_working(web: Any, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest")
    assert (await send(site, key, body(outcome()))).code == 201
    writer = site.parts.intake.writer
    with read_only(database_url):
        for _ in range(2):  # the first finds that its connection was ended
            await writer.probe()
        assert "read-only" in writer.failing
        assert not site.parts.intake.ready()[0]
    for _ in range(2):
        await writer.probe()
    assert not writer.failing


@pytest.mark.gen_test
async def test_stopping_stores_what_was_taken_in(web: Any, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest")
    sends = [asyncio.ensure_future(send(site, key, body(*[outcome()] * 100))) for _ in range(10)]
    # What comes after the end of intake would wait for ever: a process stops accepting first.
    await until(
        lambda: site.parts.intake.depth()[0] + 100 * sum(one.done() for one in sends) >= 1000, "all of them to queue"
    )
    await site.parts.intake.close()
    codes = [response.code for response in await asyncio.gather(*sends)]
    assert 201 in codes
    assert value(database_url, "SELECT count(*) FROM outcomes") == 100 * codes.count(201)


def detach_today(url: str) -> str:
    """The statement that attaches it again."""
    day = datetime.now(UTC).date()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER TABLE outcomes DETACH PARTITION {name_of(day)}")
    return f"ALTER TABLE outcomes ATTACH PARTITION {name_of(day)} FOR VALUES FROM ('{day}') TO ('{day}'::date + 1)"


@pytest.mark.gen_test
async def test_a_missing_partition_is_made(web: Any, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"DROP TABLE {name_of(datetime.now(UTC).date())}")
    assert (await send(site, key, body(outcome()), Idempotency_Key="one")).code == 201
    assert value(database_url, "SELECT count(*) FROM outcomes") == 1
    assert site.parts.intake.ready()[0]


@pytest.mark.gen_test
async def test_a_partition_that_cannot_be_made_is_no_fault_of_the_sender_and_not_ready(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.ingest.intake.PROBE_S", 0.1)
    site = await web()
    key = await site.key("ingest")
    mend = detach_today(database_url)  # a table of that name is in the way of a new partition
    yesterday = body(outcome(timestamp=int(time.time() - 86400) * 1000))
    for _ in range(2):
        refused = await send(site, key, body(outcome()))
        assert (refused.code, answer(refused)["code"], refused.headers["Retry-After"]) == (503, "UNAVAILABLE", "5")
        assert (await send(site, key, yesterday)).code == 201
        await asyncio.sleep(0.3)  # it looks again meanwhile
        ok, observed = site.parts.intake.ready()
        assert not ok
        assert "no partition" in observed
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.execute(mend)
    await until(lambda: site.parts.intake.ready()[0], "ready again, though nobody sends")
    assert (await send(site, key, body(outcome()))).code == 201
    assert value(database_url, "SELECT count(*) FROM outcomes") == 3
