"""Requests byte by byte: what RFC 9112 allows is read, what cannot be read is told, and nobody is waited for."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from typing import Any

import pytest

from server.http.connection import HEAD_MAX
from tests.ingest.making import body, outcome
from tests.ingest.wire import connect, head, read_answer
from tests.waiting import NEVER_S, until

pytestmark = pytest.mark.gen_test


async def said(site: Any, request: bytes) -> tuple[http.client.HTTPResponse, bytes]:
    """What a whole request is answered."""

    def exchange() -> tuple[http.client.HTTPResponse, bytes]:
        with connect(site) as connection:
            connection.sendall(request)
            response = http.client.HTTPResponse(connection, method=request.split(b" ", 1)[0].decode("latin1"))
            response.begin()
            return response, response.read()

    return await asyncio.to_thread(exchange)


def is_problem(response: http.client.HTTPResponse, told: bytes, status: int, code: str) -> None:
    found = json.loads(told)
    assert (response.status, found["status"], found["code"]) == (status, status, code)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert found["request_id"] == response.headers["X-Request-Id"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in response.headers


UNREADABLE = [
    b"nonsense\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    b"GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://user@x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://x/ HTTP/1.1\r\n\r\n",
    b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"POST /sign-in HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno\r\n\r\n",
    b"POST /sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
    b"POST /sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
    b"POST /sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * 5000 + b"\r\na\r\n0\r\n\r\n",
    b"POST /sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno header\r\n\r\n",
]


async def test_what_cannot_be_read_is_told(web: Any) -> None:
    site = await web()
    for request in UNREADABLE:
        told = await said(site, request)
        assert told[0].status == 400, request
        is_problem(*told, 400, "BAD_REQUEST")
        await until(lambda: not site.parts.in_flight, f"{request!r} to be forgotten")
    assert (await site.fetch("/health/live")).code == 200


async def test_a_head_that_is_too_long_is_told(web: Any) -> None:
    site = await web()
    long = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * HEAD_MAX + b"\r\n\r\n"
    is_problem(*await said(site, long), 431, "HEADERS_TOO_LARGE")
    allowed = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * (HEAD_MAX - 100) + b"\r\n\r\n"
    assert (await said(site, allowed))[0].status == 200


async def test_targets_in_absolute_form(web: Any) -> None:
    site = await web()
    for target in (b"http://other.example/health/live", b"HTTP://x/health/live?a=b"):
        response, told = await said(site, b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)
        assert (response.status, json.loads(told)["status"]) == (200, "pass")
    response, _ = await said(site, b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (response.status, response.headers["Location"]) == (302, "/sign-in?next=%2F")


async def test_chunk_extensions_and_trailers(web: Any) -> None:
    site = await web()
    key = await site.key("ingest")
    batch = body(outcome())
    chunks = b'%x;name=value;other="a;b"\r\n%b\r\n' % (len(batch[:9]), batch[:9])
    chunks += b"%X ;x\r\n%b\r\n0;last\r\nX-Digest: abc\r\nX-Other: d\r\n\r\n" % (len(batch[9:]), batch[9:])
    request = head(key, "Transfer-Encoding: chunked") + chunks

    def twice() -> list[int]:
        with connect(site) as connection:  # what follows begins where it should
            connection.sendall(request)
            first = read_answer(connection)[0]
            connection.sendall(request)
            return [first, read_answer(connection)[0]]

    assert await asyncio.to_thread(twice) == [201, 201]


@pytest.mark.parametrize("path", ["/api/v1/outcomes", "/api/v1/keys", "/alerts/silence"])
async def test_a_sender_that_asks_first_is_refused_before_its_body(web: Any, path: str) -> None:
    site = await web()
    request = f"POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n".encode()
    response, _ = await said(site, request)
    assert response.status == (303 if path.startswith("/alerts") else 401)
    assert response.headers["Connection"] == "close"


async def test_first_bytes_are_waited_for_shortly(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.http.doors.FIRST_S", 0.2)
    site = await web()

    def silent(start: bytes) -> bytes:
        with connect(site) as connection:
            connection.sendall(start)
            return connection.recv(100)

    for start in (b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "):
        assert await asyncio.to_thread(silent, start) == b""  # closed; a timeout would raise

    def later() -> int:  # a connection that has asked may rest for longer
        connection = http.client.HTTPConnection("127.0.0.1", site.env.port, timeout=10)
        for _ in range(2):
            connection.request("GET", "/health/live")
            own = connection.sock
            connection.getresponse().read()
        assert connection.sock is own
        return 2

    assert await asyncio.to_thread(later) == 2


async def test_requests_behind_each_other(web: Any) -> None:
    site = await web()
    one = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"

    def pipelined() -> int:
        with connect(site) as connection:
            connection.sendall(one * 20 + b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n")
            told = b""
            while piece := connection.recv(65536):
                told += piece
            return told.count(b"HTTP/1.1 200 OK")

    assert await asyncio.to_thread(pipelined) == 21


async def test_an_answer_before_the_body_keeps_the_connection(web: Any) -> None:
    """And what was sent is not taken for the next request."""
    site = await web()

    def exchange() -> list[int]:
        with connect(site) as connection:
            sent = b"POST /api/v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n"
            connection.sendall(sent.replace(b"400000", b"200000") + b" " * 200_000)
            first = read_answer(connection)[0]
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            return [first, read_answer(connection)[0]]

    assert await asyncio.to_thread(exchange) == [401, 200]


async def test_a_sender_that_closes_its_half_is_answered(web: Any) -> None:
    site = await web()

    def half() -> int:
        with connect(site) as connection:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            return read_answer(connection)[0]

    assert await asyncio.to_thread(half) == 200


async def test_a_kept_connection_hears_of_the_stop_with_its_next_answer(web: Any) -> None:
    """Closed at once, it would take with it what its sender has just put on the way."""
    site = await web()
    reader, writer = await asyncio.open_connection("127.0.0.1", site.env.port)

    async def answer() -> bytes:
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
        return head

    assert b"Connection: close" not in await answer()
    closing = asyncio.create_task(site.web.close(linger_s=NEVER_S))
    await until(lambda: site.parts.stopping, "the stop to begin")
    assert b"Connection: close" in await answer()
    assert await reader.read() == b""
    await closing
    writer.close()
