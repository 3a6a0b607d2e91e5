"""Config in a real browser, on two web processes: one click, drafts, races; and without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import made_database, variables
from tests.dashboard.conftest import PASSWORD, OpenPage, Served, goto
from tests.running import ROOT, Running
from tests.slo.making import file
from tests.waiting import wait_for

pytestmark = pytest.mark.browser

BATCH = "INGEST_MAX_BATCH_ITEMS"


@pytest.fixture(scope="module")
def served(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with two web processes. That a busy machine is slow is no burn, which would roll revisions back."""
    databases = made_database(cluster, template)
    url = next(databases)
    directory = tmp_path_factory.mktemp("served")
    policy = file(directory, (ROOT / "slo.yaml").read_text().replace("at_most_ms: 300", "at_most_ms: 60000"))
    running = Running(variables(url, directory, WEB_CONCURRENCY="2", SLO_FILE=policy), directory / "server.log")
    try:
        wait_for(running.ready, "the server to be ready")
        yield Served(running, url)
    finally:
        running.stop()
        next(databases, None)


@pytest.fixture(scope="module")
def acting_key(served: Served) -> str:
    return served.running.key("read", "act", name="jon")


@pytest.fixture
def jon(served: Served, acting_key: str) -> Any:
    """`jon(value)`: somebody else sets the batch limit through the API; the new revision's number."""

    def change(value: int, reason: str = "surge from ci-loadgen") -> int:
        _, config = served.running.call("GET", "/api/v1/config", key=acting_key)
        expected = config["revision"]["revision"]
        status, saved = served.running.call(
            "PATCH",
            "/api/v1/config",
            key=acting_key,
            data={"values": {BATCH: value}, "reason": reason},
            headers={"If-Match": f'"{expected}"'},
        )
        assert status == 200, saved
        wait_for(lambda: all(row["revision"] == saved["revision"] for row in receipts(served)), "both to apply it")
        return int(saved["revision"])

    return change


def head(page: Page) -> Any:
    return page.locator("#config-head")


def test_one_click_rolls_back_in_both_processes_and_everybody_sees_it(
    served: Served, visit: OpenPage, jon: Any
) -> None:
    number = jon(100)
    page, other = visit("/config"), visit("/config")
    page.get_by_role("button", name=f"Roll back to {number - 1}: batch items 100 → 1000").click()
    expect(page.locator("#said")).to_have_text(f"Revision {number + 1} (= {number - 1}) is in force.")
    expect(head(page)).to_contain_text("2 of 2 processes, slowest")
    expect(page.get_by_role("button", name=f"Undo: batch items 1000 → 100, back to {number}")).to_be_visible()
    expect(head(other)).to_contain_text(f"Revision {number + 1} (= {number - 1})")
    assert [row["applied_after_ms"] is not None for row in receipts(served)] == [True, True]
    for _ in range(8):  # whichever process answers takes the larger batch
        served.send(*[{"service": "bulk"}] * 200)
    undo = other.get_by_role("button", name=re.compile(rf"Undo: .* back to {number}"))
    undo.click()
    expect(head(other)).to_contain_text(f"Revision {number + 2} (= {number})")


def receipts(served: Served) -> list[dict[str, Any]]:
    _, config = served.running.call("GET", "/api/v1/config", key=served.key)
    return list(config["rollout"]["receipts"])


def test_undo_does_not_take_the_place_of_the_button_one_was_about_to_press(visit: OpenPage, jon: Any) -> None:
    number = jon(90)
    page, other = visit("/config"), visit("/config")
    before = page.locator("form[data-key=rollback] button").bounding_box()
    other.locator("form[data-key=rollback] button").click()
    expect(page.locator("form[data-key=undo]")).to_be_visible()
    after = page.locator("form[data-key=undo] button").bounding_box()
    assert before is not None
    assert after is not None
    middle = before["y"] + before["height"] / 2
    assert not after["y"] <= middle <= after["y"] + after["height"]
    expect(head(page)).to_contain_text(f"Rolled back to {number - 1} by mira@example.com")


