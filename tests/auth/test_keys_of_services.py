"""Keys that are bound to services: what they send, what they act for, and what it costs others."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ingest.making import body, outcome, rows
from tests.ingest.sending import URL, send
from tests.site import answer
from tests.waiting import until

pytestmark = pytest.mark.gen_test

IN_AN_HOUR = {"start": "2026-11-25T14:00:00Z", "stop": "2026-11-25T14:30:00Z"}


async def test_a_bound_key_sends_its_services_and_no_other(web: Any, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest", name="checkout-app", services=["checkout"])
    mixed = body(outcome(), outcome(service="payments"), outcome())
    assert (await send(site, key, body(outcome()))).code == 201
    refused = await send(site, key, mixed)
    assert refused.code == 422
    (fault,) = answer(refused)["errors"]
    assert fault == {
        "index": 1,
        "field": "service",
        "reason": "the key checkout-app may not send it; it is of checkout",
    }
    partial = answer(await send(site, key, mixed, URL + "?partial=true"))
    assert (partial["accepted"], partial["refused_indexes"]) == (2, [1])
    found = "SELECT DISTINCT service FROM series WHERE service <> 'evenkeel'"
    assert rows(database_url, found) == [("checkout",)]


async def test_what_a_bound_key_is_refused_is_not_held_against_the_service_of_others(
    web: Any, database_url: str
) -> None:
    site = await web(INGEST_MAX_BATCH_ITEMS="2")
    key = await site.key("ingest", services=["checkout"])
    assert (await send(site, key, body(*[outcome(service="payments")] * 3))).code == 413
    await until(lambda: not site.parts.in_flight, "the answer to be counted")
    await site.parts.intake.lane.write()
    assert rows(database_url, "SELECT DISTINCT service FROM intake") == [("",)]


async def test_no_key_sends_outcomes_of_evenkeel(web: Any) -> None:
    site = await web()
    refused = await send(site, await site.key("ingest"), body(outcome(service="evenkeel")))
    assert refused.code == 422
    assert answer(refused)["errors"][0]["field"] == "service"
    admin = await site.key("admin")
    for services, scopes in ((["evenkeel"], ["ingest"]), (["checkout"], ["ingest", "admin"]), (["a\0b"], ["ingest"])):
        asked = {"name": "a", "scopes": scopes, "services": services}
        told = await site.fetch("/api/v1/keys", method="POST", key=admin, data=asked)
        assert (told.code, answer(told)["errors"][0]["field"]) == (422, "services"), services


async def test_a_bound_key_acts_for_its_services_and_for_nothing_else(web: Any) -> None:
    site = await web()
    key = await site.key("act", "read", services=["checkout", "search"])

    async def act(path: str, method: str = "POST", **data: Any) -> int:
        seen = {"If-Match": '"1"', "Content-Type": "application/json"}
        return int((await site.fetch(path, method=method, key=key, data=data, headers=seen)).code)

    deploy = {"kind": "deploy", "version": "5f2c1a9"}
    assert await act("/api/v1/changes", service="checkout", **deploy) == 201
    assert await act("/api/v1/changes", service="payments", **deploy) == 403
    lifted = {"kind": "deploy", "reason": "now", "minutes": 5}
    assert await act("/api/v1/gate/overrides", service="payments", **lifted) == 403
    assert await act("/api/v1/exclusions", service="payments", reason="load test", **IN_AN_HOUR) == 403
    assert await act("/api/v1/config", "PATCH", values={"INGEST_STORE_OUTCOMES": False}, reason="x") == 403
    assert await act("/api/v1/config/rollback", reason="x") == 403
    assert (await site.fetch("/api/v1/slos", key=key)).code == 200, "reading is not narrowed"


async def test_a_key_is_listed_with_its_services(web: Any) -> None:
    site = await web()
    admin = await site.key("admin")
    asked = {"name": "ci", "scopes": ["ingest"], "services": ["search", " checkout", "search", ""]}
    made = await site.fetch("/api/v1/keys", method="POST", key=admin, data=asked)
    assert answer(made)["services"] == ["checkout", "search"]
    listed = {one["name"]: one["services"] for one in answer(await site.fetch("/api/v1/keys", key=admin))}
    assert listed == {"ci": ["checkout", "search"], "test": []}
