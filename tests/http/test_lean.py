"""The hot address without Tornado: nobody can tell it from Tornado, whatever is sent and however it arrives."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from server.http import lean
from server.http.connection import ServerConnection
from server.http.lean import Lean, LeanConnection
from tests.ingest.making import body, outcome
from tests.ingest.wire import connect, head, read_answer
from tests.waiting import until

pytestmark = pytest.mark.gen_test

ONE = body(outcome())
MIXED = body(outcome(), outcome(status=1))
NDJSON = ONE.strip(b"[]") + b"\n" + ONE.strip(b"[]")
Answer = tuple[int, dict[str, str], Any]


def whole(
    key: str, data: bytes, *lines: str, target: str = "/api/v1/outcomes", media: str = "application/json"
) -> bytes:
    """A request with its length."""
    given = head(key, f"Content-Length: {len(data)}", *lines)
    return given.replace(b"/api/v1/outcomes", target.encode()).replace(b"application/json", media.encode()) + data


def requests(key: str, reads: str, way: str) -> Iterator[bytes]:
    """What is plain, what is not, and what is wrong; `way` keeps the Idempotency-Keys of the two ways apart."""
    yield whole(key, ONE)
    yield whole(key, ONE, "X-Request-Id: mine-1", "Connection: keep-alive", "Accept-Encoding: gzip", "Accept: */*")
    yield whole(key, ONE, "X-Request-Id: not good", "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https")
    yield whole(key, ONE, "X-Forwarded-For: 192.0.2.9, nonsense", "X-Forwarded-Proto: gopher")
    yield whole(key, ONE, "Connection: close")
    yield whole(key, NDJSON, media="application/x-ndjson")
    yield whole(key, ONE, media="application/json; charset=utf-8")
    yield whole(key, gzip.compress(ONE), "Content-Encoding: gzip")
    yield whole(key, gzip.compress(ONE)[:-9], "Content-Encoding: gzip")
    yield whole(key, gzip.compress(b" " * 2_000_000), "Content-Encoding: gzip")
    yield whole(key, ONE, "Content-Encoding: br")
    yield whole(key, MIXED)
    yield whole(key, MIXED, target="/api/v1/outcomes?partial=true")
    yield whole(key, MIXED, target="/api/v1/outcomes?partial=perhaps")
    yield whole(key, ONE, target="/api/v1/outcomes?other=1")
    yield whole(key, b"[]")
    yield whole(key, b"nonsense")
    yield whole(key, b"\xff\xfe")
    yield whole(key, b"[" * 4000)
    yield whole(key, body(*[outcome()] * 4))
    yield whole(key, ONE, media="text/plain")
    yield whole(key, body(outcome(service="evenkeel")))
    yield from (whole(key, ONE, f"Idempotency-Key: {way}") for _ in range(2))
    yield whole(key, MIXED, f"Idempotency-Key: {way}", target="/api/v1/outcomes?partial=true")
    yield whole(key, body(outcome(route="/other")), f"Idempotency-Key: {way}")
    yield whole(key, ONE, "Idempotency-Key: with space")
    yield whole("nobody", ONE)
    yield whole(reads, ONE)
    yield whole(key, ONE).replace(b"Bearer ", b"bearer  ")
    yield whole(key, ONE).replace(b"Bearer ", b"Basic ")
    yield whole(key, ONE).replace(b"POST", b"PUT")
    yield whole(key, ONE).replace(b"HTTP/1.1", b"HTTP/1.0")
    yield whole(key, ONE).replace(b"Host: x\r\n", b"")
    yield whole(key, ONE).replace(b"Host: x", b"Host: a b")
    yield whole(key, ONE, "Host: y")
    yield whole(key, ONE, "Evenkeel-Trial: 1")
    yield whole(key, ONE, "X-Long: " + "a" * 40_000)
    yield whole(key, ONE, "X-Other: caf\u00e9".encode("latin1").decode("latin1"))
    yield whole(key, ONE, f"Content-Length: {len(ONE)}")
    yield whole(key, ONE).replace(b"\r\n\r\n", b"\r\n folded\r\n\r\n", 1)
    yield whole(key, ONE).replace(b"Content-Length: ", b"Content-Length : ")
    yield whole(key, ONE).replace(b"Content-Length: ", b"Content-Length: +")
    yield whole(key, ONE).replace(b"Content-Length: ", b"Content-Length: 0")
    yield whole(key, ONE, "Transfer-Encoding: chunked")
    yield head(key, "Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(ONE), ONE)
    yield head(key, "Content-Length: 0")
    yield whole(key, ONE).replace(b"\r\n", b"\n")
    yield b"\r\n" + whole(key, ONE)


def statuses(connection: socket.socket, answers: int) -> list[str]:
    """Of so many answers in JSON, one behind the other."""
    told = b""
    while told.count(b"HTTP/1.1 ") < answers or not told.endswith(b"}"):
        piece = connection.recv(65536)
        assert piece, told
        told += piece
    return [part[:3].decode() for part in told.split(b"HTTP/1.1 ")[1:]]


def answered(site: Any, request: bytes) -> Answer:
    """Status, headers and body, without what differs each time."""
    with connect(site) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection, method="POST")
        response.begin()
        told = json.loads(response.read())
    headers = {name.lower(): value for name, value in response.headers.items()}
    assert len(headers) == len(response.headers.items())
    assert headers.pop("date")
    if "mine-1" not in headers["x-request-id"]:
        assert told.pop("request_id", headers["x-request-id"]) == headers.pop("x-request-id")
    return response.status, headers, told


def counted(site: Any) -> list[tuple[Any, ...]]:
    """What is counted of requests: of Evenkeel's own, and of senders."""
    own: dict[Any, int] = {}
    for (spelling, _, timed), (good, bad) in site.parts.intake.lane._own.items():
        own[(spelling, timed)] = own.get((spelling, timed), 0) + len(good) + len(bad)
    sent: dict[Any, tuple[int, ...]] = {}
    for line, count in site.parts.intake.tally.take(2**40).items():
        before = sent.get(line[1:], (0, 0, 0))
        sent[line[1:]] = (before[0] + count.requests, before[1] + count.items, before[2] + count.bytes)
    site.parts.intake.lane._own.clear()
    return [*sorted(own.items()), *sorted(sent.items())]