def test_a_click_while_somebody_was_first_says_so(visit: OpenPage, jon: Any) -> None:
    number = jon(80)
    page, other = visit("/config"), visit("/config")
    button = page.locator("form[data-key=rollback] button")
    button.hover()  # about to press: the button stays what it is
    other.locator("form[data-key=rollback] button").click()
    expect(other.locator("#said")).to_contain_text("is in force")
    expect(head(page)).to_contain_text(f"Revision {number + 1} (= {number - 1})")
    expect(button).to_contain_text(f"Roll back to {number - 1}")
    button.click()
    expect(page.locator("#said")).to_contain_text(f"Already rolled back to {number - 1} by mira@example.com")


def test_without_javascript_it_is_one_click_too(browser: Browser, served: Served, signed_in: Any, jon: Any) -> None:
    number = jon(70)
    context = browser.new_context(base_url=served.url, storage_state=signed_in, java_script_enabled=False)
    page = context.new_page()
    page.goto("/config")
    page.get_by_role("button", name=re.compile(f"^Roll back to {number - 1}\\b")).first.click()
    expect(page.locator("#said")).to_have_text(f"Revision {number + 1} (= {number - 1}) is in force.")
    expect(page.get_by_role("button", name=re.compile(rf"Undo: .*, back to {number}$"))).to_be_visible()
    page.get_by_text("Edit", exact=True).nth(1).click()
    form = page.locator(f"#edit-{BATCH}")
    form.locator("[name=value]").fill("60")
    form.locator("[name=reason]").fill("by hand")
    form.get_by_role("button", name="Preview").click()
    expect(page.locator(".preview")).to_contain_text("In the last 5 min this would have refused")
    assert page.locator("[name=value]").input_value() == "60"
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#said")).to_have_text(f"Revision {number + 2} is in force.")
    context.close()


def test_an_editor_previews_before_it_saves_and_keeps_its_draft_while_the_page_lives(
    served: Served, visit: OpenPage, jon: Any
) -> None:
    jon(1000)
    served.send(*[{"service": "bulk"}] * 300)
    page = visit("/config", quiet=False)  # the browser reports the 412 of the lost race
    page.locator(f"#editor-{BATCH} summary").click()
    value = page.locator(f"#value-{BATCH}")
    expect(value).to_be_focused()
    # What was sent counts for a preview once its second has been written.
    asked = f"{served.url}/config/preview?setting={BATCH}&value=250"
    wait_for(lambda: "from tests." in page.request.get(asked).text(), "what was sent to be previewed")
    value.fill("250")
    expect(page.locator(f"#preview-{BATCH}")).to_contain_text("from tests.")
    page.locator(f"#reason-{BATCH}").fill("half a rea")
    number = jon(900)
    expect(head(page)).to_contain_text(f"Revision {number}")
    assert (value.input_value(), page.locator(f"#reason-{BATCH}").input_value()) == ("250", "half a rea")
    expect(page.locator(f"#reason-{BATCH}")).to_be_focused()
    expect(page.locator(f"#edit-{BATCH} button.primary")).to_have_text("Apply for 30 min")
    page.locator(f"#minutes-{BATCH}").select_option("60")
    expect(page.locator(f"#edit-{BATCH} button.primary")).to_have_text("Apply for 60 min")
    # The draft stands on what its writer saw: the race is lost, and told.
    with page.expect_navigation():
        page.locator(f"#edit-{BATCH} button.primary").click()
    expect(page.locator("h1")).to_have_text(f"key:jon saved {number} meanwhile")
    expect(page.locator(".race")).to_contain_text("batch items 1000 → 900")
    expect(page.locator(".race")).to_contain_text("batch items 250, for 60 min")
    page.get_by_role("button", name="Apply on top").click()
    expect(page.locator("#said")).to_have_text(f"Revision {number + 1} is in force.")


