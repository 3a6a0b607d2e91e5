from __future__ import annotations

import asyncio
import gzip
import json
import time
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from server import metrics
from server.errors import ApiError
from server.host import HOST
from server.ingest.partitions import name_of
from tests.ingest.making import body, outcome, rows, value
from tests.site import answer
from tests.waiting import until

URL = "/api/v1/outcomes"


async def send(site: Any, key: str, sent: bytes, path: str = URL, **headers: str) -> Any:
    given = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
    return await site.fetch(path, method="POST", key=key, body=sent, headers=given)


@pytest.mark.gen_test
async def test_an_array_is_stored_when_it_is_answered(web: Any, database_url: str) -> None:
    site = await web()
    response = await send(site, await site.key("ingest"), body(outcome(), outcome(status=500)))
    assert response.code == 201, response.body
    assert answer(response) == {"accepted": 2}
    assert response.headers["X-Request-Id"]
    assert value(database_url, "SELECT count(*) FROM outcomes") == 2


@pytest.mark.gen_test
async def test_lines_and_gzip(web: Any, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest")
    lines = b"\n".join(json.dumps(outcome(route=f"/{n}")).encode() for n in range(3)) + b"\n"
    response = await send(site, key, gzip.compress(lines), Content_Type="application/x-ndjson", Content_Encoding="gzip")
    assert answer(response) == {"accepted": 3}
    response = await send(site, key, body(outcome()), Content_Type="application/json; charset=utf-8")
    assert answer(response) == {"accepted": 1}
    assert value(database_url, "SELECT count(*) FROM outcomes") == 4


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content_Type": "text/plain"}, "UNSUPPORTED_MEDIA_TYPE"),
        ({"Content_Encoding": "br"}, "UNSUPPORTED_MEDIA_TYPE"),
        ({"Idempotency_Key": "with space"}, "INVALID"),
        ({"Content_Encoding": "gzip"}, "BAD_REQUEST"),
    ],
)
@pytest.mark.gen_test
async def test_what_is_not_understood(web: Any, database_url: str, headers: dict[str, str], code: str) -> None:
    site = await web()
    response = await send(site, await site.key("ingest"), body(outcome()), **headers)
    assert answer(response)["code"] == code
    assert response.headers["Content-Type"] == "application/problem+json"
    assert value(database_url, "SELECT count(*) FROM outcomes") == 0


@pytest.mark.gen_test
async def test_who_may_send(web: Any) -> None:
    site = await web()
    assert (await send(site, "no-such-key", body(outcome()))).code == 401
    assert (await send(site, await site.key("read"), body(outcome()))).code == 403
    assert (await site.fetch(URL, method="POST", body=body(outcome()))).code == 401
    assert (await site.fetch(URL, method="DELETE", key=await site.key("ingest"))).code == 405