async def test_both_ways_answer_log_and_count_the_same(
    web: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site = await web(TRUSTED_PROXIES="1", INGEST_MAX_BATCH_ITEMS="3", PUBLIC_URL="http://x")
    key, reads = await site.key("ingest"), await site.key("read")
    lane = site.parts.intake.lane
    await lane._loop.close()  # it would take away what is compared
    plain = 0
    answer = Lean.answer

    async def counting(self: Lean, *given: Any) -> Any:
        nonlocal plain
        found = await answer(self, *given)
        plain += found is not None
        return found

    monkeypatch.setattr(Lean, "answer", counting)
    found: list[Any] = []
    for way in ("lean", "tornado"):
        if way == "tornado":
            monkeypatch.setattr(Lean, "open", False)
        caplog.clear()
        counted(site)
        told = [await asyncio.to_thread(answered, site, request) for request in requests(key, reads, way)]
        await until(lambda: not site.parts.in_flight, "every request to be recorded")
        lines = [
            (record.levelname, record.getMessage(), record.fields | {"duration_ms": 0})  # type: ignore[attr-defined]
            for record in caplog.records
            if record.name == "evenkeel.access"
        ]
        found.append((told, lines, counted(site)))
    for one, other in zip(found[0][0], found[1][0], strict=True):
        assert one == other
    assert found[0] == found[1]
    assert 20 < plain < len(found[0][0])
    assert {status for status, _, _ in found[0][0]} >= {201, 400, 401, 403, 405, 413, 415, 422, 431}


async def test_it_does_not_matter_where_a_request_is_cut(web: Any) -> None:
    site = await web()
    request = whole(await site.key("ingest"), ONE)

    def cut() -> set[str]:
        connections = [connect(site) for _ in request]
        for size, connection in enumerate(connections):
            connection.sendall(request[:size])
        with connect(site) as other:  # what was sent before has been looked at when this is answered
            other.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(other)[0] == 200
        for size, connection in enumerate(connections):
            connection.sendall(request[size:] + request)
        found = set()
        for connection in connections:
            with connection:
                found |= set(statuses(connection, 2))
        return found

    assert await asyncio.to_thread(cut) == {"201"}


async def test_requests_behind_each_other_are_answered_in_their_order(web: Any) -> None:
    site = await web()
    key = await site.key("ingest")
    asks = [("a", ONE), ("b", MIXED), ("c", ONE), ("", b""), ("d", ONE), ("e", body(*[outcome()] * 400))]
    twice = {"d": (f"Content-Length: {len(ONE)}",)}  # as some proxies do
    sent = [
        whole(key, data, f"X-Request-Id: {name}", *twice.get(name, ()))
        if name
        else b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
        for name, data in asks
    ]

    def exchange(pieces: list[bytes]) -> list[str]:
        with connect(site) as connection:
            for piece in pieces:
                connection.sendall(piece)
            return statuses(connection, len(asks))

    assert await asyncio.to_thread(exchange, sent) == ["201", "422", "201", "200", "201", "201"]
    assert await asyncio.to_thread(exchange, [sent[0] + b"".join(sent[1:])[:-1], sent[-1][-1:]]) == [
        *("201", "422", "201", "200", "201", "201")
    ]


async def test_a_sender_that_closes_its_half_is_answered(web: Any) -> None:
    site = await web()
    key = await site.key("ingest")

    def half(request: bytes) -> bytes:
        with connect(site) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            told = b""
            while piece := connection.recv(65536):
                told += piece
            return told

    assert (await asyncio.to_thread(half, whole(key, ONE))).startswith(b"HTTP/1.1 201")
    assert (await asyncio.to_thread(half, whole(key, ONE) * 2)).count(b"HTTP/1.1 201") == 2
    assert await asyncio.to_thread(half, whole(key, ONE)[:-1]) == b""
    assert not site.parts.in_flight


async def test_a_sender_that_cuts_the_connection_is_forgotten(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site = await web()
    server, go_on = site.web.server, asyncio.Event()
    key, store = await site.key("ingest"), site.parts.intake.store

    async def late(*given: Any) -> Any:
        await go_on.wait()
        return await store(*given)

    monkeypatch.setattr(site.parts.intake, "store", late)
    connection = await asyncio.to_thread(connect, site)
    connection.sendall(whole(key, ONE))
    await until(lambda: bool(site.parts.in_flight), "the request to be answered")
    (ours,) = server._connections
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()  # with a reset
    await until(lambda: ours._ended, "the reset to be seen")
    go_on.set()
    await until(lambda: not server._connections, "the connection to be closed")
    assert not site.parts.in_flight
    assert not server._known
    assert not server._strangers


async def test_who_is_slow_is_waited_for_by_tornado(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean, "BODY_S", 0.01)
    site = await web()
    request = whole(await site.key("ingest"), ONE)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.env.port)

    def kinds() -> set[type]:
        return {type(connection) for connection in site.web.server._connections}

    async def status() -> bytes:
        told = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(b'{"accepted":1}'))
        return told.split(b" ")[1]

    writer.write(request)
    assert await status() == b"201"
    assert kinds() == {LeanConnection}
    assert list(site.web.server._known) == list(site.web.server._connections)  # who asked may stay longest
    writer.write(request[:-1])
    await until(lambda: kinds() == {ServerConnection}, "the wait to be Tornado's")
    writer.write(request[-1:] + request)
    assert [await status(), await status()] == [b"201", b"201"]
    assert all(connection.known for connection in site.web.server._connections)
    writer.close()
    await until(lambda: not site.web.server._connections, "the connection to be forgotten")


async def test_what_a_receiver_does_not_take_at_once_is_sent_later(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site = await web()
    request = whole(await site.key("ingest"), ONE)

    def little(self: LeanConnection, data: bytes) -> bytes:
        assert self._sock is not None
        return data[self._sock.send(data[:7]) :]

    monkeypatch.setattr(LeanConnection, "_send", little)

    def exchange() -> list[str]:
        with connect(site) as connection:
            connection.sendall(request * 2)
            return statuses(connection, 2)

    assert await asyncio.to_thread(exchange) == ["201", "201"]


async def test_a_fault_of_ours_is_told_and_logged(
    web: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site = await web()
    key = await site.key("ingest")

    async def broken(*_: Any) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr(site.parts.intake, "store", broken)
    status, headers, told = await asyncio.to_thread(answered, site, whole(key, ONE))
    assert (status, told["code"], headers["content-type"]) == (500, "INTERNAL", "application/problem+json")
    assert "ValueError: a fault" in caplog.text
    assert not site.parts.in_flight
    assert site.parts.bodies.taken == 0
