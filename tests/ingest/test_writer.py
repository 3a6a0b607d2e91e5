"""A flush: what is stored is what was sent, and what is counted from it."""

from __future__ import annotations

import time

import pytest

from server.live.sketch import bucket
from tests.ingest.bench import bench
from tests.ingest.making import outcome, rows, value


@pytest.mark.gen_test
async def test_what_is_stored_is_what_was_sent(database_url: str) -> None:
    it = await bench(database_url)
    at = round(time.time() - 60) * 1000
    sent = [
        outcome(timestamp=at, request_id="r-1", duration_ms=10),
        outcome(timestamp=at + 1, request_id="r-é", duration_ms=300.0005, trace_id="t", client="c"),
        outcome(timestamp=at + 2, status=503, duration_ms=5, version="v1"),
        outcome(timestamp=at + 3, error=True, duration_ms=0),
        outcome(timestamp=at + 1000, status=500, error=False, duration_ms=1),
    ]
    batch = await it.batch(*sent)
    await it.writer.store([batch], 5)
    assert (await batch.done).repeated is False
    found = rows(
        database_url,
        "SELECT extract(epoch FROM at)::float8 * 1000, duration_us, bad, request_id, detail, service, version, status"
        " FROM outcomes JOIN series ON series.id = series_id ORDER BY at",
    )
    assert [row[0] for row in found] == [at, at + 1, at + 2, at + 3, at + 1000]
    assert [row[1] for row in found] == [10_000, 300_001, 5_000, 0, 1_000]
    assert [row[2] for row in found] == [False, False, True, True, False]
    assert [row[3] for row in found][:2] == ["r-1", "r-é"]
    assert found[1][4] == {"trace_id": "t", "client": "c"}
    assert found[0][4] is None
    assert found[2][5:] == ("checkout", "v1", 503)
    made = found[2][3]
    assert len(made) == 36
    assert made[14] == "7"
    assert made[19] in "89ab"
    deltas = rows(
        database_url,
        "SELECT n, bad, duration_us, fast, sketch, seq, writer_id FROM deltas JOIN series ON series.id = series_id"
        " ORDER BY status, second",
    )
    first = deltas[0]
    assert first[:3] == (3, 1, 10_000 + 300_001 + 0)
    assert first[3] == [10_000 << 32 | 1, 300_000 << 32 | 1]  # the bad one of 0 us is not fast
    assert first[4] == sorted([bucket(d) << 32 | 1 for d in (0, 10_000, 300_001)])
    assert {row[5] for row in deltas} == {1}
    assert sum(row[0] for row in deltas) == 5
    await it.close()


@pytest.mark.gen_test
async def test_rollups_only_keeps_counts_and_no_outcomes(database_url: str) -> None:
    it = await bench(database_url)
    await it.writer.store([await it.batch(*[outcome()] * 3, keep=False)], 5)
    assert value(database_url, "SELECT count(*) FROM outcomes") == 0
    assert value(database_url, "SELECT sum(n) FROM deltas") == 3
    await it.close()


@pytest.mark.gen_test
async def test_a_thousand_made_request_ids_differ(database_url: str) -> None:
    it = await bench(database_url)
    for _ in range(3):
        await it.writer.store([await it.batch(*[outcome()] * 400), await it.batch(*[outcome()] * 400)], 5)
    assert value(database_url, "SELECT count(DISTINCT request_id) FROM outcomes") == 2400
    assert value(database_url, "SELECT bool_and(request_id::uuid::text = request_id) FROM outcomes")
    await it.close()


@pytest.mark.gen_test
async def test_a_flush_merges_its_batches_to_one_delta_a_series_and_second(database_url: str) -> None:
    it = await bench(database_url)
    at = int(time.time()) * 1000
    batches = [await it.batch(outcome(timestamp=at), outcome(timestamp=at, method="get")) for _ in range(5)]
    await it.writer.store(batches, 5)
    assert rows(database_url, "SELECT n, seq FROM deltas") == [(10, 1)]
    await it.close()
