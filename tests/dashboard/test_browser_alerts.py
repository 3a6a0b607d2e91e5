"""Alerts in a real browser: acted on in the row, calm under a draft, without scripts, on a phone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest
from playwright.sync_api import expect

from tests.alerts.making import at, burning
from tests.conftest import made_database, variables
from tests.dashboard.conftest import OpenPage, Served
from tests.running import Running
from tests.slo.making import availability, file, service
from tests.waiting import wait_for

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that holds nobody but shop to anything: on a busy machine Evenkeel's own objectives burn."""
    databases = made_database(cluster, template)
    url = next(databases)
    directory = tmp_path_factory.mktemp("served")
    policy = service("shop") + availability("shop-availability", "shop")
    running = Running(variables(url, directory, SLO_FILE=file(directory, policy)), directory / "server.log")
    try:
        wait_for(running.ready, "the server to be ready")
        made = Served(running, url)
        made.send({"service": "shop"})
        yield made
    finally:
        running.stop()
        next(databases, None)


def fire(served: Served) -> int:
    """An alert of shop that has fired: the watch finds it clear, and holds it for a minute."""
    now = time.time()
    evidence = msgspec.json.encode(at(burning("shop"), now)).decode()
    with psycopg.connect(served.database_url, autocommit=True) as connection:
        connection.execute("TRUNCATE alerts CASCADE")  # with what the watch may be writing of them meanwhile
        row = connection.execute(
            """
            INSERT INTO alerts (objective, service, state, urgency, tier, severity, onset, onset_method, detected_at,
                fired_at, fired_times, told, evidence)
            VALUES ('shop-availability', 'shop', 'firing', 'page', 'fast', 2, to_timestamp(%s), 'change point',
                now(), now(), 1, 'page', %s) RETURNING id
            """,
            (now - 3, evidence),
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_acknowledged_and_silenced_where_it_stands(served: Served, visit: OpenPage) -> None:
    page = visit("/alerts")
    expect(page.get_by_role("heading", name="No open alert")).to_be_visible()
    fire(served)
    row = page.locator("li.alert")
    expect(row.get_by_text("SEV-2")).to_be_visible()
    expect(row.get_by_text("Recovering")).to_be_visible()  # nothing burns, and it is not over

    row.get_by_text("Silence for 1 h").first.click()
    why = row.get_by_label("Why")
    why.fill("load te")
    page.wait_for_timeout(2500)  # two pictures later the draft is as it was, and in hand
    expect(why).to_have_value("load te")
    expect(why).to_be_focused()
    why.press_sequentially("st")
    row.get_by_role("button", name="Silence for 1 h").click()
    expect(page.get_by_role("status").first).to_contain_text("Silenced for 60 min")
    expect(row.get_by_text("mira@example.com: load test")).to_be_visible()

    row.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("status").first).to_have_text("Acknowledged: shop. Nobody else is told.")
    expect(row.get_by_text("Acknowledged by mira@example.com")).to_be_visible()
    expect(row.get_by_role("button", name="Acknowledge")).to_have_count(0)

    page.get_by_role("button", name="End", exact=True).click()
    expect(page.get_by_text("Nothing is silenced.")).to_be_visible()


def test_nothing_is_healthy_before_an_alert_is_over(served: Served, visit: OpenPage) -> None:
    alert_id = fire(served)
    page = visit("/")
    expect(page.locator("h1 [data-announce]")).to_have_text("Recovering: shop")
    page.locator(f'main a[href="/alerts/{alert_id}"]').first.click()
    expect(page.locator("h1")).to_have_text("SEV-2 shop failing: Suspected")
    assert "/incidents/" in page.url, "an alert's page is the room of its incident"
    page.locator(f'main a[href="/alerts/{alert_id}?alone=1"]').click()
    expect(page.get_by_text("Clear since")).to_be_visible()


@pytest.mark.parametrize("path", ["/alerts", "/alerts/{id}?alone=1"])
def test_on_a_phone_and_without_scripts(served: Served, visit: OpenPage, path: str) -> None:
    alert_id = fire(served)
    phone = visit(path.format(id=alert_id), width=390)
    expect(phone.get_by_role("button", name="Acknowledge")).to_be_visible()
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    plain = visit(path.format(id=alert_id), java_script_enabled=False)
    plain.get_by_role("button", name="Acknowledge").click()
    expect(plain.locator("#said")).to_contain_text("Acknowledged")
    assert plain.url.endswith(path.format(id=alert_id))
