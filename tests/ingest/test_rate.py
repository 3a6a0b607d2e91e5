"""The rate of a key: shared, given back, and kept up without Redis."""

from __future__ import annotations

from typing import Any

import pytest

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
async def test_the_throttle_goes_on_without_redis(web: Any) -> None:
    site = await web(INGEST_MAX_ITEMS_PER_SECOND="1", REDIS_URL="redis://127.0.0.1:1/0")
    key = await site.key("ingest")
    assert (await send(site, key, body(*[outcome()] * 9))).code == 201
    assert (await send(site, key, body(outcome()))).code == 503
