from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from server import __version__
from server.ingest import lane as lanes
from server.ingest.lane import Lane
from server.ingest.numbering import Numbering
from server.ingest.series import Caps
from server.ingest.tally import IntakeTally
from tests.ingest.making import body, outcome, ready_database, rows, value
from tests.ingest.sending import URL, send
from tests.waiting import until

COUNTED = """
SELECT route, status, sum(n)::int, sum(bad)::int FROM deltas JOIN series ON id = series_id GROUP BY 1, 2 ORDER BY 1, 2
"""


class Made:
    """A lane on a real database, written by hand."""

    def __init__(self, db: Any) -> None:
        self.db = db
        self.numbering = Numbering(db, Caps(200, 200, 50), time.time)
        self.tally = IntakeTally(200)
        self.lane = Lane(db, self.numbering, lambda service: (300_000,), self.tally)

    async def close(self) -> None:
        await self.lane.close()
        await self.numbering.close()
        await self.db.close()


@pytest.mark.gen_test
async def test_own_requests_are_only_counted(database_url: str) -> None:
    it = Made(await ready_database(database_url))
    for n in range(10):
        it.lane.count("/api/v1/slos", "GET", 200 if n else 500, 0.1 * n)
    await it.lane.write()
    assert rows(database_url, COUNTED) == [("/api/v1/slos", 200, 9, 0), ("/api/v1/slos", 500, 1, 1)]
    assert value(database_url, "SELECT DISTINCT version FROM series") == __version__
    assert value(database_url, "SELECT sum(pair & 4294967295) FROM deltas, unnest(fast) pair") == 3
    assert value(database_url, "SELECT count(*) FROM outcomes") == 0
    await it.close()


@pytest.mark.gen_test
async def test_what_is_refused_on_purpose_is_counted_as_neither_bad_nor_slow(web: Any, database_url: str) -> None:
    site = await web(INGEST_MAX_BATCH_ITEMS="200", INGEST_MAX_ITEMS_PER_SECOND="1")
    key = await site.key("ingest")
    await send(site, key, body(*[outcome()] * 200))
    sent = [body(*[outcome()] * 201), b"x" * 2**21, body(outcome(status=0)), body(outcome())]
    assert [(await send(site, key, one)).code for one in sent] == [413, 413, 422, 503]
    await until(lambda: not site.parts.in_flight, "every answer to be counted")
    site.parts.intake.count_own(URL, "POST", 503, 0.002)  # the queue was full in the same second
    await site.parts.intake.lane.write()
    counted = (
        "SELECT status, sum(n)::int, sum(bad)::int, sum(cardinality(sketch))::int > 0, sum(cardinality(fast))::int > 0"
        " FROM deltas JOIN series ON id = series_id WHERE service = 'evenkeel' AND route = %s GROUP BY 1 ORDER BY 1"
    )
    found = rows(database_url, counted, URL)
    assert found[:-1] == [(201, 1, 0, True, True), (413, 2, 0, False, False), (422, 1, 0, False, False)]
    assert found[-1] == (503, 2, 1, True, True), "a throttle is no failure, a full queue is one"


@pytest.mark.gen_test
async def test_what_cannot_be_written_is_kept_and_written_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = Made(await ready_database(database_url))
    it.lane.count("/a", "GET", 200, 0.01)
    await it.lane.write()
    it.lane.count("/a", "GET", 200, 0.01)
    it.lane.count("/new", "GET", 200, 0.01)
    it.tally.add(time.time(), 1, "THROTTLED", services={"a": 3}, items=3, size=9)
    monkeypatch.setattr(it.db, "url", "postgresql:///nowhere?host=/nowhere")
    await it.lane.writer.close()
    await it.numbering.close()
    with monkeypatch.context() as patched:
        patched.setattr(lanes, "PATIENCE_S", 0.1)
        await it.lane.write()
    assert value(database_url, "SELECT sum(n) FROM deltas") == 1
    it.lane.count("/a", "GET", 200, 0.01)
    monkeypatch.setattr(it.db, "url", database_url)
    await it.lane.write()
    assert rows(database_url, COUNTED) == [("/a", 200, 3, 0), ("/new", 200, 1, 0)]
    assert value(database_url, "SELECT items FROM intake") == 3
    await it.close()


@pytest.mark.gen_test
async def test_what_is_kept_is_bounded(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    it = Made(await ready_database(database_url))
    monkeypatch.setattr(lanes, "PATIENCE_S", 0.0)
    monkeypatch.setattr(it.db, "url", "postgresql:///nowhere?host=/nowhere")
    now = int(time.time())
    for back in range(lanes.SECONDS_MAX * 2):
        it.lane._own[("evenkeel", "", f"/{back}", "GET", 200), now - back, True] = ([1], [])
    await it.lane.write()
    kept = {second for _, second, _ in it.lane._own}
    assert max(kept) == now
    assert now - lanes.SECONDS_MAX <= min(kept)
    assert len(it.lane._own) == len(kept) <= lanes.SECONDS_MAX + 1
    await it.close()


@pytest.mark.gen_test
async def test_it_writes_by_itself_and_the_rest_when_it_closes(database_url: str) -> None:
    it = Made(await ready_database(database_url))
    it.lane.start(77)
    it.lane.count("/a", "GET", 200, 0.01)
    while not value(database_url, "SELECT count(*) FROM deltas"):
        await asyncio.sleep(0.05)
    assert value(database_url, "SELECT process_id FROM writers") == 77
    it.lane.count("/a", "GET", 200, 0.01)
    it.tally.add(time.time(), 1, "THROTTLED", services=None, items=None, size=9)
    await it.close()
    assert value(database_url, "SELECT sum(n) FROM deltas") == 2
    assert value(database_url, "SELECT process_id FROM intake") == 77


@pytest.mark.gen_test
async def test_counts_that_the_database_refuses_are_dropped_and_said_and_the_next_ones_are_written(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    it = Made(await ready_database(database_url))
    it.tally.add(time.time(), 1, "THROTTLED", services={"a": 3}, items=3, size=9)
    (poisoned,) = it.tally.counts.values()
    poisoned.byte_sizes[2**40] = 1
    await it.lane.write()
    assert "intake counts of 2 requests" in caplog.text
    it.tally.add(time.time(), 1, "QUEUE_FULL", services={"a": 3}, items=3, size=9)
    await it.lane.write()
    assert rows(database_url, "SELECT reason, requests FROM intake") == [("QUEUE_FULL", 1)]
    await it.close()


@pytest.mark.gen_test
async def test_intake_counts_are_bounded_in_an_outage_and_their_loss_is_said_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    it = Made(await ready_database(database_url))
    monkeypatch.setattr(it.db, "url", "postgresql:///nowhere?host=/nowhere")
    for minutes in (30, 20, 0):
        it.tally.add(time.time() - 60 * minutes, 1, "THROTTLED", services={"a": 3}, items=3, size=9)
        await it.lane.write()
    assert len(it.tally.counts) == 1
    assert len([line for line in caplog.messages if "are lost" in line]) == 1
    monkeypatch.setattr(it.db, "url", database_url)
    await it.lane.write()
    assert value(database_url, "SELECT sum(requests) FROM intake") == 1
    await it.close()
