"""Bodies at any address: bounded in memory and time, and a refusal reaches its sender."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
from typing import Any

import pytest

from server.http.body import BODY_MAX
from server.process.process import rss_bytes
from tests.site import answer

pytestmark = pytest.mark.gen_test


def send(site: Any, method: str, path: str, data: Any, **headers: str) -> tuple[int, dict[str, Any], Any]:
    """One request through http.client, which sends everything before it reads."""
    connection = http.client.HTTPConnection("127.0.0.1", site.env.port, timeout=20)
    connection.request(method, path, data, {"Content-Type": "application/json", "Accept": "*/*", **headers})
    response = connection.getresponse()
    return response.status, json.loads(response.read()), response.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/api/v1/config"),
        ("POST", "/api/v1/keys"),
        ("POST", "/sign-in"),
        ("POST", "/welcome"),
        ("POST", "/no-such-page"),
        ("POST", "/api/v1/no-such"),
        ("GET", "/api/v1/services"),
        ("POST", "/static/app.css"),
        ("PUT", "/health/live"),
    ],
)
async def test_a_stranger_cannot_fill_the_memory_anywhere(web: Any, method: str, path: str) -> None:
    site = await web()
    body = b" " * 60_000_000
    before = rss_bytes()
    status, told, headers = await asyncio.to_thread(lambda: send(site, method, path, body))
    assert (status, told["code"], told["limit"], told["sent"]) == (413, "PAYLOAD_TOO_LARGE", BODY_MAX, len(body))
    assert headers["Content-Type"] == "application/problem+json"
    assert told["request_id"] == headers["X-Request-Id"]
    assert rss_bytes() - before < 20_000_000
    while site.parts.in_flight:
        await asyncio.sleep(0.01)


async def test_the_limit_itself_is_read(web: Any) -> None:
    site = await web()
    key = await site.key("admin")
    body = json.dumps({"name": "a", "scopes": ["read"]}).encode().ljust(BODY_MAX)
    allowed = {"Authorization": f"Bearer {key}"}
    assert (await asyncio.to_thread(lambda: send(site, "POST", "/api/v1/keys", body, **allowed)))[0] == 201
    assert (await asyncio.to_thread(lambda: send(site, "POST", "/api/v1/keys", body + b" ", **allowed)))[0] == 413


async def test_a_body_without_its_length_is_cut_off(web: Any) -> None:
    site = await web()

    def flood() -> int:
        sent = 0
        with socket.create_connection(("127.0.0.1", site.env.port), timeout=10) as connection:
            connection.sendall(b"POST /sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            try:
                while sent < 100_000_000:
                    connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
                    sent += 65536
            except OSError:
                pass
        return sent

    assert await asyncio.to_thread(flood) < 50_000_000


async def test_a_body_that_does_not_come_is_not_waited_for(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.http.handler.BODY_S", 0.3)
    site = await web()

    def stall() -> bytes:
        with socket.create_connection(("127.0.0.1", site.env.port), timeout=10) as connection:
            connection.sendall(b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na")
            told = b""
            while piece := connection.recv(4096):  # to its end: it is closed; a timeout would raise
                told += piece
            return told

    assert (await asyncio.to_thread(stall)).startswith(b"HTTP/1.1 408 ")


async def test_a_large_body_while_starting_is_to_be_sent_again(web: Any) -> None:
    site = await web()
    site.parts.started = False
    for path in ("/api/v1/outcomes", "/sign-in"):
        status, told, headers = await asyncio.to_thread(lambda path=path: send(site, "POST", path, b" " * 3_000_000))
        assert (status, told["code"], headers["Retry-After"]) == (503, "UNAVAILABLE", "2")
    site.parts.started = True


async def test_people_get_a_page_while_it_starts(web: Any) -> None:
    site = await web()
    site.parts.started = False
    shown = await site.fetch("/alerts", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (shown.code, shown.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert (shown.headers["Retry-After"], shown.headers["X-Content-Type-Options"]) == ("2", "nosniff")
    page = shown.body.decode()
    assert '<meta http-equiv="refresh" content="2">' in page
    for style in re.findall(r'href="(/static/[^"]+)"', page):
        assert (await site.fetch(style)).code == 200
    assert answer(await site.fetch("/alerts", headers={"Accept": "*/*"}))["code"] == "UNAVAILABLE"
    assert answer(await site.fetch("/api/v1/services", headers={"Accept": "application/json"}))["code"] == "UNAVAILABLE"
    site.parts.started = True
