"""Now in a real browser: live, stale and recovered, calm under the hand, by keyboard, without scripts."""

from __future__ import annotations

import os
import signal

import pytest
from playwright.sync_api import Route, expect

from tests.dashboard.conftest import OpenPage, Served, sign_in, until
from tests.running import frozen
from tests.waiting import wait_for

pytestmark = pytest.mark.browser


def test_the_first_outcome_replaces_the_empty_page_by_itself(served: Served, visit: OpenPage) -> None:
    page = visit("/")
    expect(page.get_by_text("No outcomes yet. Send one:")).to_be_visible()
    expect(page.locator("pre")).to_contain_text("curl")
    expect(page.locator("body.is-live")).to_be_attached()
    served.send({"service": "shop"}, {"service": "shop", "status": 500})
    expect(page.locator('tr[data-key="shop"]')).to_be_visible()
    expect(page.locator('tr[data-key="shop"] .errors .figure')).to_have_text("50 % 1 of 2")
    expect(page.get_by_text("No outcomes yet")).to_have_count(0)


def test_numbers_change_in_place_under_focus(served: Served, visit: OpenPage) -> None:
    served.send({"service": "steady"})
    page = visit("/?all=1")
    row = page.locator('tr[data-key="steady"]')
    link = row.locator("a.open")
    link.focus()
    before = page.evaluate("document.querySelector('tr[data-key=steady] .errors .figure').textContent")
    page.evaluate("document.querySelector('tr[data-key=steady] .errors .figure').firstChild.mine = true")
    served.send(*[{"service": "steady"}] * 5)
    expect(row.locator(".errors .figure")).not_to_have_text(before)
    expect(link).to_be_focused()
    assert page.evaluate("document.querySelector('tr[data-key=steady] .errors .figure').firstChild.mine") is True


# When the last picture came and when the banner was shown, by the page's own clock.
NOTED = """
window.noted = {};
window.EventSource = class extends EventSource {
  constructor(url) {
    super(url);
    this.addEventListener("picture", () => { window.noted.heard = Date.now(); });
  }
};
document.addEventListener("DOMContentLoaded", () => {
  const banner = document.getElementById("stale");
  const look = () => { if (!banner.hidden) window.noted.shown ??= Date.now(); };
  new MutationObserver(look).observe(banner, { attributes: true });
});
"""


def test_a_frozen_server_is_called_stale_and_recovers(served: Served, visit: OpenPage) -> None:
    page = visit("/", script=NOTED)
    expect(page.locator("body.is-live")).to_be_attached()
    until(page, "window.noted.heard")
    with frozen(served.pids("web")):
        expect(page.locator("#stale")).to_be_visible()
        noted = page.evaluate("window.noted")
        assert noted["shown"] - noted["heard"] >= 2400  # not before; how soon is held below, on a pretended clock
        expect(page.locator("#stale")).to_contain_text("old, reconnecting.")
        expect(page.locator("#stale")).to_contain_text("Last known:")
        assert page.locator("body.is-stale").count() == 1
        fill = page.evaluate("getComputedStyle(document.querySelector('.title .shape')).fill")
        assert fill == "none", "shapes stand in outline while stale"
    expect(page.locator("#stale")).to_be_hidden()
    expect(page.locator("body.is-live")).to_be_attached()
    served.send({"service": "after"})
    expect(page.locator('tr[data-key="after"]')).to_be_attached()


def test_a_killed_server_process_is_survived(served: Served, visit: OpenPage) -> None:
    page = visit("/", quiet=False)  # the browser itself reports the lost connection
    expect(page.locator("body.is-live")).to_be_attached()
    for pid in served.pids("web"):
        os.kill(pid, signal.SIGKILL)
    served.running.wait_ready()
    served.send({"service": "again"})
    expect(page.locator('tr[data-key="again"]')).to_be_attached()
    expect(page.locator("#stale")).to_be_hidden()


def test_without_a_watch_the_page_says_that_nothing_is_evaluated(served: Served, visit: OpenPage) -> None:
    page = visit("/")
    with frozen(served.pids("watch")):
        expect(page.locator("#notices")).to_contain_text("Alerts have not been evaluated for")
        expect(page.locator("#stale")).to_be_hidden()
    expect(page.locator("#notices")).not_to_contain_text("Alerts have not")


# A stream that the test speaks for, and a clock that it can push on.
PRETENDED = """
window.pushed = 1000;
performance.now = () => window.pushed;
window.EventSource = class {
  constructor() { window.stream = this; }
  addEventListener(name, listener) { if (name === "picture") this.listener = listener; }
  close() {}
};
window.tell = () => window.stream.listener({
  lastEventId: "1", data: JSON.stringify({ age_s: 0.1, state: "OK", title: document.title, regions: {} }),
});
"""