def test_hostile_text_is_text(served: Served, visit: OpenPage, jon: Any) -> None:
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    jon(777, reason=hostile)
    served.send({"service": "evil</script><script>document.title='owned'</script>", "route": "/<b>", "version": "<i>"})
    page = visit("/config")
    expect(page.locator("#config-head")).to_contain_text(hostile)
    jon(778, reason=hostile + "2")
    expect(page.locator("#config-head")).to_contain_text(hostile + "2")
    elsewhere, titles = visit("/changes"), [page.title()]
    for path in ("/changes", "/objectives", "/?all=1"):
        goto(elsewhere, path)
        titles.append(elsewhere.title())
    assert "owned" not in titles
    assert page.locator("main img, main script").count() == 0


def test_a_viewer_sees_no_buttons(browser: Browser, served: Served, jon: Any) -> None:
    jon(555)
    served.running.person("viewer@example.com", "viewer", PASSWORD)
    context = browser.new_context(base_url=served.url)
    page = context.new_page()
    page.goto("/config")
    page.fill("input[name=email]", "viewer@example.com")
    page.fill("input[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_url("**/config")
    expect(head(page)).to_contain_text("takes the role responder, commander or admin")
    expect(page.locator("main button, main summary")).to_have_count(0)
    page.wait_for_timeout(1500)  # nor after the stream has made the page again
    expect(page.locator("main button, main summary")).to_have_count(0)
    context.close()


def test_a_revoked_session_is_told_and_signed_out(browser: Browser, served: Served) -> None:
    context = browser.new_context(base_url=served.url)
    page = context.new_page()
    page.goto("/sign-in?next=/config")
    page.fill("input[name=email]", "mira@example.com")
    page.fill("input[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_url("**/config")
    expect(page.locator("body.is-live")).to_be_attached()
    admin = browser.new_context(base_url=served.url, storage_state=context.storage_state())
    other = admin.new_page()
    other.goto("/setup")
    row = other.locator("section[aria-labelledby=sessions-title] tr", has_text="this one")
    row.get_by_role("button", name="Sign out").click()
    other.wait_for_url("**/sign-in*")
    expect(page.locator("#stale")).to_contain_text("You are signed out.")
    page.goto("/config")
    page.wait_for_url("**/sign-in?next=%2Fconfig")
    context.close()
    admin.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_no_page_scrolls_sideways(visit: OpenPage, width: int) -> None:
    page = visit("/config", width=width)
    for path in ("/config", f"/config/edit?setting={BATCH}", "/changes", "/objectives", "/setup", "/requests?id=none"):
        goto(page, path)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path


def test_a_staged_revision_is_seen_by_everybody_and_rolled_back_with_one_click(visit: OpenPage, jon: Any) -> None:
    number = jon(70)
    page, other = visit("/config"), visit("/config")
    page.locator(f"#editor-{BATCH} > summary").click()
    editor = page.locator(f"#editor-{BATCH}")
    expect(editor.get_by_label("Bake, min")).to_be_hidden()
    editor.get_by_label("Value").fill("60")
    editor.get_by_label("Applies").select_option("staged")
    editor.get_by_label("Reason").fill("smaller")
    page.evaluate(f"document.getElementById('editor-{BATCH}').dispatchEvent(new Event('toggle'))")  # as a late one does
    expect(editor.get_by_label("Reason")).to_be_focused()
    expect(editor.locator(".preview")).to_contain_text("In 1 of 2 processes; promoted after 10 min")
    editor.get_by_role("button", name="Stage, promote after 10 min").click()
    expect(page.locator("#said")).to_contain_text(f"Revision {number + 1} is staged on 1 of 2 processes")
    expect(head(other)).to_contain_text(f"Revision {number + 1} staged on 1 of 2 processes")
    expect(head(other)).to_contain_text("no objective burns")
    other.get_by_role("button", name="Roll back: batch items 60 → 70").click()
    expect(head(page)).to_contain_text("Rolled back by mira@example.com: by hand")
    expect(head(page)).to_contain_text("2 of 2 processes, slowest")
