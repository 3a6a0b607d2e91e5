"""What every page keeps to: who may look, forms that cannot be forged, headers, errors as pages."""

from __future__ import annotations

import asyncio
from html import unescape
from pathlib import Path

import msgspec
import pytest

from dashboard.shared.rendering import time_element, with_ago
from server.live.service import ServicePart
from server.slo.model.status import BurnWindow, ObjectiveStatus, Status
from tests.dashboard.visitor import Web, cut_off_reads, look, service, show, sign_in
from tests.slo.making import SHOP, file
from tests.waiting import PATIENCE_S


@pytest.mark.gen_test
async def test_a_stranger_is_sent_to_sign_in_and_keeps_the_link(web: Web) -> None:
    site = await web()
    answer = await site.fetch("/services/shop?window=6h")
    assert (answer.code, answer.headers["Location"]) == (302, "/sign-in?next=%2Fservices%2Fshop%3Fwindow%3D6h")


@pytest.mark.gen_test
async def test_headers_of_every_page(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    for path in ("/", "/sign-in", "/no/such/page"):
        headers = (await look(site, path, cookie)).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "object-src 'none'; base-uri 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["Referrer-Policy"] == "same-origin"
        assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Request-Id"]
    api = (await site.fetch("/api/v1/no-such")).headers
    assert api["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.gen_test
async def test_a_form_without_its_token_does_nothing(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    form = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
    answer = await site.fetch("/config/rollback", method="POST", headers=form, body="from=1&to=0")
    assert answer.code == 403
    assert b"Nothing was done" in answer.body
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.gen_test
async def test_an_address_that_is_no_page_is_a_page_and_one_of_the_api_is_a_problem(web: Web) -> None:
    site = await web()
    page = await look(site, "/no/such/page", await sign_in(site))
    assert page.code == 404
    assert page.headers["X-Request-Id"] in page.body.decode()
    problem = await site.fetch("/api/v1/nothing")
    assert (problem.code, problem.headers["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.gen_test
async def test_a_viewer_sees_no_button_that_would_be_refused(web: Web) -> None:
    site = await web()
    for role, shown in (("viewer", False), ("responder", True)):
        cookie = await sign_in(site, role)
        body = (await look(site, "/config", cookie)).body.decode()
        assert ('action="/config/' in body) is shown, role


@pytest.mark.gen_test
async def test_names_are_escaped_wherever_they_come_from(web: Web) -> None:
    site = await web()
    evil = "<script>alert(1)</script>"
    blamed = ServicePart(evil, 9, 9)
    await show(site, 1, service(evil, bad=9, worst_route=blamed, worst_version=blamed, silent_s=9))
    body = (await look(site, "/", await sign_in(site))).body.decode()
    assert "<script>alert" not in body
    assert "&lt;script&gt;alert(1)" in body


@pytest.mark.gen_test
async def test_many_services_are_folded_but_none_in_trouble(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    fine = [service(f"fine-{i:03d}") for i in range(40)]
    blind = [service(f"blind-{i:03d}", silent_s=60) for i in range(25)]
    await show(site, 1, *fine, *blind)
    body = (await look(site, "/", cookie)).body.decode()
    assert body.count('data-key="blind-') == 25
    assert body.count('data-key="fine-') == 0
    assert "40 others without an objective" in body
    everything = (await look(site, "/?all=1", cookie)).body.decode()
    assert everything.count('class="service is-') == 65


@pytest.mark.gen_test
async def test_a_burn_while_refused_is_told_on_every_page(web: Web, tmp_path: Path) -> None:
    site = await web(
        SLO_FILE=file(tmp_path, SHOP.replace("name: shop-works", "name: shop-works\n  displayName: Sells"))
    )
    cookie = await sign_in(site)
    limited = service("shop", 600, 60, accepted_items=600, refused_items=600, refused_by="THROTTLED", refused_key="ci")
    windows = [BurnWindow(300, 30, 600, 50.0), BurnWindow(3600, 30, 600, 50.0)]
    burning = ObjectiveStatus(
        name="shop-works",
        service="shop",
        kind="availability",
        target=0.999,
        threshold_ms=None,
        window_days=28,
        state="burning",
        good=275,
        bad=3,
        excluded=0,
        budget_left=-0.78,
        budget_worst=-8.0,
        budget_best=-0.5,
        burn_5m=50.0,
        burn_1h=50.0,
        exhausted_in_s=0.0,
        since=1.0,
        windows=windows,
        decided_by=[3600, 300],
    )
    status = Status(1, 1.0, [burning], {"shop": "burning"})
    await show(site, 1, limited, service("mail"), slo=status)
    now, page, objectives = [
        unescape((await look(site, path, cookie)).body.decode()).replace("\u00a0", " ")
        for path in ("/", "/services/shop", "/objectives")
    ]
    for body in (now, page):
        assert "50 % of shop's items are refused by a limit (THROTTLED), most from ci." in body
        assert '<a href="/config">The limit and its rollback</a>' in body
        assert "-800 to -50 %" in body
        assert '<rect class="over"' in body
        assert "overspent" in body
    assert "5-55 %" in now  # 60 of 1,200 to 660 of 1,200
    assert "10-20" in now
    assert ">10-20</dd>" in page
    assert "3 of 0.28" in objectives
    assert '<span class="strong" title="30 of 600"><span class="secondary">1 h</span> 50×</span>' in objectives
    assert "Sells" in page
    assert "Sells" in objectives
    assert 'id="add"' in objectives
    assert "How to add one" in unescape((await look(site, "/services/mail", cookie)).body.decode())


@pytest.mark.gen_test
async def test_a_service_that_nobody_sent_is_not_found(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    assert (await look(site, "/services/nobody", cookie)).code == 404
    assert (await look(site, "/services/nobody%00", cookie)).code == 404
    await show(site, 1, service("shop"))
    assert (await look(site, "/services/shop", cookie)).code == 200
    assert (await look(site, "/services/shop?window=2y", cookie)).code == 404


@pytest.mark.gen_test
async def test_the_live_picture_stays_when_the_database_does_not_answer(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    await show(site, 1, service("shop"))
    await look(site, "/", cookie)
    await cut_off_reads(site)
    answer = await look(site, "/services/shop", cookie)
    assert answer.code == 200
    assert b"The database does not answer" in answer.body


@pytest.mark.gen_test
async def test_static_files_are_named_by_their_content(web: Web) -> None:
    site = await web()
    body = (await look(site, "/", await sign_in(site))).body.decode()
    address = body.split('rel="stylesheet" href="', 1)[1].split('"', 1)[0]
    answer = await site.fetch(address)
    assert "?v=" in address
    assert answer.code == 200
    assert "max-age=315360000" in answer.headers["Cache-Control"]


@pytest.mark.gen_test
async def test_a_request_that_brought_outcomes_says_how_many(web: Web) -> None:
    site = await web()
    key, cookie = await site.key("ingest"), await sign_in(site)
    outcome = {"service": "shop", "route": "/", "method": "GET", "status": 200, "duration_ms": 1}
    for body, told in (([outcome] * 2, b"This request stored 2 outcomes,"), ([outcome] * 3, b"stored 3 outcomes,")):
        form = {"Content-Type": "application/json"}
        sent = await site.fetch(
            "/api/v1/outcomes", method="POST", key=key, headers=form, body=msgspec.json.encode(body)
        )
        assert sent.code == 201
        async with asyncio.timeout(PATIENCE_S):
            while told not in (await look(site, f"/requests?id={sent.headers['X-Request-Id']}", cookie)).body:
                await asyncio.sleep(0.05)


def test_how_long_ago_is_told_without_javascript() -> None:
    html = str(time_element(1_000_000_000, "ago")) + str(time_element(1_000_000_000, "minute"))
    assert ">9 Sep 2001 01:46 UTC<" in html, "of another day with its date, of another year with its year"
    told = with_ago(html, 1_000_000_192.7)
    assert ">3 min 12 s ago<" in told
