"""Every refusal of a body that is too large reaches its sender, whoever sends it and however."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from server.process.process import rss_bytes
from tests.ingest.making import body, outcome, rows, value
from tests.ingest.wire import URL, connect, head, post, read_answer

LIMIT = 1024 * 1024


def chunks(total: int) -> Iterator[bytes]:
    for _ in range(total // 65536):
        yield b" " * 65536


@pytest.mark.gen_test
async def test_twenty_megabytes_with_their_length(web: Any) -> None:
    site = await web()
    key = await site.key("ingest")
    for _ in range(5):
        status, told = await asyncio.to_thread(lambda: post(site, key, b" " * 20_000_000))
        assert (status, told["code"], told["limit"], told["sent"]) == (413, "PAYLOAD_TOO_LARGE", LIMIT, 20_000_000)


@pytest.mark.gen_test
async def test_twenty_megabytes_in_chunks(web: Any) -> None:
    site = await web()
    key = await site.key("ingest")
    for _ in range(5):
        status, told = await asyncio.to_thread(lambda: post(site, key, chunks(20_000_000)))
        assert (status, told["code"], told["limit"]) == (413, "PAYLOAD_TOO_LARGE", LIMIT)
        assert told["sent"] > LIMIT


@pytest.mark.gen_test
async def test_without_a_key_the_size_is_still_said_first(web: Any) -> None:
    site = await web()
    status, told = await asyncio.to_thread(lambda: post(site, "nobody", b" " * 2_000_000))
    assert (status, told["code"]) == (413, "PAYLOAD_TOO_LARGE")
    status, told = await asyncio.to_thread(lambda: post(site, "nobody", chunks(2_000_000)))
    assert (status, told["code"]) == (401, "UNAUTHENTICATED")


@pytest.mark.gen_test
async def test_a_bomb_is_refused_in_bounded_memory(web: Any) -> None:
    site = await web()
    key = await site.key("ingest")
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(500)) + packer.flush()
    assert len(bomb) < LIMIT
    before = rss_bytes()
    status, told = await asyncio.to_thread(lambda: post(site, key, bomb, Content_Encoding="gzip"))
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

    status, told = await asyncio.to_thread(lie)
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

    status, told = await asyncio.to_thread(lie)
    assert (status, told["code"]) == (413, "PAYLOAD_TOO_LARGE")
    key = await site.key("ingest")
    assert (await asyncio.to_thread(lambda: post(site, key, body(outcome()))))[0] == 201
    await site.parts.intake.lane.write()
    counted = rows(database_url, "SELECT reason, bytes > 0 FROM intake ORDER BY reason")
    assert counted == [("PAYLOAD_TOO_LARGE", True), ("accepted", True)]


@pytest.mark.gen_test
async def test_an_early_answer_is_no_error_in_the_log(web: Any, caplog: pytest.LogCaptureFixture) -> None:
    site = await web()
    key = await site.key("ingest")
    assert (await asyncio.to_thread(lambda: post(site, key, b" " * 2_000_000)))[0] == 413
    assert (await asyncio.to_thread(lambda: post(site, key, chunks(2_000_000))))[0] == 413
    while site.parts.in_flight:
        await asyncio.sleep(0.01)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.gen_test
async def test_the_limit_itself_is_taken_and_one_byte_more_is_not(web: Any) -> None:
    site = await web(MAX_REQUEST_BODY_BYTES="2048")
    key = await site.key("ingest")
    batch = body(outcome())
    full = batch[:-1] + b" " * (2048 - len(batch)) + b"]"
    assert (await asyncio.to_thread(lambda: post(site, key, full)))[0] == 201
    assert (await asyncio.to_thread(lambda: post(site, key, full + b" ")))[0] == 413
    assert (await asyncio.to_thread(lambda: post(site, key, gzip.compress(full), Content_Encoding="gzip")))[0] == 201
    status, told = await asyncio.to_thread(lambda: post(site, key, gzip.compress(full + b" "), Content_Encoding="gzip"))
    assert (status, told["sent"]) == (413, 2049)


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
    out = await asyncio.to_thread(
        lambda: subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
    )
    text, _, status = out.rpartition("\n")
    assert status == "413"
    assert json.loads(text)["code"] == "PAYLOAD_TOO_LARGE"
