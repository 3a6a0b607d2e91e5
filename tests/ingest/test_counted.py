"""What came in and what was refused is counted."""

from __future__ import annotations

from typing import Any

import pytest

from server.kernel.names import HOST
from server.telemetry import metrics
from tests.ingest.making import body, outcome, rows, value
from tests.ingest.sending import URL, send
from tests.site import answer


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
