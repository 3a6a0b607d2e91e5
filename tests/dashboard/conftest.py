"""A real browser on a real `python -m server`; console errors and CSP violations fail the test."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.conftest import made_database, variables
from tests.running import Running
from tests.waiting import PATIENCE_S, wait_for

EMAIL = "mira@example.com"
PASSWORD = "correct horse battery staple"
QUIET = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-domain-reliability",
    "--no-first-run",
)
# A slow machine is no fault: how long a thing takes is measured in benchmarks/.
expect.set_options(timeout=20_000)
HOW = "No Chromium was found: install it (apt-get install chromium), or name it in CHROMIUM=/path/to/chromium."


def chromium() -> str | None:
    """The browser to use: $CHROMIUM, else the first one on the path."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM") or next((found for name in names if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, headless, talking to nobody but the server under test.

    No longer than a module: while Playwright runs, no other event loop can run in this process.
    """
    path = chromium()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(HOW)
        pytest.skip(HOW)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield launched
        launched.close()


class Served:
    """A running server with one administrator and one key, and the way to its database."""

    def __init__(self, running: Running, database_url: str) -> None:
        self.running = running
        self.url = running.url
        self.database_url = database_url
        running.person(EMAIL, "admin", PASSWORD)
        self.key = running.key("ingest", "read")

    def send(self, *outcomes: dict[str, Any], **common: Any) -> None:
        """Send outcomes; what they leave out is a good GET / of 12 ms."""
        usual = {"route": "/", "method": "GET", "status": 200, "duration_ms": 12} | common
        status, body = self.running.call(
            "POST", "/api/v1/outcomes", key=self.key, data=[usual | outcome for outcome in outcomes]
        )
        assert status == 201, body

    def pids(self, kind: str) -> list[int]:
        """The processes of a kind that beat."""
        with psycopg.connect(self.database_url) as connection:
            query = "SELECT pid FROM processes WHERE kind = %s AND heartbeat_at > now() - interval '3 s'"
            return [int(pid) for (pid,) in connection.execute(query, (kind,))]

    def recounted(self, objective: str) -> bool:
        """Whether its ledger holds all that is kept; from then on only what comes is added."""
        with psycopg.connect(self.database_url) as connection:
            query = (
                "SELECT NOT EXISTS (SELECT FROM recounts WHERE objective_id = objectives.id)"
                " FROM objectives WHERE name = %s AND counted"
            )
            return connection.execute(query, (objective,)).fetchone() == (True,)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture(scope="module")
def served(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for the tests of a module."""
    databases = made_database(cluster, template)
    url = next(databases)
    directory = tmp_path_factory.mktemp("served")
    running = Running(variables(url, directory), directory / "server.log")
    try:
        wait_for(running.ready, "the server to be ready")
        yield Served(running, url)
    finally:
        running.stop()
        next(databases, None)


@pytest.fixture(scope="module")
def signed_in(browser: Browser, served: Served) -> Any:
    """The cookies of a session, made through the sign-in page."""
    context = browser.new_context(base_url=served.url)
    page = context.new_page()
    page.goto("/sign-in")
    sign_in(page)
    state = context.storage_state()
    context.close()
    return state


def sign_in(page: Page) -> None:
    page.fill("input[name=email]", EMAIL)
    page.fill("input[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_url(lambda url: "/sign-in" not in url)


def until(page: Page, expression: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait until the expression is true in the page. `wait_for_function` polls with eval, which the page refuses."""
    deadline = time.monotonic() + timeout_s
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {expression}"
        page.wait_for_timeout(50)


OpenPage = Callable[..., Page]


def goto(page: Page, path: str) -> None:
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == 200, (path, answer.status)


def new_context(browser: Browser, served: Served, **options: Any) -> BrowserContext:
    return browser.new_context(base_url=served.url, timezone_id="Europe/Berlin", locale="en-GB", **options)


@pytest.fixture(scope="module")
def shared(browser: Browser, served: Served, signed_in: Any) -> Iterator[BrowserContext]:
    """Where one is signed in. Its pages are used again: a new one costs Chromium more than what a test does in it."""
    context = new_context(browser, served, storage_state=signed_in)
    yield context
    context.close()


@pytest.fixture
def visit(browser: Browser, served: Served, signed_in: Any, shared: BrowserContext) -> Iterator[OpenPage]:
    """`page = visit("/", width=390)`: a signed-in page. What the browser complains of fails the test."""
    opened: list[Page] = []
    borrowed: list[Page] = []
    listening: list[tuple[Page, Any, Any]] = []
    complaints: list[str] = []

    def page_with(script: str, options: dict[str, Any]) -> Page:
        if not script and not options:
            free = [page for page in shared.pages if page not in borrowed]
            borrowed.append(free[0] if free else shared.new_page())
            return borrowed[-1]
        context = new_context(browser, served, **{"storage_state": signed_in} | options)
        context.add_init_script(script)
        opened.append(context.new_page())
        return opened[-1]

    def listen(page: Page, event: Any, heard: Callable[[Any], None]) -> None:
        page.on(event, heard)
        listening.append((page, event, heard))

    def open_page(path: str, *, width: int = 1440, quiet: bool = True, script: str = "", **options: Any) -> Page:
        def console(message: Any) -> None:
            if message.type in ("error", "warning"):
                complaints.append(f"{page.url}: {message.text}")

        page = page_with(script, options)
        page.set_viewport_size({"width": width, "height": 900})
        if quiet:
            listen(page, "console", console)
        listen(page, "pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        goto(page, path)
        return page

    yield open_page
    for page in opened:
        page.context.close()
    for page, event, heard in listening:
        page.remove_listener(event, heard)
    for page in borrowed:  # as a new one: nothing loaded, nothing under the pointer
        page.mouse.move(0, 0)
        page.goto("about:blank")
    assert complaints == []


@pytest.fixture(scope="session")
def static() -> Path:
    return Path(__file__).resolve().parents[2] / "static"


# What makes the page scroll sideways, innermost last.
WIDER = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.querySelectorAll('body *')]
    .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
    .map((e) => `${e.tagName}.${e.className} ${Math.round(e.getBoundingClientRect().right)}`)"""
