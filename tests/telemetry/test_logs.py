"""Log lines: no secrets, no broken output, and kept for look-up without a part of the request waiting for it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import sys
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.auth.tokens import new_token
from server.kernel.db import Database
from server.kernel.names import HOST
from server.kernel.redaction import redact
from server.notify.kinds import KINDS
from server.process.process import Process
from server.telemetry import log_output, log_store, logs, metrics
from server.telemetry.log_line import JsonFormatter, TextFormatter, line_of

SECRETS = [
    new_token("ek"),
    new_token("es"),
    "hunter2-is-long",
    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
    "2|1:0|10:1700000000|16:evenkeel_session|44:ZXNfYWJj|0123456789abcdef",
]


def record(message: str, *args: object, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("evenkeel.test", logging.INFO, __file__, 1, message, args, None)
    made.__dict__.update(extra)
    return made


@pytest.mark.parametrize("format", [JsonFormatter, TextFormatter])
@pytest.mark.parametrize("secret", SECRETS, ids=["key", "session", "password", "hash", "cookie"])
def test_no_secret_is_written(secret: str, format: type[logging.Formatter]) -> None:
    try:
        raise RuntimeError(f"cannot connect to postgresql://me:{secret}@db/x, {{'password': '{secret}'}}")
    except RuntimeError:
        failed = record("GET /welcome?token=%s", secret, fields={"seen": f"Bearer {secret}"})
        failed.exc_info = sys.exc_info()
    text = format().format(failed)
    assert secret not in text
    assert "cannot connect" in text
    assert secret[-12:] not in text


@given(st.text(), st.text(min_size=1))
def test_redaction_never_lets_a_key_through(before: str, after: str) -> None:
    key = new_token("ek")
    assert key[3:] not in redact(f"{before}{key}{after}")


@given(st.text(), st.text(min_size=1))
def test_nor_the_secret_of_a_webhook(before: str, after: str) -> None:
    secret = KINDS["webhook"].new_secret()
    assert secret[6:] not in redact(f"{before}{secret}{after}")


def test_a_quoted_password_goes_whole() -> None:
    assert redact("{'password': 'a, b & \\'c', 'email': 'x@y'}") == "{'password': …, 'email': 'x@y'}"
    assert redact('{"token":"a}b c","n":1}') == '{"token":…,"n":1}'


def test_ordinary_text_is_left_alone() -> None:
    text = "GET /api/v1/services/checkout/summary 200 from 10.0.0.1, https://status.example.com/a is up"
    assert redact(text) == text


@given(st.text())
def test_json_is_one_valid_line_whatever_the_message(message: str) -> None:
    text = JsonFormatter().format(record("%s", message, fields={"note": message, "level": "forged"}))
    assert "\n" not in text
    assert json.loads(text)["level"] == "info"


def test_text_does_not_let_a_message_draw_on_the_terminal_or_forge_a_line() -> None:
    text = TextFormatter().format(record("evil\x1b[2J\n03:00:00 error forged"))
    assert "\x1b" not in text
    assert "\n" not in text


def test_level_holds_for_the_output_and_our_loggers_still_reach_the_keeper() -> None:
    before = logging.getLogger().handlers[:]
    stream = io.StringIO()
    try:
        logs.setup("warning", "json", stream)
        assert logging.getLogger("evenkeel").isEnabledFor(logging.INFO)
        assert not logging.getLogger("sqlalchemy.engine").isEnabledFor(logging.INFO)
        logging.getLogger("evenkeel.x").info("quiet")
        logging.getLogger("evenkeel.x").warning("loud")
        logging.getLogger().handlers[0].flush()
        assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["loud"]
    finally:
        logging.basicConfig(handlers=before, force=True)


def dropped() -> float:
    return metrics.registry.get_sample_value(metrics.LOG_LINES_DROPPED.name, {"host": HOST}) or 0.0


def pipe(size: int) -> tuple[int, Any]:
    """A pipe that takes at most `size` bytes unread, and its writing end as text."""
    import fcntl

    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, size)
    return reading, os.fdopen(writing, "w")


def test_a_reader_that_stalls_does_not_stall_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_output, "WAITING_LINES", 500)
    monkeypatch.setattr(log_output, "FLUSH_S", 0.1)
    reading, stream = pipe(4096)
    output = log_output.Output(stream)
    output.setFormatter(JsonFormatter())
    for n in range(2000):
        output.emit(record("%d", n))
    assert output.dropped > 0
    read = b""
    while b"were not written" not in read:
        read += os.read(reading, 65536)
    lines = [json.loads(line)["message"] for line in read.splitlines()]
    assert lines[:100] == [str(n) for n in range(100)]
    output.close()
    os.close(reading)


def test_a_child_writes_its_own_lines_and_not_its_parents() -> None:
    reading, stream = pipe(65536)
    output = log_output.Output(stream)
    output.setFormatter(JsonFormatter())
    output.emit(record("parent"))
    pid = os.fork()
    if pid == 0:
        output.emit(record("child"))
        output.flush()
        os._exit(0)
    os.waitpid(pid, 0)
    output.close()
    stream.close()
    messages = [json.loads(line)["message"] for line in os.read(reading, 65536).splitlines()]
    assert sorted(messages) == ["child", "parent"]
    os.close(reading)


async def kept(db: Database, request_id: str) -> list[log_store.KeptLine]:
    async with db.ask() as connection:
        return await log_store.lines(connection, request_id)


@pytest.mark.gen_test
async def test_lines_are_found_by_request_id_with_everything_hostile_in_them(make_env: Any) -> None:
    env = make_env()
    db = Database(env.database_url)
    store = logs.LogStore(env, db, Process(db, "web", "web.1"))
    await store.start()
    hostile = "tab\there \\N back\\slash\nline\r nul\0 surrogate\ud800 " + "x" * 5000
    try:
        logs.in_request("req-7")
        logging.getLogger("evenkeel.a").info(hostile, extra={"fields": {"n": 3, "odd": hostile}})
        logging.getLogger("evenkeel.a").debug("not kept")
        logging.getLogger("evenkeel.a").info("another", extra={"request_id": "req-8"})
        await store.flush()
        (line,) = await kept(db, "req-7")
        expected = hostile.replace("\0", "").replace("\ud800", "?")
        assert line.message == expected[:4000] + "…"
        assert line.fields == {"n": 3, "odd": expected[:1000] + "…"}
        assert [x.message for x in await kept(db, "req-8")] == ["another"]
        assert await kept(db, "") == []
    finally:
        logs.in_request("")
        await store.close()
        await db.close()


@pytest.mark.gen_test
async def test_lines_wait_while_the_database_is_away_and_too_many_are_counted(
    make_env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "WAITING_LINES", 50)
    env = make_env()
    db = Database(env.database_url)
    store = logs.LogStore(env, db, Process(db, "web", "web.1"))
    away = Database("postgresql://nobody@127.0.0.1:1/none")
    try:
        await store.start()
        store._connection.db = away
        for number in range(60):
            logging.getLogger("evenkeel.a").info("%d", number, extra={"request_id": "r"})
        before = dropped()
        with pytest.raises(psycopg.OperationalError):
            await store.flush()
        assert dropped() - before >= 10
        store._connection.db = db
        await store.flush()
        found = [line.message for line in await kept(db, "r")]
        assert found == [str(number) for number in range(len(found))]
        assert len(found) >= 49
    finally:
        await store.close()
        await db.close()
        await away.close()


@pytest.mark.gen_test
async def test_closing_stores_what_waits(make_env: Any) -> None:
    env = make_env()
    db = Database(env.database_url)
    store = logs.LogStore(env, db, Process(db, "web", "web.1"))
    try:
        await store.start()
        logging.getLogger("evenkeel.a").info("last words", extra={"request_id": "end"})
        await store.close()
        assert [line.message for line in await kept(db, "end")] == ["last words"]
        assert store.gatherer not in logging.getLogger().handlers
    finally:
        await db.close()


@pytest.mark.gen_test
async def test_old_lines_and_lines_over_the_number_are_forgotten(make_env: Any) -> None:
    from sqlalchemy import text

    db = Database(make_env().database_url)
    insert = (
        "INSERT INTO log_lines (at, level, process, logger, request_id, message) "
        "SELECT now() - make_interval(hours => n), 'info', 'p', 'l', 'r' || n, 'm' FROM generate_series(99, 0, -1) n"
    )
    try:
        async with db.act() as connection:
            await connection.execute(text(insert))
        assert await log_store.forget_old(db, days=3, kept=1000) == 28 - 1 + 1
        assert await log_store.forget_old(db, days=3, kept=10) == 62
        assert len(await kept(db, "r9")) == 1
        assert len(await kept(db, "r10")) == 0
        assert await log_store.forget_old(db, days=3, kept=10) == 0
    finally:
        await db.close()


@pytest.mark.gen_test
async def test_request_id_stays_with_its_task() -> None:
    async def handle(request_id: str) -> str:
        logs.in_request(request_id)
        await asyncio.sleep(0)
        return line_of(record("x")).request_id

    assert await asyncio.gather(handle("a"), handle("b")) == ["a", "b"]
