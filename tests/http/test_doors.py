"""Strangers cost nothing: neither memory nor the files that others need."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.http.doors import Doors, raise_file_limit
from server.process.process import rss_bytes
from tests.conftest import variables
from tests.running import Running
from tests.waiting import until

STRANGERS = 3000
PIECE = b" " * 50_000
MIB = 1024 * 1024


@pytest.fixture
def many_files() -> None:
    """Both ends of every connection are files of this process."""
    raise_file_limit()


def asks(path: str, *lines: str) -> bytes:
    """The head of a body that never comes whole."""
    given = (f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", "Content-Length: 250000", *lines)
    return ("\r\n".join(given) + "\r\n\r\n").encode()


HEADS = (
    asks("/sign-in"),
    asks("/alerts/silence"),
    asks("/api/v1/keys"),
    asks("/api/v1/config"),
    asks("/api/v1/outcomes", "Authorization: Bearer ek_0123456789abcdefghij"),
    asks("/api/v1/no-such"),
)


@pytest.mark.soak
@pytest.mark.gen_test
async def test_bodies_of_strangers_take_no_memory(web: Any, many_files: None) -> None:
    site = await web()
    loop = asyncio.get_running_loop()
    await site.fetch("/sign-in")
    opened: list[socket.socket] = []
    before = rss_bytes()
    most = 0

    async def send(number: int) -> None:
        connection = socket.socket()
        opened.append(connection)
        connection.setblocking(False)
        await loop.sock_connect(connection, ("127.0.0.1", site.env.port))
        await loop.sock_sendall(connection, HEADS[number % len(HEADS)] + PIECE)

    try:
        for start in range(0, STRANGERS, 100):
            await asyncio.gather(*(send(start + more) for more in range(100)))
            most = max(most, rss_bytes() - before)
            assert site.parts.bodies.taken <= 8 * MIB
        assert (await site.fetch("/health/live")).code == 200
        assert len(opened) == STRANGERS
        assert most < 64 * MIB, f"{most / MIB:.0f} MiB"
    finally:
        for connection in opened:
            connection.close()
    await until(lambda: site.parts.bodies.taken == 0 and not site.parts.in_flight, "the strangers to be forgotten")
    assert site.parts.bodies.strangers == 0


@pytest.fixture
def narrow(database_url: str, tmp_path: Path) -> Iterator[Running]:
    """A server that may have 1,024 files, and not one more."""
    log = tmp_path / "server.log"
    server = Running(variables(database_url, tmp_path), log, before="ulimit -n 1024")
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


def test_idle_connections_keep_nobody_out(narrow: Running, many_files: None) -> None:
    opened = []
    began = time.monotonic()
    try:
        for number in range(1200):
            opened.append(socket.create_connection(("127.0.0.1", int(narrow.variables["PORT"])), timeout=20))
            if number % 3 == 0:
                opened[-1].sendall(b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na")
        for _ in range(5):
            assert narrow.get("/health/ready")[0] == 200
            assert narrow.get("/sign-in")[0] == 200
    finally:
        for connection in opened:
            connection.close()
    seconds = time.monotonic() - began
    output = narrow.output()
    assert "Traceback" not in output
    assert 1 <= output.count("too many connections") <= seconds + 2


@pytest.mark.gen_test
async def test_whoever_is_known_stays(web: Any, many_files: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers that wait make room, the longest wait first; then only health and pages come in."""
    monkeypatch.setattr("server.http.doors.connections_max", lambda: 20)
    monkeypatch.setattr("server.http.doors.RESERVE", 5)
    site = await web()
    key = await site.key("read")
    address = ("127.0.0.1", site.env.port)
    asked = f"GET /api/v1/services HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection(*address)
    known = [(reader, writer)]

    async def answered(pair: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes) -> bytes:
        pair[1].write(request)
        return (await pair[0].readuntil(b"\r\n\r\n")).split(b" ")[1]

    assert await answered(known[0], asked) == b"200"
    idle = [await asyncio.open_connection(*address) for _ in range(40)]
    assert await idle[0][0].read() == b""  # the one that waited longest was closed
    doors: Doors = site.web.server
    assert doors.usual == 15
    assert len(doors._connections) <= 15
    assert await answered(known[0], asked) == b"200"
    while len(known) < 15:  # everybody else is known now
        known.append(await asyncio.open_connection(*address))
        assert await answered(known[-1], asked) == b"200"
    late = await asyncio.open_connection(*address)
    assert await answered(late, b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n") == b"200"
    assert await answered(late, asked) == b"503"
    for _, each in (*idle, *known, late):
        each.close()


@pytest.mark.gen_test
async def test_a_system_without_files_is_said_once_a_second(
    web: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await web()
    real, refused = socket.socket.accept, 0

    def accept(self: socket.socket) -> Any:
        nonlocal refused
        if refused < 5:
            refused += 1
            raise OSError(24, "Too many open files")
        return real(self)

    monkeypatch.setattr("server.http.doors.PAUSE_S", 0.01)
    monkeypatch.setattr("socket.socket.accept", accept)
    assert (await site.fetch("/health/live")).code == 200
    assert refused == 5
    assert sum("too many connections" in record.getMessage() for record in caplog.records) == 1
