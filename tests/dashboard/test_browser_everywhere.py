"""Every page: narrow and wide, dark and light, with hostile names, and nothing that the CSP refuses."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit

import psycopg
import pytest
from playwright.sync_api import expect

from tests.dashboard.conftest import WIDER, OpenPage, Served, goto

pytestmark = pytest.mark.browser

MONTH = datetime.now(UTC).strftime("%Y-%m")
PAGES = (
    *("/", "/?all=1", "/alerts", "/objectives", "/objectives/evenkeel-latency", "/review", f"/review/evenkeel/{MONTH}"),
    *(
        "/changes",
        "/changes/maintenance",
        "/config",
        "/setup",
        "/setup/connect",
        "/setup/deploy-targets",
        "/setup/flags",
        "/setup/hooks",
        "/setup/alertmanager",
        "/find?q=e",
        "/requests",
        "/services/evenkeel",
        "/objectives/backtest",
    ),
)
LOOKS: tuple[tuple[int, Literal["dark", "light"]], ...] = ((390, "dark"), (1440, "light"))
HOSTILE = """<img src=x onerror="document.title='owned'">'"&amp;{{ 7*7 }}/../a?b#c%2F"""
LONG = "a-service-with-a-name-that-nobody-would-choose-" * 3


def test_no_sideways_scrolling_and_nothing_refused(served: Served, visit: OpenPage) -> None:
    served.send(
        {"service": LONG, "route": "/" + "very-long-route/" * 12, "version": "v" * 60},
        {"service": "shop", "version": "1"},
    )
    page = visit("/", width=390, color_scheme="dark")
    for number, path in enumerate(PAGES):  # in one page: a new one costs Chromium more than what is looked at
        goto(page, path)
        expect(page.locator("main h1, main h2").first).to_be_visible()
        for width, scheme in LOOKS if number % 2 == 0 else LOOKS[::-1]:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(WIDER) == [], (path, width)


def test_a_long_name_does_not_push_the_page_wide(served: Served, visit: OpenPage) -> None:
    served.send({"service": LONG, "route": "/" + "very-long-route/" * 12, "version": "v" * 60})
    page = visit(f"/services/{LONG}", width=390)
    expect(page.locator(".chart canvas")).to_have_count(3)
    assert page.evaluate(WIDER) == []


def test_hostile_names_are_text(served: Served, visit: OpenPage) -> None:
    served.send({"service": HOSTILE, "route": HOSTILE, "version": HOSTILE, "status": 500})
    page = visit("/?all=1")
    name = page.locator("tr.service .name", has_text="onerror")
    expect(name).to_have_text(HOSTILE)
    page.locator("tr.service a.open", has_text="onerror").click()
    expect(page.locator("h1")).to_contain_text(HOSTILE)
    expect(page.locator("#service-routes th.mono").first).to_contain_text("onerror")
    assert page.title() != "owned"
    assert page.locator("main img").count() == 0


def test_the_charts_show_what_the_table_says(served: Served, visit: OpenPage) -> None:
    served.send({"service": "charted", "version": "0", "status": 500})  # where it begins: no deploy
    served.send(*[{"service": "charted", "version": "1"} for _ in range(9)])
    page = visit("/services/charted?window=15m")
    expect(page.locator(".chart canvas")).to_have_count(3)
    expect(page.locator("#service-head .figures")).to_contain_text("1 of 10")
    expect(page.locator(".chart .legend").first).to_contain_text("%")
    expect(page.locator(".change-line .mark")).to_have_text("D")
    page.locator(".change-line .mark").focus()
    assert "Deploy" in (page.locator(".change-line .mark").get_attribute("aria-label") or "")
    for window in ("1 h", "6 h", "24 h", "7 d"):
        page.get_by_role("navigation", name="Window").get_by_text(window, exact=True).click()
        expect(page.locator(".chart canvas")).to_have_count(3)


def test_the_past_is_scrubbed_through_and_the_range_keeps_the_focus(served: Served, visit: OpenPage) -> None:
    page = visit("/incidents?declare=1", width=390)
    page.fill("#declare-title", "nobody can pay")
    page.get_by_role("button", name="Declare and take command").click()
    page.wait_for_url("**/incidents/*")
    served.execute("UPDATE incidents SET detected_at = now() - interval '30 s'")
    with psycopg.connect(served.database_url) as connection:
        ((now,),) = connection.execute("SELECT extract(epoch FROM max(detected_at))::float8 + 30 FROM incidents")
        ((body,),) = connection.execute("SELECT body FROM picture").fetchall()
        connection.execute("DELETE FROM kept_pictures")  # of incidents that other tests have left
        for ago, n in ((25, 41), (15, 42)):
            known = json.loads(body) | {"at": now - ago}
            known["services"] = [known["services"][0] | {"n": n, "bad": 0}]
            packed = zlib.compress(json.dumps(known).encode())
            connection.execute("INSERT INTO kept_pictures VALUES (to_timestamp(%s), %s)", (now - ago, packed))
    goto(page, f"{urlsplit(page.url).path}/knew?at={now - 24:.3f}")
    expect(page.locator(".errors .counted").first).to_have_text("0 of 41")
    assert page.evaluate(WIDER) == []
    page.focus("#scrub")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".errors .counted").first).to_have_text("0 of 42")
    expect(page.locator("#scrub")).to_be_focused()
    page.go_back()
    expect(page.locator("#main .room-head")).to_be_visible()


def test_an_unknown_page_says_so_and_leads_back(served: Served, visit: OpenPage) -> None:
    page = visit("/", quiet=False)
    answer = page.goto("/no/such/page")
    assert answer is not None
    assert answer.status == 404
    page.get_by_role("link", name="To Now").click()
    expect(page.locator("h1")).to_be_visible()
