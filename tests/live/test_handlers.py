"""The query API over real HTTP, fed by real ingest."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import timedelta, timezone
from typing import Any
from urllib.parse import quote

import pytest

from server.kernel.times import utc
from server.tables.detail import FIELDS
from tests.site import Site, answer

Web = Callable[..., Any]


async def send(site: Site, key: str, items: list[dict[str, Any]]) -> None:
    response = await site.fetch("/api/v1/outcomes", method="POST", key=key, data=items)
    assert response.code == 201, response.body


def iso_text(seconds: int) -> str:
    """A time as the API answers it."""
    return utc(seconds).isoformat().replace("+00:00", "Z")


def item(**values: Any) -> dict[str, Any]:
    return {"service": "shop", "route": "/pay", "method": "GET", "status": 200, "duration_ms": 12.5} | values


@pytest.mark.gen_test
async def test_what_was_sent_is_answered(web: Web) -> None:
    site = await web()
    key = await site.key("ingest", "read")
    await send(site, key, [item(), item(status=503, duration_ms=900), item(route="/cart", version="v2"), item()])
    summary = answer(await site.fetch("/api/v1/services/shop/summary?window=5m", key=key))
    assert (summary["volume"], summary["bad"], summary["error_ratio"]) == (4, 1, 0.25)
    assert summary["requests_per_second"] == 4 / 300
    assert summary["p50_ms"] == pytest.approx(12.5, rel=0.01)
    assert summary["p99_ms"] == pytest.approx(900, rel=0.01)
    assert (summary["window"], summary["groups"], summary["partial"]) == ("5m", None, False)
    for group_by, names in {
        "route": {"/pay": 3, "/cart": 1},
        "version": {"": 3, "v2": 1},
        "method": {"GET": 4},
    }.items():
        grouped = answer(await site.fetch(f"/api/v1/services/shop/summary?group_by={group_by}", key=key))
        assert {group["name"]: group["volume"] for group in grouped["groups"]} == names
    series = answer(await site.fetch("/api/v1/services/shop/series?metric=volume&step=60", key=key))
    assert (series["step"], sum(point["volume"] for point in series["points"])) == (60, 4)
    services = answer(await site.fetch("/api/v1/services", key=key))["services"]
    assert [(s["name"], s["volume"]) for s in services if s["name"] == "shop"] == [("shop", 4)]


@pytest.mark.gen_test
async def test_times_are_rfc_3339_in_any_zone(web: Web) -> None:
    site = await web()
    key = await site.key("ingest", "read")
    then = int(time.time()) // 60 * 60 - 3 * 3600  # what is so old is answered by whole minutes
    await send(site, key, [item(timestamp=then * 1000)])
    base = "/api/v1/services/shop/series?metric=error_ratio"
    stamp = utc(then).isoformat()
    elsewhere = utc(then).astimezone(timezone(timedelta(hours=-5))).isoformat()
    end = quote(utc(then + 60).isoformat())
    for start in (stamp, quote(stamp), stamp.replace("+00:00", "Z"), quote(elsewhere)):
        series = answer(await site.fetch(f"{base}&from={start}&to={end}", key=key))
        assert (series["from"], series["to"]) == (iso_text(then), iso_text(then + 60))
        assert sum(point["volume"] for point in series["points"]) == 1, start
        assert all((point["value"] is None) == (point["volume"] == 0) for point in series["points"])


WRONG: list[tuple[str, int, str | None]] = [
    ("services/none/summary", 404, None),
    ("services/%00/summary", 404, None),
    ("services/none/series?metric=volume", 404, None),
    ("services/shop/summary?window=0m", 422, "window"),
    ("services/shop/summary?window=5", 422, "window"),
    ("services/shop/summary?window=401d", 422, "window"),
    ("services/shop/summary?group_by=service", 422, "group_by"),
    ("services/shop/summary?windows=5m", 422, "windows"),
    ("services/shop/series", 422, "metric"),
    ("services/shop/series?metric=volume&from=yesterday", 422, "from"),
    ("services/shop/series?metric=volume&from=2026-01-01T00:00:00", 422, "from"),
    ("services/shop/series?metric=volume&from=1790000000000", 422, "from"),
    ("services/shop/series?metric=volume&from=0001-01-01T00:00:00%2B14:00", 422, "from"),
    ("outcomes?from=0001-01-01T00:00:00%2B14:00", 422, "from"),
    ("outcomes?to=9999-12-31T23:59:59.9-14:00", 422, "to"),
    ("changes?since=1790000000", 422, "since"),
    ("changes?since=2026-01-01T00:00:00", 422, "since"),
    ("services/shop/series?metric=volume&step=0", 422, "step"),
    ("services/shop/series?metric=volume&step=1", 422, "step"),
    ("outcomes?cursor=xyz", 422, "cursor"),
    ("outcomes?cursor=W10", 422, "cursor"),
    ("outcomes?limit=501", 422, "limit"),
    ("outcomes?to=x", 422, "to"),
]


@pytest.mark.gen_test
async def test_what_is_wrong_is_named(web: Web) -> None:
    site = await web()
    key = await site.key("read")
    for path, status, field in WRONG:
        response = await site.fetch(f"/api/v1/{path}", key=key)
        assert response.code == status, (path, response.body)
        if field:
            named = answer(response)["errors"][0]
            assert field in (named["field"] + named["reason"]), path


@pytest.mark.gen_test
async def test_a_key_without_read_is_refused(web: Web) -> None:
    site = await web()
    key = await site.key("ingest")
    for path in ("services", "services/shop/summary", "services/shop/series?metric=volume", "outcomes"):
        assert (await site.fetch(f"/api/v1/{path}", key=key)).code == 403
        assert (await site.fetch(f"/api/v1/{path}")).code == 401


@pytest.mark.gen_test
async def test_outcomes_by_request_id_carry_everything_that_was_sent(web: Web) -> None:
    site = await web()
    key = await site.key("ingest", "read")
    sent = {
        "request_id": "r-1",
        "trace_id": "t-1",
        "error_class": "Timeout",
        "dependency": "db",
        "client": "ios",
        "instance": "a1",
        "version": "v9",
        "error": True,
    }
    sent = dict.fromkeys(FIELDS, "any") | sent
    await send(site, key, [item(**sent), item(request_id="r-2")])
    (found,) = answer(await site.fetch("/api/v1/outcomes?request_id=r-1", key=key))["outcomes"]
    assert found["bad"] is True
    assert found["duration_ms"] == 12.5
    assert {name: found[name] for name in sent if name != "error"} == {n: v for n, v in sent.items() if n != "error"}
    assert answer(await site.fetch("/api/v1/outcomes?request_id=none", key=key)) == {
        "outcomes": [],
        "next": None,
        "lines": [],
    }


@pytest.mark.gen_test
async def test_pages_of_outcomes_are_whole_and_newest_first(web: Web) -> None:
    """Also with equal times, equal request ids, equal everything, and with outcomes that come meanwhile."""
    site = await web()
    key = await site.key("ingest", "read")
    random_, now = random.Random(1), int(time.time())
    sent = [
        item(
            timestamp=(now - random_.randrange(5)) * 1000,
            request_id=random_.choice(["a", "b", "c"]),
            route=random_.choice(["/pay", "/cart"]),
            status=random_.choice([200, 500]),
            duration_ms=random_.choice([1, 2]),
        )
        for _ in range(200)
    ]
    await send(site, key, sent)
    found, cursor, pages = list[dict[str, Any]](), "", 0
    while True:
        page = answer(await site.fetch(f"/api/v1/outcomes?service=shop&limit=7{cursor}", key=key))
        found += page["outcomes"]
        pages += 1
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
        if pages == 3:
            await send(site, key, [item(request_id="late", timestamp=(now + 1) * 1000)])

    def shape(outcome: dict[str, Any]) -> tuple[object, ...]:
        return tuple(outcome[name] for name in ("route", "status", "request_id", "duration_ms"))

    assert sorted(map(shape, found)) == sorted(map(shape, sent))
    times = [outcome["timestamp"] for outcome in found]
    assert times == sorted(times, reverse=True)
    narrow = await site.fetch(
        f"/api/v1/outcomes?service=shop&route=/pay&status=500&to={iso_text(now)}&limit=500", key=key
    )
    wanted = [s for s in sent if s["route"] == "/pay" and s["status"] == 500 and s["timestamp"] < now * 1000]
    assert sorted(map(shape, answer(narrow)["outcomes"])) == sorted(map(shape, wanted))
