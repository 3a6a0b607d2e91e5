"""The rate of a key: shared, given back, and kept up without Redis."""

from __future__ import annotations

from typing import Any

import pytest

from server.ingest.throttle import Quota
from server.kernel.errors import ApiError
from tests.ingest.making import body, outcome, rows
from tests.ingest.sending import send
from tests.site import answer


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.gen_test
async def test_the_throttle_is_of_a_key_and_shared_through_redis(
    web: Any, database_url: str, redis_url: str, shared: bool
) -> None:
    limits = {"INGEST_MAX_ITEMS_PER_SECOND": "2"} | ({"REDIS_URL": redis_url} if shared else {})
    sites = [await web("web.1", **limits), await web("web.2", **limits)]
    key, other = await sites[0].key("ingest"), await sites[0].key("ingest", name="other")
    eight = body(*[outcome()] * 8)  # four seconds' worth, in debt from then on
    taken = await send(sites[0], key, eight)
    assert (taken.code, taken.headers["RateLimit"]) == (201, '"items-per-second";r=0;t=3')
    refused = await send(sites[0], key, eight)
    assert (refused.code, answer(refused)["code"]) == (503, "THROTTLED")
    assert refused.headers["Retry-After"] in ("2", "3")
    assert refused.headers["RateLimit"] == f'"items-per-second";r=0;t={refused.headers["Retry-After"]}'
    assert refused.headers["RateLimit-Policy"] == '"items-per-second";q=2;qu="items";w=1'
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

    async def full(*_: Any) -> None:
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
async def test_the_throttle_goes_on_without_redis(web: Any, caplog: pytest.LogCaptureFixture) -> None:
    site = await web(INGEST_MAX_ITEMS_PER_SECOND="1", REDIS_URL="redis://127.0.0.1:1/0")
    key = await site.key("ingest")
    assert (await send(site, key, body(*[outcome()] * 9))).code == 201
    site.parts.intake.throttle._redis_from = 0.0  # a second later
    assert (await send(site, key, body(outcome()))).code == 503
    assert site.parts.intake.throttle._redis_from > 0, "it was asked again"
    assert caplog.text.count("Redis lost, throttling per process") == 1


def test_what_a_key_may_still_send() -> None:
    assert Quota(100, 0.25).headers == {
        "RateLimit-Policy": '"items-per-second";q=100;qu="items";w=1',
        "RateLimit": '"items-per-second";r=75;t=1',
    }
    assert Quota(100, 1.0).headers["RateLimit"] == '"items-per-second";r=0;t=1'
    assert Quota(100, 7.1).headers["RateLimit"] == '"items-per-second";r=0;t=7'


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.gen_test
async def test_the_rate_is_told_where_there_is_one(web: Any, redis_url: str, shared: bool) -> None:
    site = await web(INGEST_MAX_ITEMS_PER_SECOND="100000", **({"REDIS_URL": redis_url} if shared else {}))
    free = await web("web.2")
    key = await site.key("ingest")
    forty = body(*[outcome()] * 40)

    def left(response: Any) -> int:
        name, remains, _ = response.headers["RateLimit"].split(";")
        assert name == '"items-per-second"'
        return int(remains.removeprefix("r="))

    assert 99_000 < left(await send(site, key, forty)) <= 99_960
    faulty = await send(site, key, body(outcome(), outcome(status=1)))
    assert (faulty.code, "RateLimit" in faulty.headers) == (422, False)  # it took nothing of the rate
    await send(site, key, forty, Idempotency_Key="one")
    again = await send(site, key, body(outcome()), Idempotency_Key="one")
    assert (again.code, answer(again)["code"]) == (422, "IDEMPOTENCY_MISMATCH")
    assert left(again) <= 100_000
    assert "RateLimit" not in (await send(free, key, forty)).headers
