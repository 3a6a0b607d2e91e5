"""The stream of a page: what is sent, to whom, and when it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import update

from dashboard.shared import stream as module
from dashboard.shared.live import PAGES, Ask, LivePage
from dashboard.shared.stream import STREAMS_MAX
from server.parts import Parts
from server.tables.people import sessions
from tests.dashboard.visitor import look, service, show, sign_in
from tests.site import Site
from tests.waiting import PATIENCE_S, until

Web = Callable[..., Awaitable[Site]]


class Stream:
    """One open stream, read by hand."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.reader = reader
        self.headers: dict[str, str] = {}

    async def head(self) -> str:
        status = (await self.reader.readline()).decode().strip()
        while line := (await self.reader.readline()).decode().strip():
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        return status

    async def event(self, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """The next event with data: its name, id and data."""
        found: dict[str, Any] = {}
        async with asyncio.timeout(timeout_s):
            while True:
                line = (await self.reader.readline()).decode().rstrip("\r\n")
                if line == "" and "data" in found:
                    return found
                name, _, value = line.partition(": ")
                if name in ("event", "id", "data"):
                    found[name] = value

    async def picture(self) -> tuple[int, dict[str, Any]]:
        event = await self.event()
        assert event["event"] == "picture"
        return int(event["id"]), json.loads(event["data"])

    async def ended(self, timeout_s: float = PATIENCE_S) -> bytes:
        """What still comes until the end."""
        return await asyncio.wait_for(self.reader.read(), timeout_s)


@asynccontextmanager
async def stream(site: Site, cookie: str, query: str = "page=now", **headers: str) -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.env.port, limit=2**26)
    lines = [f"GET /live?{query} HTTP/1.0", "Host: test", f"Cookie: {cookie}"]
    writer.write("\r\n".join([*lines, *(f"{n.replace('_', '-')}: {v}" for n, v in headers.items()), "", ""]).encode())
    try:
        yield Stream(reader)
    finally:
        writer.close()


