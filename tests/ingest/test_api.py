"""POST /api/v1/outcomes: what is stored, what is refused and why, and what a repeat gets."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from tests.ingest.making import body, outcome, value
from tests.ingest.sending import URL, send
from tests.site import answer


@pytest.mark.gen_test
async def test_an_array_is_stored_when_it_is_answered(web: Any, database_url: str) -> None:
    site = await web()
    response = await send(site, await site.key("ingest"), body(outcome(weight=10), outcome(status=500)))
    assert response.code == 201, response.body
    assert answer(response) == {"accepted": 2}
    assert response.headers["X-Request-Id"]
    assert value(database_url, "SELECT count(*) FROM outcomes") == 2
    read = await site.key("read")
    summary = answer(await site.fetch("/api/v1/services/checkout/summary", key=read))
    assert (summary["volume"], summary["bad"]) == (11, 1)
    kept = answer(await site.fetch("/api/v1/outcomes?service=checkout", key=read))["outcomes"]
    assert sorted(one["weight"] for one in kept) == [1, 10]
    await site.parts.intake.lane.write()
    assert value(database_url, "SELECT sum(items)::int FROM intake") == 2


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
    mixed = body(outcome(), outcome(status=1), outcome(), outcome(weight=0))
    response = await send(site, key, mixed)
    assert response.code == 422
    told = answer(response)
    assert told["code"] == "INVALID"
    assert [(fault["index"], fault["field"]) for fault in told["errors"]] == [(1, "status"), (3, "weight")]
    assert value(database_url, "SELECT count(*) FROM outcomes") == 0
    response = await send(site, key, mixed, path=URL + "?partial=true")
    assert response.code == 201
    told = answer(response)
    assert told["accepted"] == 2
    assert [fault["index"] for fault in told["refused"]] == [1, 3]
    assert value(database_url, "SELECT count(*) FROM outcomes") == 2
    assert (await send(site, key, mixed, path=URL + "?partial=perhaps")).code == 422


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
