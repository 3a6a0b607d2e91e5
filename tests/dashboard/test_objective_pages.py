"""Objectives, one objective and the monthly report as pages, over real HTTP."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from dashboard.objectives.objective import inexact
from server.alerts.alert import Alert
from server.live.telemetry_store import Exact
from server.slo.model.status import BurnWindow, Evidence, Status
from tests.dashboard.config_page import text_of
from tests.dashboard.objective_page import seen, standing
from tests.dashboard.visitor import Web, cut_off_reads, look, service, show, sign_in
from tests.slo.judging import objective
from tests.slo.making import SHOP, availability, file
from tests.slo.making import service as service_document

HOSTILE = "<script>alert(1)</script>"


def alert(objective: str, of: str = "shop", **given: Any) -> Alert:
    now = time.time()
    evidence = Evidence(
        objective,
        of,
        "availability",
        0.999,
        None,
        now,
        True,
        "1h/5m",
        "page",
        True,
        now - 90,
        "window",
        5,
        50,
        0.1,
        0.02,
        0.6,
    )
    usual: dict[str, Any] = {
        "id": 7,
        "state": "firing",
        "urgency": "page",
        "tier": "1h/5m",
        "severity": 2,
        "onset": now - 90,
        "onset_method": "window",
        "detected_at": now - 78,
        "evidence": evidence,
    }
    return Alert(objective=objective, service=of, **(usual | given))


@pytest.mark.gen_test
async def test_the_riskiest_comes_first_and_what_is_fine_is_folded(web: Web, tmp_path: Path) -> None:
    names = [f"o-{i:03d}" for i in range(60)]
    text = service_document("shop") + service_document("mail") + "".join(availability(name, "shop") for name in names)
    site = await web(SLO_FILE=file(tmp_path, text + availability("mail-works", "mail")))
    cookie = await sign_in(site)
    found = [standing(name) for name in names] + [standing("mail-works", "no_traffic", "mail", budget_left=None)]
    found[50] = standing("o-050", "at_risk", budget_left=0.1)
    found[51] = standing("o-051", exhausted_in_s=7200.0)
    found[52] = standing("o-052", "blind", budget_worst=0.12, budget_best=0.31)
    found[53] = standing("o-053", budget_left=0.01, judged=False)  # of too little traffic: says nothing
    open_alerts = [alert("o-040", severity=3), alert("o-050")]
    await show(site, 1, service("shop"), service("mail"), slo=Status(1, 1.0, found, {}), alerts=open_alerts)
    body = await seen(site, "/objectives", cookie)
    order = [part.partition('"')[0] for part in body.split('<tr data-key="')[1:]]
    assert order[:4] == ["o-052", "o-050", "o-040", "o-051"]
    assert 'data-key="o-040" class="objective is-at_risk"' in body, "nothing is healthy before its alert is over"
    assert "12-31 %" in body
    assert body.count("SEV-2 alert") == body.count("SEV-3 alert") == 1
    assert "Not shown: 30 OK, 1 without traffic." in body
    assert len(order) == 30
    everything = await seen(site, "/objectives?all=1", cookie)
    assert everything.count('<tr data-key="') + everything.count('<li data-key="rest-') == 61
    assert "Not shown" not in everything
    mail = await seen(site, "/objectives?service=mail", cookie)
    assert ('data-key="mail-works"' in mail, mail.count('<tr data-key="')) == (True, 1)
    nobody = await seen(site, f"/objectives?service={HOSTILE}", cookie)
    assert "No objective of" in nobody
    assert "<script>alert" not in (await look(site, f"/objectives?service={HOSTILE}", cookie)).body.decode()


@pytest.mark.gen_test
async def test_an_objective_says_what_spent_it_and_what_changed_before(web: Web, tmp_path: Path) -> None:
    site = await web(SLO_FILE=file(tmp_path, SHOP))
    cookie = await sign_in(site)
    spent_at = int(time.time()) // 60 * 60 - 7200
    with psycopg.connect(site.env.database_url or "", autocommit=True) as connection:
        for table, unit in (("ledger_minutes", "minute"), ("ledger_hours", "hour")):
            connection.execute(
                f"INSERT INTO {table} SELECT id, date_trunc('{unit}', to_timestamp(%s), 'UTC'), 9000, 1000, 0"
                " FROM objectives WHERE name = 'shop-works'".encode(),
                (spent_at,),
            )
        connection.execute(
            "INSERT INTO changes (at, kind, service, version, summary, author)"
            " VALUES (to_timestamp(%s), 'deploy', 'shop', %s, %s, 'evenkeel')",
            (spent_at - 300, HOSTILE, f"first seen: {HOSTILE}"),
        )
    body = await seen(site, "/objectives/shop-works", cookie)
    assert "has not been evaluated yet" in body
    assert "1,000 of 10,000" in body
    assert "5 min before" in body
    assert "10,000 %" in body  # of what 10,000 requests allow
    assert "A month's budget begins anew" in body
    raw = (await look(site, "/objectives/shop-works", cookie)).body.decode()
    assert "<script>alert" not in raw

    windows = [BurnWindow(300, 30, 60, 500.0), BurnWindow(3600, 1000, 10_000, 100.0), BurnWindow(21_600, 1, 10, 100.0)]
    burning = standing(
        "shop-works", "burning", budget_left=-9.0, exhausted_in_s=0.0, windows=windows, decided_by=[3600, 300]
    )
    limited = service("shop", accepted_items=600, refused_items=600, refused_by="THROTTLED", refused_key="ci")
    burning.tiers = {"1h/5m": "holds", "6h/30m": "over", "1d/2h": "holds"}
    burning.budget_worst, burning.budget_best = -12.0, -8.0
    await show(site, 1, limited, slo=Status(1, 1.0, [burning], {"shop": "burning"}), alerts=[alert("shop-works")])
    body = await seen(site, "/objectives/shop-works", cookie)
    for told in (
        "Burning: shop-works",
        "SEV-2 alert",
        "found ",
        "50 % of shop's items are refused by a limit (THROTTLED)",
        "The budget is a range",
        "overspent",
        "used up",
        "■ holds",
        "over: what came since burns less",
        "holds too",
        "500×",
    ):
        assert told in body, told
    assert (await look(site, "/objectives/nobody", cookie)).code == 404
    assert (await site.fetch("/objectives/shop-works")).code == 302


def test_an_objective_says_what_is_not_exact() -> None:
    fast = objective("0.99", service="shop", kind="latency", threshold_us=300_000)
    buckets = Exact(estimated=True, latency_error=0.3, bounds_ms=(250.0, 500.0))
    assert inexact(fast, buckets).startswith("300 ms lies within a bucket of the histograms of shop, 250 ms to 500 ms:")
    for exact in (replace(buckets, bounds_ms=(300.0,)), Exact(estimated=True)):
        assert inexact(fast, exact).endswith("the budget is an estimate.")
    assert inexact(fast, Exact(latency_error=0.02)) == ""


@pytest.mark.gen_test
async def test_the_live_picture_of_an_objective_stays_when_the_database_does_not_answer(
    web: Web, tmp_path: Path
) -> None:
    site = await web(SLO_FILE=file(tmp_path, SHOP))
    cookie = await sign_in(site)
    await show(site, 1, service("shop"), slo=Status(1, 1.0, [standing("shop-works")], {}))
    await look(site, "/", cookie)
    await cut_off_reads(site)
    body = await seen(site, "/objectives/shop-works", cookie)
    assert "OK: shop-works" in body
    assert "The database does not answer" in body
    assert body.count("Cannot be read just now") >= 5


@pytest.mark.gen_test
async def test_the_report_is_a_page_with_both_budgets_apart(web: Web, tmp_path: Path) -> None:
    site = await web(SLO_FILE=file(tmp_path, SHOP))
    cookie = await sign_in(site)
    month = datetime.now(UTC).strftime("%Y-%m")
    empty = await seen(site, "/review", cookie)
    assert "Nothing was counted yet" in empty
    body = await seen(site, f"/review/shop/{month}", cookie)
    for told in (
        "so far",
        "nothing counted",
        "Month's budget spent",
        "Rolling budget left at the end",
        "Counted since",
    ):
        assert told in body, told
    assert "Nothing was excluded" in body
    with psycopg.connect(site.env.database_url or "", autocommit=True) as connection:
        connection.execute(
            "INSERT INTO exclusions (service, start, stop, reason, author)"
            " VALUES ('shop', now() - interval '1 min', now(), 'load test', 'mira')"
        )
    excluded = await seen(site, f"/review/shop/{month}", cookie)
    assert "load test" in excluded
    assert "Nothing was excluded" not in excluded, "one that took nothing out is one too"
    assert f"/api/v1/reports/shop/{month}?format=csv" in body
    assert (await look(site, "/review/shop/2026-13", cookie)).code == 422
    assert (await look(site, f"/review/nobody/{month}", cookie)).code == 404
    assert 'data-go="r"' in body


@pytest.mark.gen_test
async def test_a_change_names_its_version_and_a_rollback_what_it_went_back_to(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    difference = (
        '{"setting": "ingest_max_batch_items", "scope": "all", "scope_name": "all", "before": 100, "after": 1000,'
        ' "before_source": "revision", "after_source": "default", "before_until": null, "after_until": null,'
        ' "text": "batch items 100 -> 1000"}'
    )
    with psycopg.connect(site.env.database_url or "", autocommit=True) as connection:
        connection.execute(
            "INSERT INTO changes (kind, service, version, summary, author, detail) VALUES"
            " ('deploy', 'cart', 'd3', 'back (rolls back e4f5a6b)', 'ci', NULL),"
            " ('deploy', 'shop', 'f1', 'first seen: f1', 'ci', NULL), ('deploy', 'mail', 'a1', '', 'ci', NULL),"
            " ('revision', 'evenkeel', '5', '', 'evenkeel', %s)",
            (f'{{"revision": 5, "kind": "rollback", "restores": 3, "differences": [{difference}]}}',),
        )
    told = text_of((await look(site, "/changes", cookie)).body)
    assert "Deploy cart : version d3, back (rolls back e4f5a6b)" in told
    assert "Deploy shop : first seen: f1" in told
    assert "Deploy mail : version a1" in told
    assert "Revision 5 , a rollback to 3: batch items 100 → 1000" in told
