"""One incident as its commander sees it, from the page to the report; its first three minutes on a phone too.

What is sent and what rolls back are real; minutes pass in seconds by a clock that the test sets. With SCREENSHOTS=DIR
the pages of docs/runbook.md are kept there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import WIDER, OpenPage, Served
from tests.journey.evening import STEP_S, Evening, Traffic, by_clock
from tests.journey.rollout import Rollout, rolling_out
from tests.slo.making import availability, file, service
from tests.waiting import wait_for

pytestmark = pytest.mark.browser

LONG_S = 13 * 60  # the real clock's lead: what is sent later than 15 minutes tells nobody
FOLD_PX = 844
FAILS = 0.3
CLEAN_S = 180


@pytest.fixture(scope="module")
def rollout() -> Iterator[Rollout]:
    with rolling_out() as made:
        yield made


@pytest.fixture(scope="module")
def evening(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    """A shop that takes payments, and another service, by a clock of their own."""
    directory: Path = tmp_path_factory.mktemp("incident")
    policy = "".join(service(name) + availability(f"{name}-works", name) for name in ("shop", "search"))
    given = {"SLO_FILE": file(directory, policy), "NOTIFY_ALLOW_PRIVATE": "true"}
    with by_clock(cluster, template, directory, LONG_S, **given) as (served, clock):
        yield Evening(served, clock)


@pytest.fixture(scope="module")
def served(evening: Evening) -> Served:
    return evening.served


@pytest.fixture(scope="module")
def key(served: Served) -> str:
    return served.running.key("admin", "act", "read", name="pipeline")


def sent_by(rollout: Rollout) -> dict[str, Traffic]:
    """What the version that runs makes of it: v2 fails payments."""
    fails = FAILS if rollout.version == "v2" else 0.0
    return {
        "pay": Traffic("shop", "/pay", version=rollout.version, fails=fails),
        "home": Traffic("shop", "/", version=rollout.version),
        "search": Traffic("search"),
    }


def told(served: Served, key: str, path: str, **data: Any) -> None:
    status, answer = served.running.call("POST", f"/api/v1/{path}", key=key, data=data)
    assert status == 201, answer


def room(served: Served, key: str) -> dict[str, Any]:
    status, answer = served.running.get("/api/v1/incidents/1", key)
    assert status in (200, 404), answer
    return answer if status == 200 else {}


def keep(page: Page, evening: Evening, name: str) -> None:
    """A picture of what is on the screen, for the docs; the browser tells how long ago by the same clock."""
    directory = os.environ.get("SCREENSHOTS")
    if directory:
        page.clock.set_fixed_time(datetime.fromtimestamp(evening.clock.at, UTC))
        page.wait_for_timeout(1100)  # it tells times anew each second
        page.screenshot(path=Path(directory) / f"{name}.png")


# Whether the words of a filled button that has opened are told from what is behind them.
OPENED_PRIMARY = """() => {
  const box = document.createElement("details");
  box.className = "sure";
  box.open = true;
  box.innerHTML = '<summary class="button primary">Roll back</summary>';
  document.querySelector("main").append(box);
  const { color, backgroundColor } = getComputedStyle(box.firstChild);
  box.remove();
  const [words, behind] = [color, backgroundColor].map((one) => Number(one.match(/\\d+/)[0])); // both are grey
  return Math.abs(words - behind) > 100;
}"""


def test_an_incident_from_the_page_to_the_report(evening: Evening, rollout: Rollout, key: str, visit: OpenPage) -> None:
    served = evening.served
    told(served, key, "deploy-targets", service="shop", kind="webhook", address=rollout.url)
    evening.traffic = sent_by(rollout)
    evening.passes(120, STEP_S // 2)
    rollout.version, began = "v2", evening.clock.at
    at = datetime.fromtimestamp(began, UTC).isoformat()  # the database's clock, which is real, is ahead
    told(served, key, "changes", kind="deploy", service="shop", version="v2", migration="none", started=at, finished=at)
    evening.traffic = sent_by(rollout)
    evening.until(lambda: room(served, key), 60, "an incident")
    phone, desk = visit("/", width=390), visit("/", width=1440)
    phone.set_viewport_size({"width": 390, "height": FOLD_PX})
    accepted(phone, desk, evening)
    suspect_is_named(phone, desk, evening)
    over = rolled_back(desk, evening, rollout)
    for page in (phone, desk):
        counted(page, evening)
    assert evening.clock.at - began <= CLEAN_S, "the first three minutes"
    resolved(desk, evening, key)
    closed(desk, evening)
    reported(desk, evening, began, over)
    desk.goto("/")
    expect(desk.locator("main")).to_contain_text(re.compile(r"Recovered \d\d:\d\d after"))


def accepted(phone: Page, desk: Page, evening: Evening) -> None:
    """On the phone, in one press from the first page; the desk sees it."""
    expect(desk.locator(".strip")).to_contain_text("Suspected")
    keep(phone, evening, "incident-1-phone")
    box = phone.locator(".strip").bounding_box()
    assert box is not None
    assert box["height"] < 50, "three of them leave room for the page"
    phone.locator(".strip").get_by_role("button", name="Accept and take command").click()
    phone.wait_for_url("**/incidents/1")
    expect(phone.locator("h1.title")).to_contain_text("shop failing: Declared")
    desk.locator(".strip").get_by_role("link", name="Open room").click()
    expect(desk.locator("h1.title")).to_contain_text("shop failing: Declared")
    expect(desk.locator(".room-acts")).to_contain_text("Commander: mira@example.com")


def suspect_is_named(phone: Page, desk: Page, evening: Evening) -> None:
    """What fails, for whom and since when, the suspect, and one filled button, above the fold of a phone."""
    evening.passes(STEP_S)
    expect(desk.locator(".suspects tbody th").first).to_contain_text("v2")
    expect(desk.locator("#room-captured")).to_contain_text("/pay")
    for page in (phone, desk):
        expect(page.locator("#room-card .card-line").first).to_contain_text("/pay · version v2 · since")
        expect(page.locator(".room-likely")).to_contain_text("deploy v2")
        expect(page.locator(".button.primary:visible")).to_have_text(["Roll back to v1"])
    expect(desk.locator("#room-versions .is-suspect")).to_contain_text("v2 (suspect) 20/s")
    box = phone.locator(".button.primary:visible").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= FOLD_PX, "above the fold"
    assert phone.evaluate(WIDER) == [], "nothing scrolls sideways"
    keep(phone, evening, "incident-2-room-phone")
    keep(desk, evening, "incident-3-room")
    all_steps_can_be_read(desk)


def all_steps_can_be_read(desk: Page) -> None:
    """Beside what an act will do too, and what opens keeps its words."""
    fold = desk.locator("#all-steps > summary")
    fold.click()
    expect(desk.locator(".steps .offer").first).to_be_visible()
    assert min(desk.evaluate("[...document.querySelectorAll('.steps > li > div')].map((one) => one.clientWidth)")) > 150
    assert desk.evaluate(OPENED_PRIMARY), "dark on light, or light on dark"
    fold.click()


def rolled_back(desk: Page, evening: Evening, rollout: Rollout) -> float:
    """In one press, which says before what it does, and after what came of it; when, Unix seconds."""
    desk.locator(".room-likely").get_by_role("button", name="Roll back to v1").click()
    wait_for(lambda: rollout.version == "v1", "the order to come")
    (order,) = [one for one in rollout.orders if one["act"] != "test"]  # as the hourly check asks
    assert (order["act"], order["version"], order["rolls_back"], order["incident"]) == ("roll_back", "v1", "v2", 1)
    evening.traffic = sent_by(rollout)
    expect(desk.locator("#room-done")).to_contain_text("answers 204")
    over = evening.clock.at
    evening.passes(3 * STEP_S)
    return over


def counted(page: Page, evening: Evening) -> None:
    """Since the roll back nothing fails, against what failed before."""
    since = page.locator("#room-done .since-act").first
    expect(since).to_contain_text(re.compile(r"\b0 of [1-9][\d,]* \(before: \d+ of [\d,]+\)"))
    if page.viewport_size and page.viewport_size["width"] > 390:
        keep(page, evening, "incident-4-counter")


def resolved(desk: Page, evening: Evening, key: str) -> None:
    """Locked until live data proves it."""
    evening.until(lambda: room(evening.served, key)["incident"]["state"] == "monitoring", 120, "a recovery")
    expect(desk.locator("h1.title")).to_contain_text("Recovering")
    expect(desk.locator(".locked")).to_contain_text("Resolve is locked")
    evening.until(lambda: room(evening.served, key)["proof"]["waits"] == "nothing", 5 * 60, "a proof")
    desk.get_by_role("button", name="Resolve", exact=True).click()
    expect(desk.locator("h1.title")).to_contain_text("shop failing: Resolved")


def closed(desk: Page, evening: Evening) -> None:
    """Not before its cause and what prevents it are written down."""
    desk.get_by_role("button", name="Close", exact=True).click()
    expect(desk.locator("#said")).to_contain_text("needs its root cause")
    desk.get_by_label("Root cause").fill("v2 read **the old** price list.")
    desk.get_by_label("Class").select_option("deploy")
    desk.get_by_role("button", name="Save").click()
    desk.locator("summary", has_text="Add a preventive action").click()
    action = desk.locator("form", has=desk.locator("#action-title"))
    action.get_by_label("What").fill("Read the price list before a release")
    action.get_by_label("Who").fill("jon")
    action.get_by_label("Priority").select_option("0")
    action.get_by_label("Due").fill((datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%d"))
    action.get_by_role("button", name="Add action").click()
    expect(desk.locator("#said")).to_contain_text("P0 for jon")
    desk.get_by_role("button", name="Close", exact=True).click()
    expect(desk.locator("h1.title")).to_contain_text("shop failing: Closed")
    keep(desk, evening, "incident-5-closed")


def reported(desk: Page, evening: Evening, began: float, over: float) -> None:
    """As one page and as Markdown, with what was really sent."""
    bad = sum(one.bad for (name, _), one in evening.counted.items() if name == "shop")
    written = desk.request.get("/api/v1/incidents/1/report?format=md").text()
    found = re.search(r"shop: ([\d,]+) of [\d,]+ requests failed since the onset", written)
    assert found is not None, written
    assert int(found[1].replace(",", "")) == bad, "what was sent from the onset on"
    assert re.search(r"time to mitigate: \d+ (s|min( \d+ s)?), from the onset", written), "by the roll back"
    for said in ("v2 read **the old** price list.", "P0 jon", "Declared by mira", "v2"):
        assert said in written
    with desk.expect_navigation():
        desk.get_by_role("link", name="Report").click()
    expect(desk.locator("h1")).to_contain_text("shop failing")
    expect(desk.locator("svg")).to_be_visible()
    expect(desk.locator("strong").first).to_have_text("the old")
    keep(desk, evening, "incident-6-report")
