"""static/js/patch.js by itself: what may move, what must not, and what belongs to the viewer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

Region = Callable[..., Any]


@pytest.fixture
def blank(browser: Browser, static: Path) -> Iterator[Page]:
    """A page with one region and our scripts; its clock stands still until it is moved."""
    context = browser.new_context()
    page = context.new_page()
    page.clock.install()
    page.set_content(
        '<input type="hidden" name="_xsrf" value="mine"><input id="elsewhere">'
        '<div id="r"></div><div id="announcer"></div>'
    )
    for name in ("app.js", "patch.js"):
        page.add_script_tag(path=str(static / "js" / name))
    yield page
    context.close()


def patch(page: Page, html: str) -> str:
    page.evaluate("(html) => evenkeel.patch(document.getElementById('r'), html)", html)
    return str(page.evaluate("document.getElementById('r').innerHTML"))


def rows(*keys: str) -> str:
    items = "".join(f'<li data-key="{key}"><a href="#{key}">{key}</a></li>' for key in keys)
    return f"<ul data-order>{items}</ul>"


def order(page: Page) -> str:
    return str(page.evaluate("[...document.querySelectorAll('#r li')].map((li) => li.dataset.key).join('')"))


def test_a_patch_makes_the_region_say_what_the_server_says(blank: Page) -> None:
    patch(blank, "<p>one <b>1</b></p>")
    after = '<p class="x">one <b>2</b></p><svg viewBox="0 0 1 1"><path d="M0 0h1"></path></svg>'
    assert patch(blank, after) == after
    assert patch(blank, "<p>gone</p>") == "<p>gone</p>"


def test_the_order_of_rows_holds_for_ten_seconds(blank: Page) -> None:
    patch(blank, rows("a", "b", "c"))
    blank.clock.run_for(9000)
    patch(blank, rows("c", "a", "b"))
    assert order(blank) == "abc"
    blank.clock.run_for(1500)
    blank.evaluate("evenkeel.retry()")
    assert order(blank) == "cab"
    patch(blank, rows("b", "c", "a"))
    assert order(blank) == "cab", "it has just moved"


def test_the_order_holds_while_focus_is_inside_and_new_rows_come_last(blank: Page) -> None:
    patch(blank, rows("a", "b"))
    blank.clock.run_for(11000)
    blank.locator("#r a").first.focus()
    patch(blank, rows("n", "b", "a"))
    assert order(blank) == "abn"
    assert blank.evaluate("document.activeElement.textContent") == "a"
    patch(blank, rows("n", "b"))
    assert order(blank) == "abn", "the focused row stays until it is left"
    blank.locator("#elsewhere").focus()
    blank.evaluate("evenkeel.retry()")
    assert order(blank) == "nb"


def test_a_control_is_not_changed_under_the_hand(blank: Page) -> None:
    def held(to: int) -> str:
        return f'<div data-hold><button>Roll back to {to}</button></div><p id="n">{to}</p>'

    patch(blank, held(13))
    blank.locator("button").focus()
    patch(blank, held(14))
    assert blank.locator("button").inner_text() == "Roll back to 13"
    assert blank.locator("#n").inner_text() == "14", "what is beside it goes on"
    blank.locator("#elsewhere").focus()
    blank.evaluate("evenkeel.retry()")
    assert blank.locator("button").inner_text() == "Roll back to 14"


def test_drafts_open_details_and_tokens_are_the_viewers(blank: Page) -> None:
    form = (
        '<details><summary>s</summary><form><input type="hidden" name="_xsrf" value="">'
        '<input name="reason" value="{0}"><textarea name="t">{0}</textarea></form></details><i>{0}</i>'
    )
    patch(blank, form.format(1))
    blank.evaluate("document.querySelector('details').open = true")
    blank.locator("input[name=reason]").fill("because")
    blank.locator("textarea").fill("my words")
    patch(blank, form.format(2))
    assert blank.locator("#r i").inner_text() == "2"
    assert blank.locator("input[name=reason]").input_value() == "because"
    assert blank.locator("textarea").input_value() == "my words"
    assert blank.evaluate("document.querySelector('details').open") is True
    assert blank.locator("#r input[name=_xsrf]").input_value() == "mine"


def test_a_change_of_state_is_announced_and_a_number_is_not(blank: Page) -> None:
    patch(blank, "<h1 data-announce>All 7 objectives OK</h1><p>1</p>")
    patch(blank, "<h1 data-announce>All 7 objectives OK</h1><p>2</p>")
    assert blank.locator("#announcer").inner_text() == ""
    patch(blank, "<h1 data-announce>Burning: checkout</h1><p>2</p>")
    assert blank.locator("#announcer").inner_text() == "Burning: checkout"


def test_a_notice_is_announced_once_when_it_appears(blank: Page) -> None:
    patch(blank, "<p data-appears>Alerts have not been evaluated for 4 s</p>")
    blank.evaluate("document.getElementById('announcer').textContent = ''")
    patch(blank, "<p data-appears>Alerts have not been evaluated for 5 s</p>")
    assert blank.locator("#announcer").inner_text() == ""
    assert blank.locator("#r p").inner_text() == "Alerts have not been evaluated for 5 s"


def test_times_are_told_in_the_viewers_zone(browser: Browser, static: Path) -> None:
    context = browser.new_context(timezone_id="Asia/Tokyo", locale="en-GB")
    page = context.new_page()
    page.clock.set_fixed_time("2026-01-02T03:00:00Z")
    times = ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "2025-12-31T00:00:00Z")
    page.set_content("".join(f'<time datetime="{at}" data-form="clock">00:00:00 UTC</time>' for at in times))
    page.add_script_tag(path=str(static / "js" / "app.js"))
    assert page.locator("time").all_inner_texts() == ["09:00:00", "1 Jan, 09:00:00", "31 Dec 2025, 09:00:00"]
    context.close()


def test_lines_that_come_above_are_told_where_the_timeline_is_scrolled(blank: Page, static: Path) -> None:
    def lines(*keys: str) -> str:
        return f"<ol>{''.join(f'<li data-key={key} style=height:900px>{key}</li>' for key in keys)}</ol>"

    blank.set_content(
        f'<p style="height:500px"></p><div id="room-line">{lines("a", "b")}</div>'
        '<button id="new-lines" hidden></button>'
    )
    blank.add_script_tag(path=str(static / "js" / "room.js"))
    put = "(html) => { const r = document.getElementById('room-line'); r.innerHTML = html;"
    put += " r.dispatchEvent(new Event('evenkeel:patched')); }"
    button = blank.locator("#new-lines")
    blank.evaluate("window.scrollTo(0, 1700)")
    blank.evaluate(put, lines("d", "c", "a", "b"))
    assert button.inner_text() == "2 new"
    button.click()
    assert button.is_hidden()
    blank.evaluate(put, lines("e", "d", "c", "a", "b"))
    assert button.is_hidden(), "its top is in sight"
