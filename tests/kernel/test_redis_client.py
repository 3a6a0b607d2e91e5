"""REDIS_URL leads to one server, by Sentinels to a master, or to a cluster, each of them real."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as blocking
import redis.asyncio as redis

from server.ingest import throttle as throttling
from server.ingest.throttle import Quota, Throttle
from server.kernel import bus
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.errors import ApiError, ConfigurationError
from server.kernel.redaction import redact
from server.kernel.redis_client import lost, read_address, redis_client
from tests.kernel.redis_servers import SERVICE, Servers, cluster_of, servers, with_sentinel
from tests.waiting import PATIENCE_S, until


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Servers]:
    with servers(tmp_path) as started:
        yield started


@pytest.mark.parametrize(
    ("url", "one", "hosts", "service"),
    [
        ("redis+sentinel://a,b:1/front", "redis://first/0?", (("a", 26379), ("b", 1)), "front"),
        ("rediss+sentinel://u:p%40x@[::1]:9/my%2Fname/3", "rediss://u:p%40x@first/3?", (("::1", 9),), "my/name"),
        ("rediss+cluster://:p@a,b?ssl_cert_reqs=none", "rediss://:p@first/0?ssl_cert_reqs=none",
         (("a", 6379), ("b", 6379)), ""),
    ],
)  # fmt: skip
def test_hosts_and_service_are_read(url: str, one: str, hosts: tuple[Any, ...], service: str) -> None:
    address = read_address(url)
    assert (address.one, address.hosts, address.service) == (one, hosts, service)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis-sentinel://a/front", "is none of redis://host:6379/0, redis+sentinel://"),
        ("sentinel://a/front", "is none of"),
        ("unix+cluster:///tmp/x", "is none of"),
        ("rediss://a:1,b:1/0", "begin it with rediss+sentinel:// where they are Sentinels"),
        ("redis+sentinel://a:26379", "the master's name"),
        ("redis+sentinel://a:26379/front/one", "the number of a database"),
        ("redis+sentinel://a,,b/front", "one of its hosts is empty or wrong"),
        ("redis+cluster://a:port", "one of its hosts is empty or wrong"),
        ("redis+cluster://a:1/2", "a cluster has no databases"),
        ("redis+cluster://a:1?sentinel_password=x", "of a cluster neither"),
        ("redis+sentinel://a:1/front?sentinel_ssl=x", "sentinel_username and sentinel_password"),
        ("redis+sentinel://a:1/front?foo=1", "foo"),
        ("redis+cluster://a:1?foo=1", "foo"),
    ],
)
def test_a_wrong_address_says_how_it_is_right(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL") as refused:
        redis_client(url, 1)
    assert said in str(refused.value)


def test_no_password_is_in_a_log() -> None:
    said = redact("redis+sentinel://keel:s3cret-one@a:1,b:1/front?sentinel_username=keel&sentinel_password=s3cret-two")
    assert "s3cret" not in said
    assert "a:1,b:1/front" in said


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no Redis that hangs: in 100 ms it may not get to answer."""
    monkeypatch.setattr(throttling, "REDIS_WAIT_S", PATIENCE_S)


async def refused_by(throttles: list[Throttle], key_id: int) -> list[bool]:
    """Whether each refuses eight items of a key that may send two a second."""
    found = []
    for throttle in throttles:
        try:
            await throttle.admit(key_id, 8, 2)
            found.append(False)
        except ApiError:
            found.append(True)
    return found


async def counted_together(throttles: list[Throttle], key_id: int) -> None:
    """Until one refuses what the other has let in: a Sentinel may hold the new master for down a moment longer.

    Each try is of a key of its own, from `key_id` on.
    """
    for each in range(key_id, key_id + 100):
        for throttle in throttles:
            throttle._redis_from = 0.0  # what it waits after a failure
        if await refused_by(throttles, each) == [False, True]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("each counts by itself")


class Pair:
    """Two processes' ends of the bus, which hear each other through Redis only."""

    def __init__(self, url: str) -> None:
        self.db = Database("postgresql://nobody@127.0.0.1:1/nothing")
        self.ends = [Bus(self.db, url), Bus(self.db, url)]
        self.heard: list[int] = []

    async def __aenter__(self) -> Pair:
        self.ends[1].subscribe("picture", self.heard.append)
        for end in self.ends:
            end.start()
        await until(self.well, "Redis")
        return self

    def well(self) -> bool:
        return all(end.redis_ok for end in self.ends)

    async def carry(self, number: int) -> None:
        """Publish until it is heard: what is sent while somebody subscribes is lost."""
        begun = asyncio.get_running_loop().time()
        while number not in self.heard:
            assert asyncio.get_running_loop().time() < begun + 60, f"{number} was not heard"
            if self.ends[0].redis_ok:
                await self.ends[0].publish("picture", number)
            await asyncio.sleep(0.05)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(end.close() for end in self.ends))
        await self.db.close()


