"""Bodies that wait, stop, or are too many at once."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import socket
from typing import Any

import pytest

from tests.ingest.making import body, outcome
from tests.ingest.wire import URL, connect, head, post, read_answer


@pytest.mark.parametrize("length", ["Content-Length: 5000000", "Transfer-Encoding: chunked"])
@pytest.mark.gen_test
async def test_expect_continue(web: Any, length: str) -> None:
    site = await web()
    key = await site.key("ingest")

    def expect() -> tuple[bytes, int, dict[str, Any]]:
        with connect(site) as connection:
            connection.sendall(head(key, length, "Expect: 100-continue"))
            interim = connection.recv(4, socket.MSG_PEEK) and connection.recv(12, socket.MSG_PEEK)
            if interim == b"HTTP/1.1 100":
                connection.recv(len(b"HTTP/1.1 100 Continue\r\n\r\n"))
                piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
                connection.sendall(piece * 40 + b"0\r\n\r\n")
            return interim, *read_answer(connection)

    interim, status, told = await asyncio.to_thread(expect)
    assert interim == (b"HTTP/1.1 100" if "chunked" in length else b"HTTP/1.1 413")
    assert (status, told["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.gen_test
async def test_expect_continue_of_a_good_batch(web: Any) -> None:
    site = await web()
    key = await site.key("ingest")
    good = body(outcome())

    def expect() -> tuple[int, dict[str, Any]]:
        with connect(site) as connection:
            connection.sendall(head(key, f"Content-Length: {len(good)}", "Expect: 100-continue"))
            assert connection.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 100"
            connection.recv(len(b"HTTP/1.1 100 Continue\r\n\r\n"))
            connection.sendall(good)
            return read_answer(connection)

    assert await asyncio.to_thread(expect) == (201, {"accepted": 1})


@pytest.mark.gen_test
async def test_a_refused_small_request_keeps_its_connection(web: Any) -> None:
    site = await web()
    key = await site.key("ingest")

    def twice() -> list[int]:
        connection = http.client.HTTPConnection("127.0.0.1", site.env.port, timeout=10)
        statuses = []
        for token in ("nobody", key):
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            connection.request("POST", URL, body(outcome()), headers)
            own = connection.sock
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
            assert connection.sock is own  # not closed in between
        return statuses

    assert await asyncio.to_thread(twice) == [401, 201]


@pytest.mark.gen_test
async def test_a_body_that_does_not_come_is_a_timeout(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.http.handler.BODY_S", 0.3)
    site = await web()
    key = await site.key("ingest")

    def stall() -> tuple[int, dict[str, Any]]:
        with connect(site) as connection:
            connection.sendall(head(key, "Content-Length: 100") + b"[")
            return read_answer(connection)

    status, told = await asyncio.to_thread(stall)
    assert (status, told["code"]) == (408, "REQUEST_TIMEOUT")
    assert not site.parts.in_flight


@pytest.mark.gen_test
async def test_what_is_sent_beyond_the_drain_is_cut_off(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.http.connection.DRAIN_BYTES", 3_000_000)
    site = await web()
    key = await site.key("ingest")

    def flood() -> int:
        sent = 0
        with connect(site) as connection:
            connection.sendall(head(key, "Transfer-Encoding: chunked"))
            piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
            try:
                while sent < 200_000_000:
                    connection.sendall(piece)
                    sent += 65536
            except OSError:
                pass
        return sent

    assert await asyncio.to_thread(flood) < 100_000_000
    assert not site.parts.in_flight


@pytest.mark.gen_test
async def test_many_bodies_at_once_are_bounded_together(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.http.body.ROOM_BYTES", 100_000)
    site = await web()
    key = await site.key("ingest")
    slow = [connect(site) for _ in range(2)]
    try:
        packed = gzip.compress(b" " * 45_000)  # 45 kB in memory, whatever they were on the wire
        packed_head = head(key, "Content-Length: 60000", "Content-Encoding: gzip")
        await asyncio.to_thread(lambda: slow[0].sendall(head(key, "Content-Length: 60000") + b" " * 45_000))
        await asyncio.to_thread(lambda: slow[1].sendall(packed_head + packed))
        while site.parts.bodies.taken < 90_000:
            await asyncio.sleep(0.01)
        status, told = await asyncio.to_thread(lambda: post(site, key, b" " * 20_000))
        assert (status, told["code"]) == (503, "QUEUE_FULL")
    finally:
        for connection in slow:
            connection.close()
    while site.parts.bodies.taken:
        await asyncio.sleep(0.01)
    assert (await asyncio.to_thread(lambda: post(site, key, body(outcome()))))[0] == 201
    assert site.parts.bodies.taken == 0


@pytest.mark.gen_test
async def test_a_sender_that_goes_away_leaves_nothing_behind(web: Any) -> None:
    site = await web()
    key = await site.key("ingest")
    for start in (b"[" * 100, b""):
        with connect(site) as connection:
            await asyncio.to_thread(lambda c=connection, s=start: c.sendall(head(key, "Content-Length: 1000") + s))
            while not site.parts.in_flight:
                await asyncio.sleep(0.01)
        while site.parts.in_flight:
            await asyncio.sleep(0.01)
