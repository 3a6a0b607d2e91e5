"""The page of an objective in a real browser: the chart drawn, the form's draft kept, an exclusion made and undone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.dashboard.conftest import WIDER, OpenPage, Served, until
from tests.waiting import wait_for

pytestmark = pytest.mark.browser

PAGE = "/objectives/evenkeel-availability"


@pytest.fixture(scope="module", autouse=True)
def history(served: Served) -> None:
    """Two weeks of hours, 0.05 % of which failed, an outage, and a deploy before it."""
    # Before, the recount of a new ledger would make these hours anew, from outcomes that there never were.
    wait_for(lambda: served.recounted("evenkeel-availability"), "the objective to be counted")
    served.execute(
        """
        INSERT INTO ledger_hours (objective_id, hour, good, bad, excluded)
        SELECT id, hour, 9995, CASE WHEN hour = date_trunc('hour', now()) - interval '5 days' THEN 900 ELSE 5 END, 0
        FROM objectives, generate_series(date_trunc('hour', now()) - interval '14 days',
            date_trunc('hour', now()) - interval '1 hour', interval '1 hour') AS hour
        WHERE name = 'evenkeel-availability'
        """
    )
    served.execute(
        "INSERT INTO ledger_minutes SELECT id, date_trunc('hour', now()) - interval '5 days', 100, 900, 0"
        " FROM objectives WHERE name = 'evenkeel-availability'"
    )
    served.execute(
        "INSERT INTO changes (at, kind, service, version, summary, author) VALUES (date_trunc('hour', now())"
        " - interval '5 days 4 minutes', 'deploy', 'evenkeel', '5f2c1a9', 'first seen: 5f2c1a9', 'evenkeel')"
    )


@pytest.mark.parametrize("width", [390, 1440])
def test_the_budget_is_drawn_and_nothing_is_refused(visit: OpenPage, width: int) -> None:
    page = visit(PAGE, width=width, color_scheme="dark" if width == 390 else "light")
    expect(page.locator("#budget-chart canvas")).to_have_count(1)
    expect(page.locator("#budget-chart .legend")).to_contain_text("% left")
    mark = page.locator("#budget-chart .mark", has_text="D")
    expect(mark).to_have_count(1)
    assert "first seen: 5f2c1a9" in (mark.get_attribute("aria-label") or "")
    # Where the budget fell there is ink, and a little above it none.
    drawn = page.evaluate(
        """() => {
          const canvas = document.querySelector("#budget-chart canvas");
          const { width, height } = canvas;
          const { data } = canvas.getContext("2d").getImageData(width - 60 * devicePixelRatio, 0, 1, height);
          const dark = matchMedia("(prefers-color-scheme: dark)").matches;
          let inked = 0;
          for (let i = 0; i < data.length; i += 4)
            if (data[i + 3] > 200 && (dark ? data[i] > 200 : data[i] < 60)) inked += 1;
          return inked;
        }"""
    )
    assert 1 <= drawn <= 12
    assert not page.locator("#days").get_attribute("open")
    page.locator("#days summary").click()
    expect(page.locator("#objective-days tbody tr").first).to_be_visible()
    expect(page.locator("#objective-spent")).to_contain_text("4 min before")
    assert page.evaluate(WIDER) == []


INKED = """() => {
  const canvas = document.querySelector("#budget-chart canvas");
  const { width, height } = canvas;
  const axis = 60 * devicePixelRatio;
  const { data } = canvas.getContext("2d").getImageData(axis, 0, width - axis, height);
  let inked = 0;
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200 && data[i] < 60) inked += 1;
  return inked;
}"""


def test_a_first_hour_is_a_point_and_what_is_too_low_says_so(served: Served, visit: OpenPage) -> None:
    """One hour alone has no line; far overspent it is drawn at the edge. Changes of one moment are one mark."""
    served.send(*[{"service": "young", "status": 500}] * 100)
    served.execute(
        "INSERT INTO changes (at, kind, service, version, summary, author) SELECT now() - interval '3 hours'"
        " + n * interval '10 s', 'flag', 'young', '', 'flag ' || n, 'mira' FROM generate_series(1, 3) AS n"
    )
    wait_for(lambda: served.recounted("default-young"), "the young objective to be counted")
    page = visit("/objectives/default-young", color_scheme="light")
    chart = page.locator("#budget-chart")
    legend = chart.locator(".legend")

    def drawn() -> bool:
        page.reload()
        expect(legend).not_to_be_empty()
        return "no traffic" not in legend.inner_text()

    wait_for(drawn, "the fold to count what was sent")
    expect(legend).to_contain_text("% left")
    expect(chart).to_have_attribute("data-below", "")
    assert page.evaluate(INKED) >= 10
    mark = chart.locator(".mark:visible", has_text="3")
    expect(mark).to_have_count(1)
    assert "flag 1" in (mark.get_attribute("aria-label") or "")
    assert "flag 3" in (mark.get_attribute("aria-label") or "")


def test_a_draft_is_kept_while_the_page_lives_and_told_before_it_acts(served: Served, visit: OpenPage) -> None:
    page = visit(PAGE)
    page.get_by_text("Exclude a time…").click()
    expect(page.locator("#exclude-preview")).to_contain_text("that the policy allows")
    expect(page.locator("#exclude-start-here")).to_contain_text("CET")
    page.fill("#exclude-reason", "half a rea")
    served.send({"service": "another"})  # the page goes on living
    seen = page.locator("#freshness").inner_text()
    expect(page.locator("#freshness")).not_to_have_text(seen)
    until(page, "performance.now() > 4000")
    assert page.input_value("#exclude-reason") == "half a rea"
    expect(page.locator("#exclude-reason")).to_be_focused()
    page.fill("#exclude-reason", "moved the database")
    page.get_by_role("button", name="Exclude", exact=True).click()
    expect(page.locator("#said")).to_contain_text("Left out: evenkeel, from ")
    row = page.locator("#exclusions tbody tr", has_text="moved the database")
    row.get_by_text("Revoke…").click()
    row.get_by_role("button", name="Count them again").click()
    expect(page.locator("#said")).to_contain_text("Counted again: evenkeel")
    expect(page.locator("#exclusions tbody tr", has_text="moved the database")).to_contain_text("revoked by mira")


def test_without_javascript_it_is_previewed_and_done_too(browser: Browser, served: Served, signed_in: Any) -> None:
    context = browser.new_context(base_url=served.url, storage_state=signed_in, java_script_enabled=False)
    page = context.new_page()
    page.goto(PAGE)
    expect(page.locator("#objective-days tbody tr").first).to_be_visible()
    page.get_by_text("Exclude a time…").click()
    page.fill("#exclude-reason", "by hand")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#exclude-preview")).to_contain_text("that the policy allows")
    assert page.input_value("#exclude-reason") == "by hand"
    page.fill("#exclude-route", "/none")
    page.get_by_role("button", name="Exclude", exact=True).click()
    fault = page.locator("#exclusions [role=alert]")
    expect(fault).to_contain_text("evenkeel has no route /none")
    expect(fault).to_be_in_viewport()
    page.fill("#exclude-route", "")
    page.get_by_role("button", name="Exclude", exact=True).click()
    expect(page.locator("#said")).to_contain_text("Left out: evenkeel")
    context.close()


def test_a_report_is_found_from_the_keyboard_and_downloaded(served: Served, visit: OpenPage) -> None:
    page = visit("/")
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page.locator("h1")).to_have_text("Review")
    page.get_by_role("link", name=re.compile(r"^evenkeel, ")).first.click()
    expect(page.locator("h1")).to_contain_text("evenkeel, ")
    with page.expect_download() as found:
        page.get_by_role("link", name="CSV").click()
    assert found.value.suggested_filename.startswith("evenkeel-")
    page.emulate_media(media="print")
    expect(page.locator("nav.buttons")).to_be_hidden()
    expect(page.locator("h1")).to_be_visible()


# The words at the times of an axis that begins two days ago, every 12 hours; and of one over a new year long ago.
AXES = """() => {
  const times = (start, step) => [0, 1, 2].map((i) => start + i * step);
  const words = (start, step) => window.evenkeel.chart.axes()[0].values(null, times(start, step), 0, 0, step);
  const past = Date.UTC(2020, 11, 31, 9) / 1000;
  return [words(Date.now() / 1000 - 2 * 86400, 43200), words(past, 43200), words(past, 3600)];
}"""


def test_an_axis_over_a_day_has_its_dates(visit: OpenPage) -> None:
    recent, long_ago, within = visit(PAGE).evaluate(AXES)
    assert sum("\n" in word for word in recent) >= 2, recent
    assert long_ago == ["10:00\n31 Dec 2020", "22:00", "10:00\n1 Jan 2021"]
    assert within == ["10:00", "11:00", "12:00"]
