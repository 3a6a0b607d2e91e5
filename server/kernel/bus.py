"""Small signals between processes: Redis pub/sub, else PostgreSQL NOTIFY.

A signal only saves waiting: it carries a topic and a number, it may be lost, and
whoever listens also polls. Topics: `config` (revision number), `receipt`
(revision number), `picture` (sequence), `alerts` (an alert, 0: a silence),
`keys` and `sessions` (0: something was revoked), `policy` (revision number),
`notify` (0: something is to be sent), `incidents` (an incident), `changes` (a change),
`routes` (0: patterns of routes).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import psycopg

from server.kernel.connection import OwnConnection, notified, opened
from server.kernel.db import Database, pooled
from server.kernel.loop import Loop
from server.kernel.names import HOST
from server.kernel.redis_client import FAILURES, RedisTrouble, lost, redis_client, trouble_of

log = logging.getLogger("evenkeel.bus")

CHANNEL = "evenkeel"
RETRY_S = 1.0
ALIVE_S = 5.0  # silent for so long, it is asked
ANSWER_S = 2.0
SEND_S = 2.0
REDIS_S = 0.25  # a frozen Redis costs a signal no more than this
ASKED_S = 5.0  # between two questions whether Redis takes what is written to it, and in time

# The brake must arrive while Redis is frozen, or lost to some processes only; it is rare, so it may come twice.
BOTH_ROADS = frozenset({"config"})

Listener = Callable[[int], None]


class RedisLost(OSError):
    """Redis does not answer; says why, and where it is known how to mend that."""


class Bus:
    """One process's end of the bus. `start` inside the loop; `close` there."""

    def __init__(self, db: Database, redis_url: str | None) -> None:
        self.db = db
        self.redis = redis_client(redis_url, ANSWER_S) if redis_url else None
        self.redis_ok: bool | None = None  # None: no Redis is configured
        self.listening = False
        self.polls = False  # by its configuration: behind a pooler nothing is heard
        self._asked: RedisTrouble | None = None  # what the last question found
        self._deaf_since = time.monotonic()  # where nothing is heard
        self._listeners: dict[str, list[Listener]] = {}
        self._sender = OwnConnection(db, "bus send")
        self._hear_postgres = Loop("hearing PostgreSQL's signals", self._listen_postgres, RETRY_S)
        self._hear_redis = Loop("Redis", self._listen_redis, RETRY_S, expected=(OSError,))
        self._ask_redis = Loop("asking Redis", self._ask, ASKED_S)

    @property
    def redis_trouble(self) -> RedisTrouble | None:
        """What Redis is; None: it works, or none is configured."""
        return self._asked or ("lost" if self.redis_ok is False else None)

    @property
    def deaf_s(self) -> float:
        """For how long this process has heard of no signal, by whichever road; 0 where it hears, or is to poll."""
        hears = self.listening or self.redis_ok or (self.polls and self.redis is None)
        return 0.0 if hears else time.monotonic() - self._deaf_since

    def subscribe(self, topic: str, listener: Listener) -> Callable[[], None]:
        """Call `listener(number)` in the loop for each signal on the topic; it must not block. Answers the call that
        ends the subscription."""
        heard = self._listeners.setdefault(topic, [])
        heard.append(listener)
        return lambda: heard.remove(listener)

    def start(self) -> None:
        """Listen until closed. With Redis lost, NOTIFY carries the signals: both are heard."""
        self._hear_postgres.wake()
        self._hear_postgres.start()
        if self.redis is not None:
            self.redis_ok = False
            self._hear_redis.wake()
            self._hear_redis.start()
            self._ask_redis.start()

    async def publish(self, topic: str, number: int) -> None:
        """Send a signal, after the commit it speaks of. Never raises: a lost signal is found by polling."""
        message = f"{topic} {number}"
        if topic in BOTH_ROADS:
            await asyncio.gather(self._by_redis(message), self._by_postgres(message))
        elif not await self._by_redis(message):
            await self._by_postgres(message)

    async def _by_redis(self, message: str) -> bool:
        """Whether Redis took it."""
        if self.redis is None or not self.redis_ok:
            return False
        try:
            async with asyncio.timeout(REDIS_S):
                await self.redis.publish(CHANNEL, message)
            return True
        except FAILURES as error:
            self._redis_lost()
            log.warning("Redis lost while sending a signal: %s", lost(error))
            return False

    async def _by_postgres(self, message: str) -> None:
        try:
            async with self._sender.use(SEND_S) as connection:
                await connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, message))
        except (psycopg.Error, OSError, TimeoutError) as error:
            log.warning("signal %s not sent, polling will find it: %s", message, error)

    async def _listen_postgres(self) -> None:
        try:
            async with opened(self.db, "bus") as connection:
                self.polls = pooled(connection)
                if self.polls:
                    self._hear_postgres.works()
                    await self._poll()
                await connection.execute(f"LISTEN {CHANNEL}")
                self.listening = True
                self._hear_postgres.works()
                # what comes with the answer to something else:
                connection.add_notify_handler(lambda notice: self._dispatch(notice.payload))
                while True:
                    heard = await notified(connection, ALIVE_S)
                    for message in heard:
                        self._dispatch(message)
                    if not heard:
                        await connection.execute("SELECT 1")  # finds a dead server
        finally:
            self._deaf_since = time.monotonic() if self.listening else self._deaf_since
            self.listening = False

    async def _poll(self) -> None:
        """Behind a pooler LISTEN hears nothing, and says nothing of it: leave it to those who poll."""
        if self.redis is None:
            log.warning(
                "DATABASE_URL leads through a pooler, where signals do not arrive: this process polls, and changes "
                "take up to 5 s. DATABASE_DIRECT_URL, the same database around the pooler, brings them at once."
            )
        await asyncio.Event().wait()

    async def _listen_redis(self) -> None:
        try:
            await self._hear()
        except FAILURES as error:
            raise RedisLost(lost(error)) from error

    async def _hear(self) -> None:
        """The connection that hears is itself the one that is asked: after a failover others may lead elsewhere."""
        assert self.redis is not None
        channel = None
        try:
            async with asyncio.timeout(ANSWER_S):
                await self.redis.initialize()
                channel = self.redis.pubsub(ignore_subscribe_messages=True)
                await channel.subscribe(CHANNEL)
            self.redis_ok = True
            self._hear_redis.works()
            self._ask_redis.wake()
            quiet_s = 0.0
            while quiet_s < ALIVE_S + ANSWER_S:
                message = await channel.get_message(timeout=1.0)
                quiet_s = 0.0 if message else quiet_s + 1.0
                if quiet_s == ALIVE_S:
                    async with asyncio.timeout(ANSWER_S):
                        await channel.ping()
                if message:
                    self.redis_ok = True  # again, where only a sending had failed
                    if message["type"] == "message":
                        self._dispatch(message["data"].decode(errors="replace"))  # anybody may publish there
            raise RedisLost(f"it did not answer within {ANSWER_S:.0f} s")
        finally:
            self._redis_lost()
            if channel is not None:
                await channel.aclose()  # type: ignore[no-untyped-call]
            await self.redis.aclose()  # who is master, or has what in a cluster, is asked anew

    def _redis_lost(self) -> None:
        self._deaf_since = time.monotonic() if self.redis_ok else self._deaf_since
        self.redis_ok = False
        self._ask_redis.wake()

    async def _ask(self) -> None:
        """Whether Redis takes a write, as limits on rate need it, and how soon."""
        assert self.redis is not None
        began = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_S):
                await self.redis.set(f"evenkeel:asked:{HOST}", 1, px=int(ASKED_S * 1000))
        except FAILURES as error:
            self._asked = trouble_of(error)
        else:
            self._asked = "slow" if time.monotonic() - began > REDIS_S else None

    def _dispatch(self, message: str) -> None:
        topic, _, number = message.partition(" ")
        for listener in tuple(self._listeners.get(topic, ())):
            try:
                listener(int(number))
            except Exception:
                log.exception("listener for %s failed", topic)

    async def close(self) -> None:
        """Stop listening and close every connection."""
        await asyncio.gather(self._hear_postgres.close(), self._hear_redis.close(), self._ask_redis.close())
        await self._sender.close()
        if self.redis is not None:
            await self.redis.aclose()
