"""Every refusal of a body that is too large reaches its sender, whoever sends it and however."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import logging
import shutil
import socket
import subprocess
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from server.process import rss_bytes
from tests.ingest.making import body, outcome, rows, value

URL = "/api/v1/outcomes"
LIMIT = 1024 * 1024


async def in_thread(call: Callable[[], Any]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, call)


def connect(site: Any) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", site.env.port), timeout=10)
    return connection


def read_answer(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, json.loads(response.read())


def head(key: str, *lines: str) -> bytes:
    given = (
        "POST /api/v1/outcomes HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
    )
    return ("\r\n".join((*given, *lines)) + "\r\n\r\n").encode()


def post(site: Any, key: str, data: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    """One request through http.client, which sends everything before it reads."""
    connection = http.client.HTTPConnection("127.0.0.1", site.env.port, timeout=20)
    given = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    given |= {name.replace("_", "-"): text for name, text in headers.items()}
    connection.request("POST", URL, data, given)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def chunks(total: int) -> Iterator[bytes]:
    for _ in range(total // 65536):
        yield b" " * 65536


@pytest.mark.gen_test
async def test_twenty_megabytes_with_their_length(web: Any) -> None:
    site = await web()
    key = await site.key("ingest")
    for _ in range(5):
        status, told = await in_thread(lambda: post(site, key, b" " * 20_000_000))
        assert (status, told["code"], told["limit"], told["sent"]) == (413, "PAYLOAD_TOO_LARGE", LIMIT, 20_000_000)


@pytest.mark.gen_test
async def test_twenty_megabytes_in_chunks(web: Any) -> None:
    site = await web()
    key = await site.key("ingest")
    for _ in range(5):
        status, told = await in_thread(lambda: post(site, key, chunks(20_000_000)))
        assert (status, told["code"], told["limit"]) == (413, "PAYLOAD_TOO_LARGE", LIMIT)
        assert told["sent"] > LIMIT


@pytest.mark.gen_test
async def test_without_a_key_the_size_is_still_said_first(web: Any) -> None:
    site = await web()
    status, told = await in_thread(lambda: post(site, "nobody", b" " * 2_000_000))
    assert (status, told["code"]) == (413, "PAYLOAD_TOO_LARGE")
    status, told = await in_thread(lambda: post(site, "nobody", chunks(2_000_000)))
    assert (status, told["code"]) == (401, "UNAUTHENTICATED")


@pytest.mark.gen_test
async def test_a_bomb_is_refused_in_bounded_memory(web: Any) -> None:
    site = await web()
    key = await site.key("ingest")
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(500)) + packer.flush()
    assert len(bomb) < LIMIT
    before = rss_bytes()
    status, told = await in_thread(lambda: post(site, key, bomb, Content_Encoding="gzip"))
    assert (status, told["code"], told["sent"]) == (413, "PAYLOAD_TOO_LARGE", LIMIT + 1)
    assert rss_bytes() - before < 40_000_000


@pytest.mark.gen_test
async def test_a_length_that_lies_is_answered_without_waiting_for_it(web: Any, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest")

    def lie() -> tuple[int, dict[str, Any]]:
        with connect(site) as connection:
            connection.sendall(head(key, "Content-Length: 50000000") + b"[" * 100)
            return read_answer(connection)

    status, told = await in_thread(lie)
    assert (status, told["code"], told["sent"]) == (413, "PAYLOAD_TOO_LARGE", 50_000_000)
    while site.parts.in_flight:
        await asyncio.sleep(0.01)
    await site.parts.intake.lane.write()
    counted = "SELECT status, n FROM deltas JOIN series ON id = series_id WHERE service = 'evenkeel'"
    assert rows(database_url, counted) == [(413, 1)]  # though the sender hung up in the middle
    assert value(database_url, "SELECT requests FROM intake WHERE reason = 'PAYLOAD_TOO_LARGE'") == 1


@pytest.mark.parametrize("length", ["3000000000", "100000000000000000000", "9" * 5000])
@pytest.mark.gen_test
async def test_a_length_beyond_all_reason_does_not_stop_the_counting(web: Any, database_url: str, length: str) -> None:
    site = await web()

    def lie() -> tuple[int, dict[str, Any]]:
        with connect(site) as connection:
            connection.sendall(head("nobody", f"Content-Length: {length}") + b"[" * 100)
            return read_answer(connection)

    status, told = await in_thread(lie)
    assert (status, told["code"]) == (413, "PAYLOAD_TOO_LARGE")
    key = await site.key("ingest")
    assert (await in_thread(lambda: post(site, key, body(outcome()))))[0] == 201
    await site.parts.intake.lane.write()
    counted = rows(database_url, "SELECT reason, bytes > 0 FROM intake ORDER BY reason")
    assert counted == [("PAYLOAD_TOO_LARGE", True), ("accepted", True)]


@pytest.mark.gen_test
async def test_an_early_answer_is_no_error_in_the_log(web: Any, caplog: pytest.LogCaptureFixture) -> None:
    site = await web()
    key = await site.key("ingest")
    assert (await in_thread(lambda: post(site, key, b" " * 2_000_000)))[0] == 413
    assert (await in_thread(lambda: post(site, key, chunks(2_000_000))))[0] == 413
    while site.parts.in_flight:
        await asyncio.sleep(0.01)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


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
                connection.recv(len(b"HTTP/1.1 100 (Continue)\r\n\r\n"))
                piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
                connection.sendall(piece * 40 + b"0\r\n\r\n")
            return interim, *read_answer(connection)

    interim, status, told = await in_thread(expect)
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
            connection.recv(len(b"HTTP/1.1 100 (Continue)\r\n\r\n"))
            connection.sendall(good)
            return read_answer(connection)

    assert await in_thread(expect) == (201, {"accepted": 1})


@pytest.mark.gen_test
async def test_the_limit_itself_is_taken_and_one_byte_more_is_not(web: Any) -> None:
    site = await web(MAX_REQUEST_BODY_BYTES="2048")
    key = await site.key("ingest")
    batch = body(outcome())
    full = batch[:-1] + b" " * (2048 - len(batch)) + b"]"
    assert (await in_thread(lambda: post(site, key, full)))[0] == 201
    assert (await in_thread(lambda: post(site, key, full + b" ")))[0] == 413
    assert (await in_thread(lambda: post(site, key, gzip.compress(full), Content_Encoding="gzip")))[0] == 201
    status, told = await in_thread(lambda: post(site, key, gzip.compress(full + b" "), Content_Encoding="gzip"))
    assert (status, told["sent"]) == (413, 2049)


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

    assert await in_thread(twice) == [401, 201]


@pytest.mark.gen_test
async def test_a_body_that_does_not_come_is_a_timeout(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.ingest.upload.BODY_S", 0.3)
    site = await web()
    key = await site.key("ingest")

    def stall() -> tuple[int, dict[str, Any]]:
        with connect(site) as connection:
            connection.sendall(head(key, "Content-Length: 100") + b"[")
            return read_answer(connection)

    status, told = await in_thread(stall)
    assert (status, told["code"]) == (408, "REQUEST_TIMEOUT")
    assert not site.parts.in_flight


@pytest.mark.gen_test
async def test_what_is_sent_beyond_the_drain_is_cut_off(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.ingest.upload.DRAIN_BYTES", 3_000_000)
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

    assert await in_thread(flood) < 100_000_000
    assert not site.parts.in_flight


@pytest.mark.gen_test
async def test_many_bodies_at_once_are_bounded_together(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.ingest.upload.RECEIVING_MAX", 100_000)
    site = await web()
    key = await site.key("ingest")
    slow = [connect(site) for _ in range(2)]
    try:
        packed = gzip.compress(b" " * 45_000)  # 45 kB in memory, whatever they were on the wire
        packed_head = head(key, "Content-Length: 60000", "Content-Encoding: gzip")
        await in_thread(lambda: slow[0].sendall(head(key, "Content-Length: 60000") + b" " * 45_000))
        await in_thread(lambda: slow[1].sendall(packed_head + packed))
        while site.parts.intake.receiving < 90_000:
            await asyncio.sleep(0.01)
        status, told = await in_thread(lambda: post(site, key, b" " * 20_000))
        assert (status, told["code"]) == (503, "QUEUE_FULL")
    finally:
        for connection in slow:
            connection.close()
    while site.parts.intake.receiving:
        await asyncio.sleep(0.01)
    assert (await in_thread(lambda: post(site, key, body(outcome()))))[0] == 201
    assert site.parts.intake.receiving == 0


@pytest.mark.gen_test
async def test_a_sender_that_goes_away_leaves_nothing_behind(web: Any) -> None:
    site = await web()
    key = await site.key("ingest")
    for start in (b"[" * 100, b""):
        with connect(site) as connection:
            await in_thread(lambda c=connection, s=start: c.sendall(head(key, "Content-Length: 1000") + s))
            while not site.parts.in_flight:
                await asyncio.sleep(0.01)
        while site.parts.in_flight:
            await asyncio.sleep(0.01)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("how", [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]])
@pytest.mark.gen_test
async def test_curl_gets_the_answer(web: Any, tmp_path: Any, how: list[str]) -> None:
    site = await web()
    key = await site.key("ingest")
    file = tmp_path / "large"
    file.write_bytes(b" " * 8_000_000)
    command = ["curl", "-s", "-w", "\n%{http_code}", "-H", f"Authorization: Bearer {key}", "--data-binary", f"@{file}"]
    command += ["-H", "Content-Type: application/json", *how, site.url + URL]
    out = await in_thread(
        lambda: subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
    )
    text, _, status = out.rpartition("\n")
    assert status == "413"
    assert json.loads(text)["code"] == "PAYLOAD_TOO_LARGE"
