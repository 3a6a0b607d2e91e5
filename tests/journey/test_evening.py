"""An evening of six troubles on Now, at 1440 and 390 px: its numbers, links and order, and at the end the measures.

Minutes pass in seconds by a clock that the test sets, and all troubles come at once, on services of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from dashboard.shared.format import percent, span
from tests.dashboard.conftest import OpenPage, Served
from tests.journey.evening import MINUTE_S, STEP_S, SURGE_S, Evening, Traffic, by_clock
from tests.slo.making import availability, file, latency, service

pytestmark = [pytest.mark.browser, pytest.mark.soak]

SERVICES = ("shop", "payments", "checkout", "mail", "search", "crawl")
DEPENDS = """
---
apiVersion: evenkeel/v1
kind: ErrorBudgetPolicy
metadata: {name: budget}
spec:
  dependsOn: {checkout: [payments]}
"""
LONG_S = 12 * 60  # by the database's clock, which is the real one: what is sent later than 15 minutes tells nobody
LIMITS = {"INGEST_MAX_ITEMS_PER_SECOND": "220", "INGEST_MAX_BATCH_ITEMS": "2200"}
TROUBLE_S = 100
AGAIN_S = 300  # from the end of the first outage to the beginning of the second
SECOND_S = 40
SLOW_MS = 900
BURNING = ("payments", "search", "checkout", "shop")
EACH = {"payments": 2, "search": 1, "checkout": 1, "shop": 1}  # outages that paged
NEAR_S = 2  # of a block of the fast test
FOUND_S = 20  # of the clock: by then each trouble is found


@pytest.fixture(scope="module")
def evening(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    """A service by a clock that stands at 12 minutes ago, with six services that send and nothing wrong."""
    directory: Path = tmp_path_factory.mktemp("evening")
    policy = "".join(service(name) + availability(f"{name}-works", name) for name in SERVICES)
    policy += latency("search-fast", "search") + DEPENDS
    given = {"SLO_FILE": file(directory, policy)} | LIMITS
    with by_clock(cluster, template, directory, LONG_S, **given) as (served, clock):
        surge_key = served.running.command("key", "create", "crawler", "--scope", "ingest").split()[0]
        made = Evening(served, clock, surge_key, Traffic("crawl"))
        made.traffic = well()
        yield made


@pytest.fixture(scope="module")
def served(evening: Evening) -> Served:
    return evening.served


def well() -> dict[str, Traffic]:
    """What is sent while nothing is wrong."""
    return {name: Traffic(name) for name in SERVICES if name != "crawl"} | {"pay": Traffic("shop", "/pay")}


def alerts(evening: Evening, state: str = "open") -> list[dict[str, Any]]:
    status, body = evening.served.running.get(f"/api/v1/alerts?state={state}", evening.served.key)
    assert status == 200, body
    found: list[dict[str, Any]] = body["alerts"]
    return found


def paging(evening: Evening) -> dict[str, dict[str, Any]]:
    """The open alerts that page, by service."""
    return {one["service"]: one for one in alerts(evening) if one["urgency"] == "page"}


def at(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()


def ordered(found: Locator, *keys: str) -> None:
    """On a page that was just loaded: on one that is open, an order holds for 10 s."""
    shown = found.page.locator("tr.service")
    expect(found, f"of {[row.get_attribute('class') for row in shown.all()]}").to_have_count(len(keys))
    for place, key in enumerate(keys):
        expect(found.nth(place)).to_have_attribute("data-key", key)


def figure(page: Page, of: str, title: str) -> Locator:
    return page.locator(f'article[data-key="card-{of}"] .card-figure[data-key="{title}"]')


def test_an_evening(evening: Evening, visit: OpenPage) -> None:
    evening.passes(120, STEP_S // 2)  # by its intervals it is told how long is a silence: by 20 s, hardly within it
    pages = [visit("/", width=1440), visit("/", width=390)]
    for page in pages:
        expect(page.locator("h1.title")).to_contain_text("7 objectives OK")
        expect(page.locator("article.card")).to_have_count(0)
    began = evening.clock.at
    troubles(evening)
    open_ = paging(evening)
    for page in pages:
        what_burns_is_shown(page, evening, open_)
        who_is_not_heard_is_shown(page, evening)
    evening.passes(STEP_S)
    acknowledged(pages[1], evening, open_["payments"])
    evening.traffic, evening.surge = well(), Traffic("crawl")
    ended = evening.clock.at
    evening.passes(2 * STEP_S)
    for page in pages:
        since(page.locator('article[data-key="card-payments"]'), began)
    evening.until(lambda: not paging(evening), 260, "the end of every page")
    for page in pages:
        nothing_burns(page)
    evening.passes(int(ended + AGAIN_S - evening.clock.at) // STEP_S * STEP_S)
    again = evening.clock.at
    payments_again(evening)
    for page in pages:
        the_second_is_shown(page, evening, open_["payments"], again)
    evening.traffic = well()
    evening.until(lambda: not paging(evening), 260, "the end of the evening")
    for page in pages:
        nothing_burns(page)
    measured(evening, [(began, ended), (again, again + SECOND_S)])


def troubles(evening: Evening) -> None:
    """All at once: a bad deploy, an outage of a dependency, a slow one, a silence, and a surge that is throttled."""
    evening.traffic |= {
        "shop": Traffic("shop", version="v2"),
        "pay": Traffic("shop", "/pay", version="v2", fails=0.4),
        "payments": Traffic("payments", fails=1),
        "checkout": Traffic("checkout", fails=1),
        "search": Traffic("search", duration_ms=SLOW_MS),
    }
    del evening.traffic["mail"]
    evening.surge = Traffic("crawl", per_second=440)
    evening.passes(FOUND_S, SURGE_S)
    assert paging(evening).keys() == set(BURNING)
    evening.passes(TROUBLE_S - FOUND_S - STEP_S)


def what_burns_is_shown(page: Page, evening: Evening, open_: dict[str, dict[str, Any]]) -> None:
    """By severity, the cause before its symptom, then by share; each with the alert that pages."""
    expect(page.locator("h1.title")).to_contain_text(re.compile("Burning: payments, search"))
    page.reload()
    cards = page.locator("article.card")
    ordered(cards, "card-payments", "card-search", "card-shop")
    assert [open_[name]["severity"] for name in ("payments", "search", "checkout", "shop")] == [1, 1, 1, 2]
    for name in ("payments", "search", "shop"):
        linked(page.locator(f'article[data-key="card-{name}"] .card-head'), open_[name])
    for name in ("payments", "shop"):
        sent = evening.last(name)
        expect(figure(page, name, "Failing")).to_contain_text(percent(sent.bad / sent.n).replace(" ", "\u00a0"))
        expect(figure(page, name, "Failing")).to_contain_text(f"{sent.bad:,} of {sent.n:,} in the last minute")
    shop = page.locator('article[data-key="card-shop"]')
    expect(shop.locator(".card-line")).to_contain_text("GET /pay · version v2")
    expect(shop.locator(".card-suspect")).to_contain_text("deploy v2")
    slow, sent = 10 * (TROUBLE_S - STEP_S), evening.last("search", 300)
    expect(figure(page, "search", "Over 300 ms")).to_contain_text(f"{slow:,} of {sent.n:,} in 5 min")
    expect(figure(page, "search", "p95")).to_contain_text("20 ms before")
    symptom = page.locator('article[data-key="card-payments"] .card-symptoms li[data-key="checkout"]')
    expect(symptom).to_contain_text("explained by payments")
    linked(symptom, open_["checkout"])


def who_is_not_heard_is_shown(page: Page, evening: Evening) -> None:
    """Silence before what a limit refuses, both below what burns."""
    rows = page.locator("tr.service.is-blind, tr.service.is-partial")
    ordered(rows, "mail", "crawl")
    expect(rows.nth(0)).to_contain_text(f"silent {span(TROUBLE_S - STEP_S + 1)}")
    sent = evening.last("crawl", MINUTE_S + SURGE_S + 1)  # whole slots, by when it came
    expect(rows.nth(1)).to_contain_text(f"{percent(sent.refused / (sent.n + sent.refused))} refused")
    expect(rows.nth(1).locator('a[href="/config"]')).to_be_visible()


def acknowledged(page: Page, evening: Evening, alert: dict[str, Any]) -> None:
    """By a thumb, on the phone. The database dates acts by its own clock, which is not pretended: that is put right."""
    page.locator('article[data-key="card-payments"]').get_by_role("button", name="Acknowledge").click()
    expect(page.locator('article[data-key="card-payments"] .card-head')).to_contain_text("acknowledged")
    linked(page.locator('article[data-key="card-payments"] .card-head'), alert)
    evening.served.execute(
        f"UPDATE alerts SET acknowledged_at = to_timestamp({evening.clock.at}) WHERE id = {alert['id']}"
    )


def linked(within: Locator, alert: dict[str, Any]) -> None:
    expect(within.locator(f'a[href="/alerts/{alert["id"]}"]').first).to_be_visible()


def since(card: Locator, began: float) -> None:
    """Also once it fails no more, and burns only in what windows look back at."""
    shown = card.locator(".card-line time").first.get_attribute("datetime")
    assert shown is not None
    assert at(shown) == pytest.approx(began, abs=NEAR_S)


def nothing_burns(page: Page) -> None:
    expect(page.locator("article.card.is-burning, tr.is-burning, tr.is-blind, tr.is-partial")).to_have_count(0)
    expect(page.locator("h1.title")).not_to_contain_text("Burning")


def payments_again(evening: Evening) -> None:
    evening.traffic["payments"] = Traffic("payments", fails=1)
    evening.passes(FOUND_S, SURGE_S)
    assert paging(evening).keys() == {"payments"}
    evening.passes(SECOND_S - FOUND_S)


def the_second_is_shown(page: Page, evening: Evening, first: dict[str, Any], again: float) -> None:
    """It is of the same alert, since its own onset, which leaves that of the first alone."""
    expect(page.locator("h1.title")).to_have_text(re.compile("Burning: payments"))
    card = page.locator("article.card.is-burning")
    expect(card).to_have_count(1)
    linked(card.locator(".card-head"), first)
    sent = evening.last("payments")
    expect(figure(page, "payments", "Failing")).to_contain_text(f"{sent.bad:,} of {sent.n:,} in the last minute")
    since(card, again)
    now = paging(evening)["payments"]
    assert (now["id"], now["onset"], now["detected_at"]) == (first["id"], first["onset"], first["detected_at"])


def measured(evening: Evening, outages: list[tuple[float, float]]) -> None:
    """Each outage that paged counts once, as long as its failure lasted."""
    found = {one["service"]: one["outages"] for one in alerts(evening, "resolved") if one["urgency"] == "page"}
    assert {name: len(each) for name, each in found.items()} == EACH
    for name, each in found.items():
        for outage, (onset, over) in zip(each, outages, strict=False):
            assert at(outage["onset"]) == pytest.approx(onset, abs=NEAR_S), name
            assert at(outage["over_at"]) == pytest.approx(over, abs=NEAR_S), name
    status, body = evening.served.running.get("/api/v1/alerts/measures", evening.served.key)
    assert status == 200, body
    each = [outage for of_one in found.values() for outage in of_one]
    assert body["fired"] == len(each) == 5
    detected = [outage["time_to_detect_s"] for outage in each]
    assert 0 <= min(detected) <= max(detected) <= FOUND_S
    assert body["mean_time_to_detect_s"] == pytest.approx(mean(detected))
    assert body["mean_time_to_resolve_s"] == pytest.approx((4 * TROUBLE_S + SECOND_S) / 5, abs=NEAR_S)
    assert body["mean_time_to_acknowledge_s"] == pytest.approx(
        TROUBLE_S - found["payments"][0]["time_to_detect_s"], abs=NEAR_S
    )