@pytest.mark.gen_test
async def test_a_stream_is_told_what_changed_and_passes_proxies(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    await show(site, 1, service("shop"))
    async with stream(site, cookie) as live:
        assert " 200 " in await live.head()
        assert live.headers["content-type"] == "text/event-stream"
        assert live.headers["cache-control"] == "no-cache, no-transform"
        assert live.headers["x-accel-buffering"] == "no"
        seq, first = await live.picture()
        assert seq == 1
        assert {"headline", "services", "side", "notices"} <= first["regions"].keys()
        assert "shop" in first["regions"]["services"]
        await show(site, 2, service("shop", bad=6))
        while (await _next(live))[0] < 2:
            pass
        await show(site, 3, service("shop", bad=7))
        seq, changed = await _next(live)
        while seq < 3:
            seq, changed = await _next(live)
        assert "7 of 60" in changed["regions"]["services"]
        assert "notices" not in changed["regions"], "what did not change is not sent again"


async def _next(live: Stream) -> tuple[int, dict[str, Any]]:
    return await live.picture()


@pytest.mark.gen_test
async def test_the_page_and_its_stream_say_the_same(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    await show(site, 1, service("shop", n=10, bad=1))
    page = (await look(site, "/", cookie)).body.decode()
    async with stream(site, cookie) as live:
        await live.head()
        _, first = await live.picture()
    assert first["regions"]["services"] in page
    assert first["regions"]["headline"] in page


@pytest.mark.gen_test
async def test_without_a_new_picture_its_age_is_told_each_second(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    await show(site, 1, service("shop"))
    async with stream(site, cookie) as live:
        await live.head()
        _, first = await live.picture()
        _, second = await live.picture()
        assert second["age_s"] - first["age_s"] == pytest.approx(1, abs=0.5)


@pytest.mark.gen_test
async def test_a_reconnecting_client_gets_only_what_it_missed(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    await show(site, 100, service("shop"))
    async with stream(site, cookie) as first:
        await first.head()
        await first.picture()
        await show(site, 200, service("shop", bad=3))
        while (await first.picture())[0] < 200:
            pass
        async with stream(site, cookie, Last_Event_ID="150") as again:
            await again.head()
            _, missed = await again.picture()
            assert "3 of 60" in missed["regions"]["services"]
            assert "notices" not in missed["regions"]
        async with stream(site, cookie, "page=now&last=150") as watchdog:
            await watchdog.head()
            assert (await watchdog.picture())[1]["regions"] == missed["regions"]
        async with stream(site, cookie, Last_Event_ID="100000") as other_term:
            await other_term.head()
            assert "notices" in (await other_term.picture())[1]["regions"]


@pytest.mark.gen_test
async def test_revoking_the_session_ends_its_stream(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    await show(site, 1, service("shop"))
    async with stream(site, cookie) as live:
        await live.head()
        await live.picture()
        async with site.parts.db.act() as connection:
            await connection.execute(update(sessions).values(revoked_at=sessions.c.created_at))
        assert b"event: ended" in await live.ended()


@pytest.mark.gen_test
async def test_a_stopping_process_ends_its_streams_at_once(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    await show(site, 1, service("shop"))
    async with stream(site, cookie) as live:
        await live.head()
        await live.picture()
        site.parts.relay.end_streams()
        await live.ended(2)
        assert not site.parts.in_flight


@pytest.mark.gen_test
async def test_a_stream_is_for_people_who_may_look(web: Web) -> None:
    site = await web()
    assert (await site.fetch("/live?page=now")).code == 401
    assert (await site.fetch("/live?page=now", key=await site.key("read"))).code == 401
    assert (await look(site, "/live?page=nothing", await sign_in(site, "viewer"))).code == 404


@pytest.mark.gen_test
async def test_a_stream_is_of_something_that_is_there(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site, "viewer")
    await show(site, 1, service("shop"))
    for query in ("page=service", "page=service&service=none", "page=service&service=shop&window=2m"):
        assert (await look(site, f"/live?{query}", cookie)).code == 404, query
    async with stream(site, cookie, "page=service&service=shop&window=1h") as live:
        assert " 200 " in await live.head()


@pytest.mark.gen_test
async def test_a_session_has_a_dozen_streams_and_others_have_theirs(web: Web) -> None:
    site = await web()
    greedy, calm = await sign_in(site), await sign_in(site, "viewer")
    await show(site, 1, service("shop"))
    async with AsyncExitStack() as opened:
        for _ in range(STREAMS_MAX):
            live = await opened.enter_async_context(stream(site, greedy))
            assert " 200 " in await live.head()
        refused = await look(site, "/live?page=now", greedy)
        assert refused.code == 503
        assert refused.headers["Retry-After"] == "5"
        async with stream(site, calm) as live:
            assert " 200 " in await live.head()
    await until(lambda: not site.parts.in_flight, "the streams to end")
    async with stream(site, greedy) as live:
        assert " 200 " in await live.head(), "closed ones make room"


@pytest.mark.gen_test
async def test_nobody_takes_every_view_a_process_can_make(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERSONS_CHANNELS_MAX", 3)
    site = await web()
    greedy, calm = await sign_in(site), await sign_in(site, "viewer")
    await show(site, 1, service("shop"))
    async with AsyncExitStack() as opened:
        for before in (1, 2, 3):
            live = await opened.enter_async_context(stream(site, greedy, f"page=changes&before={before}"))
            assert " 200 " in await live.head()
        assert (await look(site, "/live?page=changes&before=4", greedy)).code == 503
        for who, query in ((greedy, "page=changes&before=1"), (calm, "page=changes&before=4"), (calm, "page=now")):
            async with stream(site, who, query) as live:
                assert " 200 " in await live.head(), query


@pytest.fixture
def heavy() -> Iterator[None]:
    """A page of 4 MB that changes with each picture."""

    async def context(parts: Parts, ask: Ask, now: float) -> list[str]:
        seq = parts.relay.picture.seq if parts.relay.picture else 0
        return [f"{seq:09d}" * 400_000]

    PAGES["heavy"] = LivePage(
        "heavy", "error.html", context, {"notices": "shell/notices.html", "big": "tests_big.html"}
    )
    yield
    del PAGES["heavy"]


@pytest.mark.gen_test
async def test_a_client_that_does_not_read_is_dropped_and_others_go_on(
    web: Web, heavy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jinja2 import ChoiceLoader, DictLoader

    from dashboard.shared.rendering import ENVIRONMENT

    assert ENVIRONMENT.loader is not None
    loader = ChoiceLoader([DictLoader({"tests_big.html": "{{ view[0] }}"}), ENVIRONMENT.loader])
    monkeypatch.setattr(ENVIRONMENT, "loader", loader)
    site = await web()
    cookie = await sign_in(site)
    await show(site, 1)
    async with stream(site, cookie, "page=heavy"), stream(site, cookie, "page=heavy") as reading:
        await reading.head()
        await reading.picture()
        assert len(site.parts.in_flight) == 2
        seq = 1
        async with asyncio.timeout(PATIENCE_S):
            while len(site.parts.in_flight) == 2:
                seq += 1
                await show(site, seq)
                while (await reading.picture())[0] < seq:
                    pass
        await show(site, seq + 1)
        while (await reading.picture())[0] <= seq:
            pass


@pytest.mark.gen_test
async def test_a_room_says_who_looks_at_it_in_any_process(web: Web) -> None:
    site, other = await web(), await web("web.2")
    mira, jon = await sign_in(site), await sign_in(site, "viewer")
    key = await site.key("read", "act")
    made = await site.fetch("/api/v1/incidents", method="POST", key=key, data={"title": "nobody can pay"})
    assert made.code == 201
    async with stream(site, mira, "page=incident&id=1") as first, stream(other, jon, "page=incident&id=1") as second:
        await first.head()
        await second.head()
        for live in (first, second):
            head = ""
            while not ("Looking: admin-" in head and "viewer-" in head):
                head = (await live.picture())[1]["regions"].get("room-head", head)
    with psycopg.connect(site.env.database_url) as connection:
        connection.execute("UPDATE incident_viewers SET seen_at = now() - interval '13 s' WHERE person LIKE 'viewer-%'")
    page = (await look(site, "/incidents/1", mira)).body.decode()
    assert "Looking: admin-" in page
    assert "viewer-" not in page[page.index("Looking: ") :][:200]
