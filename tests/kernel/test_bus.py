"""The bus goes on listening, whatever is published and whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
import redis.asyncio as redis

from server.kernel import bus
from server.kernel.bus import Bus
from server.kernel.db import Database
from tests.waiting import NEVER_S, PATIENCE_S, until

pytestmark = pytest.mark.gen_test


@asynccontextmanager
async def listening(database_url: str, redis_url: str) -> AsyncIterator[Bus]:
    db = Database(database_url)
    made = Bus(db, redis_url)
    made.start()
    try:
        await until(lambda: made.listening and made.redis_ok, "the bus to listen")
        yield made
    finally:
        await made.close()
        await db.close()


@pytest.mark.parametrize("garbage", [b"\xff\xfe", b"", b"picture", b"picture x", b"picture 1 2", b"\x00" * 10])
async def test_garbage_from_redis_does_not_end_the_listening(
    database_url: str, redis_url: str, garbage: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "RETRY_S", NEVER_S)
    heard: asyncio.Queue[int] = asyncio.Queue()
    async with listening(database_url, redis_url) as made, redis.Redis.from_url(redis_url) as sender:
        made.subscribe("picture", heard.put_nowait)
        await sender.publish("evenkeel", garbage)
        await sender.publish("evenkeel", b"picture 7")
        async with asyncio.timeout(PATIENCE_S):
            assert await heard.get() == 7
        assert made.listening
        assert made.redis_ok


async def test_what_nobody_expected_is_logged_and_tried_again(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bus, "RETRY_S", 0.05)
    heard: asyncio.Queue[int] = asyncio.Queue()
    broken = [True]

    def dispatch(self: Bus, message: str) -> None:
        if broken:
            broken.clear()
            raise ZeroDivisionError(message)
        heard.put_nowait(int(message.partition(" ")[2]))

    monkeypatch.setattr(Bus, "_dispatch", dispatch)
    for road in ("redis", "postgres"):
        broken.append(True)
        async with listening(database_url, redis_url) as made:
            async with asyncio.timeout(PATIENCE_S):
                while not heard.qsize():  # what is sent while nobody listens is lost
                    if road == "redis":
                        async with redis.Redis.from_url(redis_url) as sender:
                            await sender.publish("evenkeel", b"picture 7")
                    else:
                        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as sending:
                            await sending.execute("SELECT pg_notify('evenkeel', 'picture 7')")
                    await asyncio.sleep(0.02)
            while heard.qsize():
                assert heard.get_nowait() == 7
            assert made.listening
            assert made.redis_ok
    assert caplog.text.count("ZeroDivisionError: picture 7") == 2
