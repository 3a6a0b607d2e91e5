"""Exclusions, months and spans over real HTTP."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from server.kernel.times import utc
from server.live.fold import Fold
from server.slo.ledger.ledger import Ledger
from tests.live.rollups import lead
from tests.site import Site, answer
from tests.slo.making import SHOP, file
from tests.slo.over_http import outcome, seconds, send


def instant(at: float) -> str:
    return utc(at).isoformat().replace("+00:00", "Z")


async def exclude(site: Site, key: str, start: float, stop: float, **given: Any) -> Any:
    body = {"service": "shop", "start": instant(start), "stop": instant(stop), "reason": "load test"} | given
    return await site.fetch("/api/v1/exclusions", method="POST", key=key, data=body)


async def budget(site: Site, key: str, query: str = "") -> Any:
    return answer(await site.fetch(f"/api/v1/slos/shop-works/budget{query}", key=key))


@pytest.mark.gen_test
async def test_an_exclusion_is_made_told_both_ways_and_revoked(web: Any, database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    site: Site = await web(SLO_FILE=file(tmp_path, SHOP))
    key = await site.key("ingest", "read", "act")
    fold, now = Fold(site.parts.db, Ledger(site.parts.policies).fold), time.time()
    await send(site, key, [outcome()] * 60 + [outcome(500)] * 20)
    await fold.run(1)

    made = answer(await exclude(site, key, now - 90, now + 90.5))
    exclusion = made["exclusion"]
    assert made["message"].endswith("Widened to whole minutes.")
    assert seconds(exclusion["start"]) == (now - 90) // 60 * 60
    assert seconds(exclusion["stop"]) == -(-(now + 90.5) // 60) * 60
    assert exclusion["author"] == "key:test"
    await send(site, key, [outcome(500)] * 5)  # while it lasts, not folded yet
    found = await budget(site, key)
    assert (found["good"], found["bad"], found["left_out_good"], found["left_out_bad"]) == (0, 0, 60, 25)
    assert found["budget_left"] is None
    assert found["budget_left_counted"] == pytest.approx(1 - 25 / 0.085)

    again = answer(await exclude(site, key, seconds(exclusion["start"]) + 1, seconds(exclusion["stop"])))
    assert again["already"]
    assert again["message"].startswith("Already excluded by key:test, ")
    await fold.run(1)
    month = await budget(site, key, f"?month={utc(time.time()).strftime('%Y-%m')}")
    assert (month["left_out_bad"], month["bad"], month["span_left"]) == (25, 0, None)
    assert month["span_left_counted"] == pytest.approx(1 - 25 / 0.085)

    path = f"/api/v1/exclusions/{exclusion['id']}/revoke"
    assert answer(await site.fetch(path, method="POST", key=key, body=""))["exclusion"]["revoked_by"] == "key:test"
    assert answer(await site.fetch(path, method="POST", key=key, body=""))["already"]
    assert (await budget(site, key))["bad"] == 25
    listed = answer(await site.fetch("/api/v1/exclusions?service=shop", key=key))["exclusions"]
    assert [each["id"] for each in listed] == [exclusion["id"]]
    audit = answer(await site.fetch("/api/v1/audit", key=await site.key("admin", name="auditor")))["acts"]
    assert [act["action"] for act in audit if act["subject"] == f"exclusion {exclusion['id']}"] == [
        "exclusion.revoke",
        "exclusion.make",
    ]


@pytest.mark.gen_test
async def test_what_may_not_be_excluded(web: Any, database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    site: Site = await web(SLO_FILE=file(tmp_path, SHOP))
    key, reader = await site.key("ingest", "read", "act"), await site.key("read", name="reader")
    await send(site, key, [outcome()])
    now = time.time() // 60 * 60
    hour, day = 3600, 86_400

    async def refused(start: float, stop: float, **given: Any) -> Any:
        response = await exclude(site, key, start, stop, **given)
        assert response.code == 422, response.body
        return answer(response)

    assert (await exclude(site, reader, now, now + 60)).code == 403
    assert (await refused(now, now))["errors"][0]["field"] == "stop"
    assert "minutes are kept for 35 days" in (await refused(now - 35 * day, now - 35 * day + hour))["detail"]
    assert (await refused(now, now + 91 * day))["errors"][0]["field"] == "stop"
    assert (await refused(now, now + 60, service="stranger"))["errors"][0]["field"] == "service"
    assert "it has /pay" in (await refused(now, now + 60, route="/nothing"))["detail"]
    assert (await refused(now, now + 60, reason=" "))["errors"][0]["field"] == "reason"
    assert (await exclude(site, key, now - 20 * hour, now)).code == 200
    assert (await exclude(site, key, now - 22 * hour, now - 10 * hour, route="/pay")).code == 200
    cap = await refused(now + 10 * day, now + 10 * day + 3 * hour)
    assert (cap["used_s"], cap["asked_s"], cap["allowed_s"]) == (22 * hour, 3 * hour, 24 * hour)
    assert "22 h excluded already and 3 h asked make 25 h" in cap["detail"]
    assert (await exclude(site, key, now + 10 * day, now + 10 * day + 2 * hour)).code == 200
    assert (await exclude(site, key, now + 40 * day, now + 50 * day)).code == 422  # longer than the cap
    assert (await exclude(site, key, now + 40 * day, now + 40 * day + 20 * hour)).code == 200  # in no window with those
    for path in ("0", "x", "99", "9" * 30):
        assert (await site.fetch(f"/api/v1/exclusions/{path}/revoke", method="POST", key=key, body="")).code == 404


@pytest.mark.gen_test
async def test_spans_say_what_they_are_made_of(web: Any, tmp_path: Path) -> None:
    site: Site = await web(SLO_FILE=file(tmp_path, SHOP))
    key = await site.key("read")
    now = time.time()
    near = await budget(site, key, f"?from={instant(now - 3000)}&to={instant(now - 1000)}")
    assert near["granularity"] == "minute"
    assert (seconds(near["from"]), seconds(near["to"])) == ((now - 3000) // 60 * 60, -(-(now - 1000) // 60) * 60)
    far = await budget(site, key, f"?from={instant(now - 40 * 86_400)}")
    assert far["granularity"] == "hour"
    assert seconds(far["from"]) == (now - 40 * 86_400) // 3600 * 3600
    assert abs(seconds(far["to"]) - now) < 30
    for query, field in (
        ("month=2026-13", "month"),
        ("month=2999-01", "month"),
        ("month=2026-11&window=1h", "month"),
        (f"month=2026-11&from={instant(now)}", "from"),
        (f"to={instant(now)}", "from"),
        (f"from={instant(now)}&to={instant(now - 60)}", "from"),
        ("from=yesterday", "from"),
    ):
        wrong = await site.fetch(f"/api/v1/slos/shop-works/budget?{query}", key=key)
        assert (wrong.code, answer(wrong)["errors"][0]["field"]) == (422, field), query
