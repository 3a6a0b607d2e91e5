"""An incident as server-sent events: nothing lost, nothing twice, for whoever may read, and nobody holds it up."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from server.incidents import feed_handler
from server.incidents.feed_handler import EventsHandler
from tests.dashboard.test_stream import Stream
from tests.site import Site, answer
from tests.waiting import until

Start = Callable[..., Any]


@asynccontextmanager
async def events(site: Site, key: str, number: int = 1, last: str = "") -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.env.port, limit=2**26)
    lines = [f"GET /api/v1/incidents/{number}/events HTTP/1.0", "Host: test", f"Authorization: Bearer {key}"]
    lines += [f"Last-Event-ID: {last}"] if last else []
    writer.write("\r\n".join([*lines, "", ""]).encode())
    try:
        yield Stream(reader)
    finally:
        writer.close()


async def note(site: Site, key: str, text: str) -> None:
    data = {"act": "note", "text": text}
    assert (await site.fetch("/api/v1/incidents/1/acts", method="POST", key=key, data=data)).code == 200


async def declared(web: Start) -> tuple[Site, str]:
    site = await web()
    key = await site.key("read", "act")
    found = await site.fetch("/api/v1/incidents", method="POST", key=key, data={"title": "nobody can pay"})
    assert answer(found)["incident"]["id"] == 1
    return site, key


def streams(site: Site) -> int:
    return sum(isinstance(one, EventsHandler) for one in site.parts.in_flight)


@pytest.mark.gen_test
async def test_a_client_that_comes_back_gets_what_it_missed_and_nothing_twice(web: Start) -> None:
    site, key = await declared(web)
    reader = await site.key("read", name="tool")
    async with events(site, reader) as first:
        assert " 200 " in await first.head()
        assert first.headers["content-type"] == "text/event-stream"
        declared_, state = await first.event(), await first.event()
        assert (declared_["event"], json.loads(declared_["data"])["kind"]) == ("entry", "state")
        assert (state["event"], json.loads(state["data"])["state"]) == ("incident", "declared")
        await note(site, key, "one\ntwo")
        seen = await first.event()
        assert json.loads(seen["data"])["text"] == "one\ntwo"
    await note(site, key, "three")
    await note(site, key, "four")
    async with events(site, reader, last=seen["id"]) as again:
        await again.head()
        assert [json.loads((await again.event())["data"])["text"] for _ in range(2)] == ["three", "four"]
        assert (await again.event())["event"] == "incident"
        await site.fetch("/api/v1/incidents/1/acts", method="POST", key=key, data={"act": "move", "to": "mitigating"})
        assert [(await again.event())["event"] for _ in range(2)] == ["entry", "incident"]
    await until(lambda: streams(site) == 0, "the streams to be closed")


@pytest.mark.gen_test
async def test_who_may_have_one_and_how_many(web: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    site, key = await declared(web)
    sender = await site.key("ingest", name="sender")
    path = "/api/v1/incidents/1/events"
    assert [(await site.fetch(path, key=one)).code for one in (None, sender)] == [401, 403]
    assert (await site.fetch(path.replace("1/", "7/"), key=key)).code == 404
    wrong = await site.fetch(path, key=key, headers={"Last-Event-ID": "x"})
    assert (wrong.code, answer(wrong)["errors"][0]["field"]) == (422, "Last-Event-ID")
    monkeypatch.setattr(feed_handler, "CALLERS_MAX", 1)
    async with events(site, key) as first:
        await first.head()
        await first.event()
        assert (await site.fetch(path, key=key)).code == 503
        async with events(site, await site.key("read", name="other")) as other:
            assert " 200 " in await other.head()
            site.parts.relay.end_streams()  # the process stops
            await first.ended()
            await other.ended()


@pytest.mark.gen_test
async def test_a_revoked_key_and_a_client_that_does_not_read_are_let_go(
    web: Start, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, key = await declared(web)
    boss, tool = await site.key("admin", name="boss"), await site.key("read", name="tool")
    (number,) = [one["id"] for one in answer(await site.fetch("/api/v1/keys", key=boss)) if one["name"] == "tool"]
    async with events(site, tool) as revoked:
        await revoked.head()
        await revoked.event()
        await revoked.event()
        assert (await site.fetch(f"/api/v1/keys/{number}", method="DELETE", key=boss)).code == 200
        await note(site, key, "not for the revoked one")
        assert b"not for" not in await revoked.ended()
    monkeypatch.setattr(feed_handler, "SLOW_S", 0.2)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO incident_entries (incident_id, kind, text, author)"
            " SELECT 1, 'note', repeat('x', 4000), 'test' FROM generate_series(1, 5000)"
        )
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", site.env.port))
    line.sendall(f"GET /api/v1/incidents/1/events HTTP/1.0\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    await until(lambda: streams(site) == 1, "the stream to begin")
    await until(lambda: streams(site) == 0, "who does not read to be dropped")
    line.close()
