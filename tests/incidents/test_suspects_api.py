"""Suspects of a running service: from real ingest, over real HTTP, with what is sampled and what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from sqlalchemy import text

from server.changes import store as change_store
from server.incidents import suspect_store
from server.incidents.suspect_rows import FAILED_MOST, drawn
from server.kernel import shared_clock
from server.kernel.times import utc
from tests.alerts.making import at, burning
from tests.dashboard.visitor import look, sign_in
from tests.ingest.making import value
from tests.live.test_handlers import item, send
from tests.site import Site, answer
from tests.slo.making import SHOP, file
from tests.waiting import PATIENCE_S, until

Web = Callable[..., Any]

AGO_S = 180  # the onset


async def traffic(site: Site, key: str, make: Callable[[int, bool], dict[str, Any]]) -> float:
    """500 requests of the 500 s before the onset and 500 of the minute after it; the onset."""
    onset = shared_clock.now() // 60 * 60 - AGO_S
    before = [make(n, False) | {"timestamp": (onset - 500 + n) * 1000} for n in range(500)]
    after = [make(n, True) | {"timestamp": (onset + n * 60 / 500) * 1000} for n in range(500)]
    await send(site, key, before)
    await send(site, key, after)
    return onset


async def asked(site: Site, key: str, at: float, query: str = "") -> Any:
    path = f"/api/v1/services/shop/suspects?at={quote(utc(at).isoformat())}{query}"
    return answer(await site.fetch(path, key=key))


@pytest.mark.gen_test
async def test_a_bad_version_is_named_with_its_counts_its_change_and_two_failing_requests(web: Web) -> None:
    site = await web()
    key = await site.key("ingest", "read")

    def make(n: int, after: bool) -> dict[str, Any]:
        version = "v2" if after and n % 5 == 0 else "v1"
        bad = {"status": 500, "error_class": "KeyError"} if version == "v2" and n % 2 else {}
        return item(route=f"/r{n % 3}", version=version, client=f"c{n % 4}", request_id=f"{after}-{n}", **bad)

    onset = await traffic(site, key, make)
    async with site.parts.db.act() as connection:
        await change_store.record_first_seen(connection, 0)
    found = await asked(site, key, onset + 20)
    assert (found["certainty"], found["extra"]) == ("likely", 50)
    assert found["now"] == {"bad": 50, "n": 500}
    first = found["causes"][0]["suspects"][0]
    assert first["values"] == {"version": "v2"}
    assert (first["share"], first["traffic"]) == (1.0, pytest.approx(0.2))
    assert (first["now"], first["rest"]) == ({"bad": 50, "n": 100}, {"bad": 0, "n": 400})
    assert first["before"] == {"bad": 0, "n": 500}, "a new version is compared with what was before it"
    assert first["error_classes"] == ["KeyError"]
    assert len(first["requests"]) == 2
    assert all(one.startswith("True-") for one in first["requests"])
    assert (first["change"]["kind"], first["change"]["before_s"]) == ("deploy", 20.0)
    assert first["undo"] == "Roll back to v1"
    assert [one["version"] for one in found["changes"]] == ["v2"]


@pytest.mark.gen_test
async def test_an_onset_late_in_a_minute_is_not_compared_with_itself(web: Web) -> None:
    site = await web()
    key = await site.key("ingest", "read")

    def make(n: int, after: bool) -> dict[str, Any]:
        version = "v2" if after or n >= 490 else "v1"  # from 10 s before the minute on
        return item(version=version, status=500 if version == "v2" and n % 2 else 200)

    onset = await traffic(site, key, make)
    first = (await asked(site, key, onset - 10))["causes"][0]["suspects"][0]
    assert first["values"] == {"version": "v2"}
    assert first["before"] == {"bad": 0, "n": 440}, "until the minute of the onset"


@pytest.mark.gen_test
async def test_a_version_that_came_a_second_before_the_minute_still_goes_back(web: Web) -> None:
    site = await web()
    key = await site.key("ingest", "read")

    def make(n: int, after: bool) -> dict[str, Any]:
        version = "v2" if after or n == 499 else "v1"
        return item(version=version, status=500 if after and n % 2 else 200)

    onset = await traffic(site, key, make)
    first = (await asked(site, key, onset + 20))["causes"][0]["suspects"][0]
    assert (first["values"], first["undo"], first["back_to"]) == ({"version": "v2"}, None, None), "not told"
    async with site.parts.db.act() as connection:
        await change_store.record_first_seen(connection, 0)
    first = (await asked(site, key, onset + 20))["causes"][0]["suspects"][0]
    assert (first["undo"], first["back_to"]) == ("Roll back to v1", "v1")


@pytest.mark.gen_test
async def test_a_limit_is_a_suspect_only_where_it_refused_something_of_the_service(web: Web, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest", "read")
    onset = await traffic(site, key, lambda n, after: item(status=500 if after and n % 4 == 0 else 200))
    differences = [{"setting": "INGEST_MAX_BATCH_ITEMS"}]
    async with site.parts.db.act() as connection:
        limit = {"kind": "revision", "service": "evenkeel", "version": "2", "summary": "", "author": "mira"}
        await change_store.record(connection, **limit, detail={"differences": differences}, at=utc(onset - 60))
    named = [one for cause in (await asked(site, key, onset + 20))["causes"] for one in cause["suspects"]]
    assert not any("revision" in one["values"] for one in named), "that it came shortly before says nothing"
    refused = """
        INSERT INTO intake (slot, process_id, key_id, service, reason, requests, items, bytes, item_sizes, byte_sizes)
        SELECT to_timestamp(:at), 1, 0, 'shop', :reason, 9, 9, 0, i.item_sizes, i.byte_sizes FROM intake i LIMIT 1
        """
    await until(lambda: value(database_url, "SELECT count(*) FROM intake"), "the counts of what was sent")
    for reason, expected in (("THROTTLED", False), ("BATCH_TOO_LARGE", True)):
        async with site.parts.db.act() as connection:
            await connection.execute(text(refused), {"at": onset // 10 * 10, "reason": reason})
        first = (await asked(site, key, onset + 20))["causes"]
        assert ("revision" in first[0]["suspects"][0]["values"] if first else False) is expected, reason


@pytest.mark.gen_test
async def test_one_client_is_told_by_the_details_that_are_kept_of_outcomes(web: Web) -> None:
    site = await web()
    key = await site.key("ingest", "read")

    def make(n: int, after: bool) -> dict[str, Any]:
        client = f"c{n % 5}"
        status = 500 if after and client == "c3" and n % 2 else 200
        return item(route=f"/r{n % 3}", client=client, instance=f"web.{n % 2}", status=status)

    found = await asked(site, key, await traffic(site, key, make))
    first = found["causes"][0]["suspects"][0]
    assert first["values"] in ({"client": "c3"}, {"client": "c3", "instance": "web.1"})
    assert first["now"]["bad"] == 50
    assert first["undo"] is None


@pytest.mark.gen_test
async def test_a_dependency_that_only_failures_name_has_no_share_of_the_traffic(web: Web) -> None:
    site = await web()
    key = await site.key("ingest", "read")

    def make(n: int, after: bool) -> dict[str, Any]:
        bad = {"status": 502, "dependency": "stripe", "error_class": "Timeout"} if after and n % 5 == 0 else {}
        return item(route=f"/r{n % 7}", version=f"v{n % 3}", **bad)

    found = await asked(site, key, await traffic(site, key, make))
    first = found["causes"][0]["suspects"][0]
    assert first["values"]["dependency"] == "stripe"
    assert first["traffic"] is None
    assert (first["now"], first["before"]) == ({"bad": 100, "n": 500}, {"bad": 0, "n": 500}), "of all requests"


@pytest.mark.gen_test
async def test_of_what_is_slow_the_route_over_the_threshold_is_named(web: Web, tmp_path: Path) -> None:
    site = await web(SLO_FILE=file(tmp_path, SHOP.replace("300", "64.1")))
    key = await site.key("ingest", "read")

    def make(n: int, after: bool) -> dict[str, Any]:
        slow = after and n % 3 == 1
        return item(route=f"/r{n % 3}", duration_ms=500 if slow else 5, status=500 if n == 0 else 200)

    onset = await traffic(site, key, make)
    found = await asked(site, key, onset, "&over_ms=64.1")
    first = found["causes"][0]["suspects"][0]
    assert first["values"] == {"route": "/r1"}
    assert found["now"]["bad"] == first["now"]["bad"] == 167, "what failed is not told as slow"
    refused = answer(await site.fetch("/api/v1/services/shop/suspects?over_ms=200", key=key))
    assert refused["errors"][0]["reason"].endswith("of the service: 64.1")


@pytest.mark.gen_test
async def test_it_says_when_nothing_can_be_told(web: Web) -> None:
    site = await web()
    key = await site.key("ingest", "read")
    now = shared_clock.now()
    assert (await site.fetch("/api/v1/services/nobody/suspects", key=key)).code == 404
    await send(site, key, [item(timestamp=(now - 60) * 1000) for _ in range(50)])
    assert (await asked(site, key, now))["certainty"] == "nothing fails more than before"
    await send(site, key, [item(status=500, timestamp=(now - 60) * 1000) for _ in range(20)])
    found = await asked(site, key, now)
    assert (found["certainty"], found["causes"], found["now"]["bad"]) == ("too few to tell", [], 20)
    wrong = await site.fetch("/api/v1/services/shop/suspects?at=yesterday", key=key)
    assert (wrong.code, answer(wrong)["errors"][0]["field"]) == (422, "at")


@pytest.mark.gen_test
async def test_a_busy_service_is_sampled_and_counted_whole(web: Web) -> None:
    """Of 3,000 failing requests at most 2,000 are read, spread over the time; all are counted."""
    site = await web()
    key = await site.key("ingest", "read")
    now = shared_clock.now() // 60 * 60 - 120
    for part in range(3):
        spread = [item(status=500, timestamp=(now + n * 0.06) * 1000, client=f"c{part}") for n in range(1000)]
        await send(site, key, spread)
    await send(site, key, [item(timestamp=(now + n) * 1000) for n in range(60)])
    async with site.parts.db.ask() as connection:
        counts = await suspect_store.minutes(connection, "shop", now - 60, now + 120, None)
        plan = drawn(counts, now, now + 60, FAILED_MOST, bad=True)
        read = await suspect_store.sample(connection, plan, bad=True, over_us=None)
    assert len(read) <= 2004
    assert {one.client for one in read} == {"c0", "c1", "c2"}
    assert max(one.at for one in read) - min(one.at for one in read) > 50
    found = await asked(site, key, now)
    assert found["now"] == {"bad": 3000, "n": 3060}


@pytest.mark.gen_test
async def test_the_page_of_the_alert_shows_them(web: Web, tmp_path: Path) -> None:
    site = await web(SLO_FILE=file(tmp_path, SHOP))
    key = await site.key("ingest", "read")

    def make(n: int, after: bool) -> dict[str, Any]:
        version = "5f2c1a9" if after and n % 5 == 0 else "<b>4e81b07"
        bad = {"status": 500, "error_class": "KeyError"} if version == "5f2c1a9" else {}
        return item(route=f"/r{n % 3}", version=version, request_id=f"{after}-{n}", **bad)

    onset = await traffic(site, key, make)
    evidence = msgspec.json.encode(at(burning("shop"), onset)).decode()
    async with site.parts.db.act() as connection:
        found = await connection.execute(
            text(
                """
                INSERT INTO alerts (objective, service, state, urgency, tier, severity, onset, onset_method,
                    detected_at, evidence)
                VALUES ('shop-works', 'shop', 'firing', 'page', 'fast', 2, to_timestamp(:onset),
                    'change point', now(), CAST(:evidence AS jsonb)) RETURNING id
                """
            ),
            {"onset": onset, "evidence": evidence},
        )
    address, cookie, page = f"/alerts/{found.scalar_one()}", await sign_in(site), ""
    async with asyncio.timeout(PATIENCE_S):  # the page is shown without them until they are ranked
        while "suspects-title" not in page:
            page = (await look(site, address, cookie)).body.decode()
    suspects = page.partition('id="suspects-title"')[2].partition("</table>")[0]
    first = suspects.partition("<tbody>")[2].partition("</tr>")[0]
    for said in ("5f2c1a9", "100 %", "20 %", "100 % of 100", "0 % of 500", "KeyError", "Roll back to &lt;b&gt;4e81b07"):
        assert said in first
    assert first.count("/requests?id=True-") == 2
    assert "100 extra failures" in suspects