@pytest.mark.gen_test
async def test_a_failover_by_sentinel_while_signals_and_limits_go_through_it(made: Servers) -> None:
    master, sentinel = with_sentinel(made)
    url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel}/{SERVICE}"  # the first of the Sentinels is down
    throttles = [Throttle(url), Throttle(url)]
    async with Pair(url) as pair:
        await pair.carry(1)
        assert await refused_by(throttles, 1) == [False, True]
        made.end(master)
        await until(lambda: not pair.well(), "the loss to be seen")
        assert (await refused_by(throttles, 2))[0] is False  # each counts by itself meanwhile
        await until(pair.well, "the new master")
        await pair.carry(2)
        await counted_together(throttles, 3)
    for throttle in throttles:
        await throttle.close()


@pytest.mark.soak  # Sentinel tells the old master 10 s later
@pytest.mark.gen_test
async def test_a_planned_failover_goes_unnoticed_or_nearly_so(made: Servers) -> None:
    """Also where the old master lives on, as a replica, where nothing can be written."""
    master, sentinel = with_sentinel(made)
    url = f"redis+sentinel://127.0.0.1:{sentinel}/{SERVICE}"
    throttles = [Throttle(url), Throttle(url)]
    async with Pair(url) as pair:
        assert await refused_by(throttles, 1) == [False, True]
        with blocking.Redis(port=sentinel) as asking, blocking.Redis(port=master) as old:
            asking.execute_command("SENTINEL FAILOVER", SERVICE)
            await until(lambda: old.info("replication")["role"] == "slave", "the old master to follow")
        await until(pair.well, "the new master")
        await pair.carry(1)
        await counted_together(throttles, 3)
    for throttle in throttles:
        await throttle.close()


@pytest.mark.gen_test
async def test_a_master_that_hangs_is_left(
    made: Servers, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen, its connections stay open: who hears nothing asks, and is answered by the new master."""
    monkeypatch.setattr(bus, "ALIVE_S", 1.0)
    master, sentinel = with_sentinel(made)
    async with Pair(f"redis+sentinel://127.0.0.1:{sentinel}/{SERVICE}") as pair:
        os.kill(made.running[master].pid, signal.SIGSTOP)
        await until(lambda: "did not answer within 2 s" in caplog.text, "the silence to be seen")
        await until(pair.well, "the new master")
        await pair.carry(1)


@pytest.mark.gen_test
async def test_a_cluster_carries_signals_and_counts_each_key_where_its_slot_is(
    made: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    ports = cluster_of(made)
    url = f"redis+cluster://127.0.0.1:1,127.0.0.1:{ports[0]}"
    throttles = [Throttle(url), Throttle(url)]
    async with Pair(url) as pair:
        await pair.carry(1)
        for key_id in range(8):
            assert await refused_by(throttles, key_id) == [False, True]
            await throttles[0].give_back(key_id, 8, Quota(2, 0.0))
            assert await refused_by(throttles[1:], key_id) == [False]
    for port in ports:
        with blocking.Redis(port=port) as node:
            assert node.keys("evenkeel:throttle:*"), "each node has some of the keys"
    single = Throttle(f"redis://127.0.0.1:{ports[0]}")
    with caplog.at_level(logging.WARNING):
        for key_id in range(8, 16):
            single._redis_from = 0.0
            await single.admit(key_id, 1, 2)
    assert "begin it with redis+cluster://" in caplog.text
    for throttle in (*throttles, single):
        await throttle.close()


@pytest.mark.gen_test
async def test_a_master_that_no_sentinel_knows_is_named(made: Servers) -> None:
    sentinel = made.start(configuration="")
    client = redis_client(f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel}/front", 1)
    with pytest.raises(redis.ConnectionError) as refused:
        await client.ping()
    assert lost(refused.value) == (
        "no Sentinel says where the master front is. "
        f"127.0.0.1:1: Error 111 connecting to 127.0.0.1:1. Connect call failed ('127.0.0.1', 1).; "
        f"127.0.0.1:{sentinel}: knows no such master"
    )
    await client.aclose()