def test_a_late_picture_is_no_stale_page(visit: OpenPage) -> None:
    page = visit("/", script=PRETENDED)
    banner = page.locator("#stale")
    for late in (1000, 1600, 1000, 1600):
        page.evaluate("tell()")
        page.evaluate(f"window.pushed += {late}")
        page.wait_for_timeout(300)  # a turn of the watchdog
        expect(banner).to_be_hidden()
    page.evaluate("tell()")
    page.evaluate("window.pushed += 2600")
    expect(banner).to_be_visible()
    expect(page.locator("#freshness")).to_have_text("2 s old")
    for _ in range(6):  # a try to connect again is no reason to take it away
        page.evaluate("window.pushed += 150")
        page.wait_for_timeout(150)
        assert banner.is_visible()
    page.evaluate("tell()")
    expect(banner).to_be_hidden()


STREAMS = """
window.streams = [];
window.EventSource = class extends EventSource { constructor(url) { super(url); window.streams.push(this); } };
window.pretend = (hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
};
"""


def test_a_hidden_tab_closes_its_stream_and_opens_it_when_seen(visit: OpenPage) -> None:
    page = visit("/", script=STREAMS)
    states = "window.streams.map((stream) => stream.readyState)"
    expect(page.locator("body.is-live")).to_be_attached()
    page.evaluate("pretend(true)")
    assert page.evaluate(states) == [2]
    page.wait_for_timeout(500)
    assert page.evaluate(states) == [2], "a hidden tab does not connect again"
    page.evaluate("pretend(false)")
    until(page, f"{states}.join() === '2,1'")
    expect(page.locator("#stale")).to_be_hidden()


def test_signing_out_elsewhere_ends_the_stream(served: Served, visit: OpenPage) -> None:
    page = visit("/sign-in", storage_state=None)
    sign_in(page)
    expect(page.locator("body.is-live")).to_be_attached()
    served.execute(
        "UPDATE sessions SET revoked_at = now() WHERE id = (SELECT max(id) FROM sessions WHERE revoked_at IS NULL)"
    )
    expect(page.locator("#stale")).to_contain_text("You are signed out.")
    expect(page.locator("#freshness")).to_have_text("Signed out")
    expect(page.locator("body.is-live")).to_have_count(0)
    page.locator("#stale a").click()
    page.wait_for_url("**/sign-in?next=%2F")


def test_keys_go_and_show_but_never_act(served: Served, visit: OpenPage) -> None:
    served.send({"service": "alpha"}, {"service": "beta"})
    page = visit("/")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("go")  # letters in a field are letters
    expect(page.locator("#search")).to_have_value("go")
    page.locator("#search").fill("")
    page.locator("#search").blur()
    page.keyboard.press("j")
    expect(page.locator("tr.service a.open").first).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("tr.service a.open").first).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/services/*")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_url("**/objectives")
    page.keyboard.press("g")
    page.keyboard.press("n")
    page.wait_for_url(served.url + "/")


def test_the_palette_finds_a_service_by_a_few_letters(served: Served, visit: OpenPage) -> None:
    served.send({"service": "palette-service"})
    page = visit("/")
    page.keyboard.press("Control+k")
    expect(page.locator("#palette")).to_be_visible()
    page.keyboard.type("palette-")
    # The service first; its objective too, once it is evaluated.
    expect(page.locator("#palette-list li[aria-selected=true]")).to_have_text("palette-serviceservice")
    held: list[Route] = []
    page.route("**/find/places?q=palette-s", lambda route: held.append(route))  # noqa: PLW0108 - Playwright takes no builtin
    with page.expect_request("**/find/places?q=palette-s"):
        page.keyboard.type("s")
    page.keyboard.press("Enter")  # before its answer has come: that leads on
    wait_for(lambda: page.evaluate("1") and held, "the question to be held")
    held[0].continue_()
    page.wait_for_url("**/services/palette-service")
    page.keyboard.press("d")  # leads to the form, and declares nothing
    page.wait_for_url("**/incidents?declare=1")
    expect(page.get_by_label("What is wrong")).to_be_focused()


def test_without_javascript_everything_is_there_a_page_load_later(served: Served, visit: OpenPage) -> None:
    served.send({"service": "plain", "status": 500}, {"service": "plain"})
    page = visit("/sign-in?next=/%3Fall%3D1", storage_state=None, java_script_enabled=False)
    sign_in(page)
    row = page.locator('tr[data-key="plain"]')
    wait_for(lambda: row.count() == 1 or page.reload() is None, "the service in the picture")
    expect(row.locator(".figure").first).to_have_text("50 % 1 of 2")
    line = row.locator("svg.spark path.line").first  # of whole seconds: the outcomes' own is drawn once it is over
    wait_for(lambda: bool(line.get_attribute("d")) or page.reload() is None, "the line")
    row.locator("a.open").click()
    expect(page.locator("h1")).to_contain_text("plain")
    expect(page.locator("#service-points table")).to_be_visible()  # in place of the charts, already open
    page.locator("details.who summary").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in*")
    page.goto("/")
    assert "/sign-in" in page.url