@pytest.mark.gen_test
async def test_faults_store_nothing_unless_partial_is_asked_for(web: Any, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest")
    mixed = body(outcome(), outcome(status=1), outcome(), outcome(service=3))
    response = await send(site, key, mixed)
    assert response.code == 422
    told = answer(response)
    assert told["code"] == "INVALID"
    assert [(fault["index"], fault["field"]) for fault in told["errors"]] == [(1, "status"), (3, "service")]
    assert value(database_url, "SELECT count(*) FROM outcomes") == 0
    response = await send(site, key, mixed, path=URL + "?partial=true")
    assert response.code == 201
    told = answer(response)
    assert told["accepted"] == 2
    assert [fault["index"] for fault in told["refused"]] == [1, 3]
    assert value(database_url, "SELECT count(*) FROM outcomes") == 2
    assert (await send(site, key, mixed, path=URL + "?partial=perhaps")).code == 422


def refused_items() -> float:
    """Of all tests in this process."""
    labels = {"host": HOST, "reason": "INVALID"}
    return metrics.registry.get_sample_value("evenkeel_ingest_refused_items_total", labels) or 0.0


@pytest.mark.gen_test
async def test_what_partial_refuses_is_counted_and_its_answer_is_bounded(web: Any, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest")
    mixed = body(outcome(), *[outcome(status=1, route="/" + "x" * 400)] * 500)
    path = URL + "?partial=true"
    before = refused_items()
    first = await send(site, key, mixed, path, Idempotency_Key="one")
    told = answer(first)
    assert told["accepted"] == 1
    assert told["refused_indexes"] == list(range(1, 501))
    assert [fault["index"] for fault in told["refused"]] == list(range(1, 21))
    assert {fault["field"] for fault in told["refused"]} == {"status"}
    assert value(database_url, "SELECT length(answer) FROM idempotency") < 5000
    assert (await send(site, key, mixed, path, Idempotency_Key="one")).body == first.body
    await site.parts.intake.lane.write()
    counted = "SELECT reason, service, requests, items, bytes FROM intake ORDER BY reason"
    assert rows(database_url, counted) == [
        ("INVALID", "", 0, 500, 0),
        ("accepted", "checkout", 1, 1, len(mixed)),
    ]
    assert refused_items() - before == 500


@pytest.mark.gen_test
async def test_an_empty_batch_and_an_all_refused_one(web: Any, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest")
    assert answer(await send(site, key, b"[]")) == {"accepted": 0}
    response = await send(site, key, body(outcome(status=1)), path=URL + "?partial=true", Idempotency_Key="e")
    assert answer(response)["accepted"] == 0
    assert value(database_url, "SELECT count(*) FROM deltas WHERE n = 0") == 0


@pytest.mark.gen_test
async def test_a_repeat_is_answered_as_the_first(web: Any, database_url: str) -> None:
    site = await web()
    key, other = await site.key("ingest"), await site.key("ingest", name="other")
    first = await send(site, key, body(outcome()), Idempotency_Key="one")
    again = await send(site, key, gzip.compress(body(outcome())), Idempotency_Key="one", Content_Encoding="gzip")
    assert (first.code, first.body) == (again.code, again.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    changed = await send(site, key, body(outcome(status=500)), Idempotency_Key="one")
    assert (changed.code, answer(changed)["code"]) == (422, "IDEMPOTENCY_MISMATCH")
    assert (await send(site, other, body(outcome()), Idempotency_Key="one")).code == 201
    assert (await send(site, key, body(outcome()), URL + "?partial=true", Idempotency_Key="one")).code == 201
    assert value(database_url, "SELECT count(*) FROM outcomes") == 3


@pytest.mark.gen_test
async def test_the_same_key_many_times_at_once_counts_once(web: Any, database_url: str) -> None:
    site, second = await web(), await web("web.2")
    key = await site.key("ingest")
    sends = [send(where, key, body(outcome()), Idempotency_Key="same") for where in (site, second) * 15]
    codes = [response.code for response in await asyncio.gather(*sends)]
    assert set(codes) <= {201, 409}
    assert 201 in codes
    assert value(database_url, "SELECT count(*) FROM outcomes") == 1
    assert value(database_url, "SELECT count(*) FROM idempotency") == 1


@pytest.mark.gen_test
async def test_too_many_items(web: Any, database_url: str) -> None:
    site = await web(INGEST_MAX_BATCH_ITEMS="2")
    key = await site.key("ingest")
    assert (await send(site, key, body(outcome(), outcome()))).code == 201
    response = await send(site, key, body(outcome(), outcome(), outcome(status=1)), URL + "?partial=true")
    told = answer(response)
    assert (response.code, told["code"], told["limit"], told["sent"]) == (413, "BATCH_TOO_LARGE", 2, 3)
    assert value(database_url, "SELECT count(*) FROM outcomes") == 2


@pytest.mark.gen_test
async def test_rollups_only(web: Any, database_url: str) -> None:
    site = await web(INGEST_STORE_OUTCOMES="false")
    assert (await send(site, await site.key("ingest"), body(outcome(), outcome()))).code == 201
    assert value(database_url, "SELECT count(*) FROM outcomes") == 0
    assert (
        value(database_url, "SELECT sum(n) FROM deltas JOIN series ON id = series_id WHERE service = 'checkout'") == 2
    )


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.gen_test
async def test_the_throttle_is_of_a_key_and_shared_through_redis(
    web: Any, database_url: str, redis_url: str, shared: bool
) -> None:
    limits = {"INGEST_MAX_ITEMS_PER_SECOND": "2"} | ({"REDIS_URL": redis_url} if shared else {})
    sites = [await web("web.1", **limits), await web("web.2", **limits)]
    key, other = await sites[0].key("ingest"), await sites[0].key("ingest", name="other")
    eight = body(*[outcome()] * 8)  # four seconds' worth, in debt from then on
    assert (await send(sites[0], key, eight)).code == 201
    refused = await send(sites[0], key, eight)
    assert (refused.code, answer(refused)["code"]) == (503, "THROTTLED")
    assert refused.headers["Retry-After"] in ("3", "4")
    assert (await send(sites[1], key, eight)).code == (503 if shared else 201)
    assert (await send(sites[0], other, eight)).code == 201
    for site in sites:
        await site.parts.intake.lane.write()
    refusals = rows(
        database_url, "SELECT service, sum(requests), sum(items) FROM intake WHERE reason = 'THROTTLED' GROUP BY 1"
    )
    assert refusals == [("checkout", 2, 16)] if shared else refusals == [("checkout", 1, 8)]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.gen_test
async def test_what_was_not_stored_is_given_back_to_the_throttle(
    web: Any, redis_url: str, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    site = await web(INGEST_MAX_ITEMS_PER_SECOND="1", **({"REDIS_URL": redis_url} if shared else {}))
    key = await site.key("ingest")
    nine = body(*[outcome()] * 9)

    async def full(batch: Any) -> None:
        raise ApiError("QUEUE_FULL", "full")

    with monkeypatch.context() as patched:
        patched.setattr(site.parts.intake, "store", full)
        for _ in range(3):
            assert answer(await send(site, key, nine, Idempotency_Key="one"))["code"] == "QUEUE_FULL"
    one = body(outcome())
    for _ in range(5):
        assert (await send(site, key, one, Idempotency_Key="two")).code == 201  # stored once, answered again
    assert (await send(site, key, nine, Idempotency_Key="one")).code == 201
    assert answer(await send(site, key, one))["code"] == "THROTTLED"


@pytest.mark.gen_test
async def test_the_throttle_goes_on_without_redis(web: Any) -> None:
    site = await web(INGEST_MAX_ITEMS_PER_SECOND="1", REDIS_URL="redis://127.0.0.1:1/0")
    key = await site.key("ingest")
    assert (await send(site, key, body(*[outcome()] * 9))).code == 201
    assert (await send(site, key, body(outcome()))).code == 503


@pytest.mark.gen_test
async def test_what_comes_in_and_what_is_refused_is_counted(web: Any, database_url: str) -> None:
    site = await web(INGEST_MAX_BATCH_ITEMS="3", MAX_REQUEST_BODY_BYTES="2048")
    key = await site.key("ingest")
    two_services = body(outcome(), outcome(), outcome(service="search"))
    await send(site, key, two_services)
    await send(site, key, body(*[outcome()] * 4))
    await send(site, key, b"x" * 5000)
    await send(site, key, body(outcome(status=0)))
    await send(site, "nobody", body(outcome()))
    await site.parts.intake.lane.write()
    counted = rows(
        database_url,
        "SELECT reason, service, key_id > 0, sum(requests)::int, sum(items)::int, sum(bytes)::int FROM intake"
        " GROUP BY 1, 2, 3 ORDER BY 1, 2",
    )
    size = len(two_services)
    assert counted == [
        ("BATCH_TOO_LARGE", "checkout", True, 1, 4, len(body(*[outcome()] * 4))),
        ("INVALID", "", True, 1, 1, len(body(outcome(status=0)))),
        ("PAYLOAD_TOO_LARGE", "", True, 1, 0, 5000),
        ("UNAUTHENTICATED", "", False, 1, 0, len(body(outcome()))),
        ("accepted", "checkout", True, 1, 2, size * 2 // 3),
        ("accepted", "search", True, 1, 1, size // 3),
    ]


@pytest.mark.gen_test
async def test_own_requests_are_the_service_evenkeel(web: Any, database_url: str) -> None:
    site = await web()
    for _ in range(3):
        await send(site, await site.key("read"), body(outcome()))
    await site.parts.intake.lane.write()
    counted = "SELECT route, method, status, sum(n)::int FROM deltas JOIN series ON id = series_id WHERE service = %s"
    assert rows(database_url, counted + " GROUP BY 1, 2, 3", "evenkeel") == [(URL, "POST", 403, 3)]


@pytest.mark.gen_test
async def test_a_full_queue_says_so_and_the_rest_keeps_working(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await web()
    key = await site.key("ingest", "read")
    assert (await send(site, key, body(outcome()))).code == 201
    monkeypatch.setattr("server.ingest.queue.ITEMS_MAX", 3)
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
            assert connection is not None
        await site.parts.intake.lane.write()
        assert value(database_url, "SELECT requests FROM intake WHERE reason = 'QUEUE_FULL'") == 1
        await blocker.rollback()
    assert [(await one).code for one in waiting] == [201, 201]
    assert site.parts.intake.depth() == (0, 0)
    assert site.parts.intake.ready()[0]


@pytest.mark.gen_test
async def test_stopping_stores_what_was_taken_in(web: Any, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest")
    sends = [asyncio.ensure_future(send(site, key, body(*[outcome()] * 100))) for _ in range(10)]
    await until(lambda: site.parts.intake.depth()[0] > 0 or all(one.done() for one in sends), "a batch to queue")
    await site.parts.intake.close()
    codes = [response.code for response in await asyncio.gather(*sends)]
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
