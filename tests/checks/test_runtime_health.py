"""runtime_health against a real server, and against servers that each break one promise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from checks import runtime_health
from checks.check import ROOT, Surroundings, Unavailable
from server.live import refusals_store
from server.live.refusals import refusals
from tests.conftest import free_port

Web = Callable[..., Any]


@pytest.fixture(autouse=True)
def no_key_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENKEEL_API_KEY", raising=False)
    monkeypatch.setattr(runtime_health, "own_key", runtime_health.OwnKey())


@pytest.mark.gen_test
async def test_a_real_server_passes_with_a_key_made_here(web: Web) -> None:
    site = await web(REDIS_URL="")
    found = await runtime_health.run(Surroundings(ROOT, site.env, site.parts.db, site.url))
    # There is no watch in this test: health warns of it, and nothing else is wrong.
    assert [finding.what for finding in found] == ["watch warns."]
    async with site.parts.db.ask() as connection:
        from server.live.questions import services

        names = {service.name for service in await services(connection, 0)}
    assert names <= {"evenkeel"}, "nothing of what was sent was stored"


@pytest.mark.gen_test
async def test_limits_changed_at_run_time_are_asked_for(web: Web) -> None:
    site = await web(INGEST_MAX_BATCH_ITEMS="7", MAX_REQUEST_BODY_BYTES="4096")
    found = await runtime_health.run(Surroundings(ROOT, site.env, site.parts.db, site.url))
    assert [finding.what for finding in found] == ["watch warns."]


@pytest.mark.gen_test
async def test_a_key_from_the_environment_is_used(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    site = await web()
    monkeypatch.setenv("EVENKEEL_API_KEY", await site.key("ingest", "read"))
    found = await runtime_health.run(Surroundings(ROOT, base_url=site.url))
    assert [finding.what for finding in found] == ["watch warns."]
    monkeypatch.setenv("EVENKEEL_API_KEY", "ek_revoked")
    found = await runtime_health.run(Surroundings(ROOT, base_url=site.url))
    assert any("answered 401 UNAUTHENTICATED, not 200" in finding.what for finding in found)


@pytest.mark.gen_test
async def test_what_it_sends_too_much_of_makes_no_service_of_the_key_partial(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await web()
    key = await site.key("ingest", "read")
    monkeypatch.setenv("EVENKEEL_API_KEY", key)
    outcome = {"service": "checkout", "route": "/pay", "method": "POST", "status": 200, "duration_ms": 9}
    assert (await site.fetch("/api/v1/outcomes", method="POST", key=key, data=[outcome])).code == 201
    await runtime_health.run(Surroundings(ROOT, base_url=site.url))

    async def refused(reasons: int) -> dict[str, int]:
        """What each service is missing, once so many reasons have been written down."""
        while True:
            async with site.parts.db.ask() as connection:
                rows = await refusals_store.intake(connection, 0)
                senders = await refusals_store.senders(connection, 0)
            if len({(row.key_id, row.reason) for row in rows}) >= reasons:
                return {name: found.refused_items for name, found in refusals(rows, senders).items()}
            await asyncio.sleep(0.05)

    assert await refused(3) == {"checkout": 0}
    assert (await site.fetch("/api/v1/outcomes", method="POST", key=key, data=[0] * 1001)).code == 413
    assert await refused(4) == {"checkout": 1001}, "what its sender sends too much of does"


@pytest.mark.gen_test
async def test_without_a_key_it_says_what_was_not_tried(web: Web) -> None:
    site = await web()
    found = await runtime_health.run(Surroundings(ROOT, base_url=site.url))
    assert any("were not tried" in finding.what and finding.level == "warn" for finding in found)


@pytest.mark.gen_test
async def test_one_key_of_its_own_serves_many_runs(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    site = await web()
    around = Surroundings(ROOT, site.env, site.parts.db, site.url, lasting=True)
    monkeypatch.setenv("EVENKEEL_API_KEY", "ek_of_a_sender")
    own = await runtime_health.key_for(around)
    assert own == await runtime_health.key_for(around) != "ek_of_a_sender"


@pytest.mark.gen_test
async def test_nothing_answers() -> None:
    with pytest.raises(Unavailable, match="did not answer"):
        await runtime_health.run(Surroundings(ROOT, base_url=f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(Unavailable, match="No server was named"):
        await runtime_health.run(Surroundings(ROOT))


class Careless(RequestHandler):
    """Answers 200 to everybody and everything, and loses request ids."""

    def prepare(self) -> None:
        self.finish({"status": "pass"})

    def check_xsrf_cookie(self) -> None: ...


@pytest.mark.gen_test
async def test_a_careless_server_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENKEEL_API_KEY", "ek_any")
    port = free_port()
    server = HTTPServer(Application([(r".*", Careless)]), max_body_size=64 * 1024 * 1024)
    server.listen(port, "127.0.0.1")
    try:
        found = await runtime_health.run(Surroundings(ROOT, base_url=f"http://127.0.0.1:{port}"))
    finally:
        server.stop()
    texts = " ".join(finding.what for finding in found if finding.level == "fail")
    for words in (
        "answers application/json",
        "without a key answered 200",
        "GET / without a session answered 200",
        "not 413 PAYLOAD_TOO_LARGE",
        "not 413 BATCH_TOO_LARGE",
        "came back as ''",
    ):
        assert words in texts, words


@pytest.mark.gen_test
async def test_a_server_that_is_starting_is_waited_for(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    site, asked = await web(REDIS_URL=""), 0
    ask = runtime_health.Probe.ask
    site.parts.started = False

    async def counted(probe: runtime_health.Probe, path: str, *args: Any, **more: Any) -> runtime_health.Answer:
        nonlocal asked
        found = await ask(probe, path, *args, **more)
        asked += 1
        site.parts.started = asked > 1  # its second look finds it starting too
        return found

    monkeypatch.setattr(runtime_health, "LOOK_S", 0.01)
    monkeypatch.setattr(runtime_health.Probe, "ask", counted)
    found = await runtime_health.run(Surroundings(ROOT, site.env, site.parts.db, site.url))
    assert [finding.what for finding in found] == ["watch warns."]


@pytest.mark.gen_test
async def test_a_server_that_is_not_ready_fails(web: Web) -> None:
    site = await web()

    class Down(Careless):
        def prepare(self) -> None:
            self.set_status(503)
            self.set_header("Content-Type", "application/health+json")
            self.finish({"status": "fail"})

    port = free_port()
    server = HTTPServer(Application([(r".*", Down)]))
    server.listen(port, "127.0.0.1")
    try:
        with runtime_health.Probe(f"http://127.0.0.1:{port}") as probe:
            found = await runtime_health.health(probe)
    finally:
        server.stop()
    assert [finding.level for finding in found] == ["fail", "fail"]
    with runtime_health.Probe(site.url) as probe:
        assert [finding.level for finding in await runtime_health.health(probe)] == ["warn"]
