"""Items per second for a key: shared between processes where there is Redis, else per process.

Formula: GCRA with debt. A key's credit time rises by items / rate with each batch;
a batch is taken while the credit time is at most one second ahead of now, so that
batches larger than the rate still pass and the mean over time is exact.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import Any

from server.kernel.errors import ApiError
from server.kernel.redis_client import FAILURES, lost, redis_client

log = logging.getLogger("evenkeel.throttle")

BURST_S = 1.0
REDIS_WAIT_S = 0.1
REACH_S = 2.0  # to connect, and to ask who is master; a request waits for that no longer than for an answer
REDIS_PAUSE_S = 1.0  # without it, after it has failed
KEYS_MAX = 10_000

# The credit time in Redis, by Redis's own clock; answers the seconds to wait, 0 where it was taken.
SCRIPT = """
local now = redis.call('TIME')
local t = now[1] + now[2] / 1000000
local credit = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), t)
local wait = credit - t - tonumber(ARGV[2])
if wait > 0 then return tostring(wait) end
credit = credit + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.6f', credit), 'PX', math.ceil((credit - t) * 1000) + 1000)
return '0'
"""


GIVE_BACK = """
local now = redis.call('TIME')
local t = now[1] + now[2] / 1000000
local credit = tonumber(redis.call('GET', KEYS[1]) or '0') - tonumber(ARGV[1])
if credit <= t then
    redis.call('DEL', KEYS[1])
else
    redis.call('SET', KEYS[1], string.format('%.6f', credit), 'PX', math.ceil((credit - t) * 1000) + 1000)
end
return '0'
"""


class Throttle:
    """Asked only for keys that have a limit."""

    def __init__(self, redis_url: str | None) -> None:
        self._redis: Any = None
        self._take: Any = None
        self._give_back: Any = None
        if redis_url:
            self._redis = redis_client(redis_url, REACH_S)
            self._take = self._redis.register_script(SCRIPT)
            self._give_back = self._redis.register_script(GIVE_BACK)
        self._redis_from = 0.0  # monotonic: not asked before
        self._reaching: asyncio.Task[bool] | None = None  # answers whether it was reached
        self._credit: dict[int, float] = {}  # by key, monotonic

    async def admit(self, key_id: int, items: int, per_second: int) -> None:
        """Take `items` of the key's rate; raises ApiError THROTTLED. 0 per second: no limit."""
        if per_second <= 0:
            return
        wait_s = await self._shared(self._take, key_id, items / per_second)
        if wait_s is None:
            wait_s = self._local(key_id, items / per_second, time.monotonic())
        if wait_s > 0:
            raise ApiError(
                "THROTTLED",
                f"This key may send {per_second} items per second. Nothing was stored: send them later.",
                retry_after=math.ceil(wait_s),
                limit=per_second,
                sent=items,
            )

    async def give_back(self, key_id: int, items: int, per_second: int) -> None:
        """What `admit` took: nothing came of it."""
        cost_s = items / per_second if per_second > 0 else 0.0
        if cost_s and await self._shared(self._give_back, key_id, cost_s) is None and key_id in self._credit:
            self._credit[key_id] -= cost_s

    async def _shared(self, script: Any, key_id: int, cost_s: float) -> float | None:
        """Seconds to wait by the shared count; None where Redis cannot be asked."""
        if self._redis is None or time.monotonic() < self._redis_from:
            return None
        if not await self._reached():
            return None
        try:
            async with asyncio.timeout(REDIS_WAIT_S):
                # One key a script: a cluster counts each at the node that has its slot.
                return float(await script(keys=[f"evenkeel:throttle:{key_id}"], args=[f"{cost_s:.9f}", BURST_S]))
        except FAILURES as error:
            self._lose(error)
            return None

    async def _reached(self) -> bool:
        """Whether it can be asked. One request waits for it to be reached, and not for long; that goes on meanwhile."""
        if self._reaching is None:
            self._reaching = asyncio.create_task(self._reach())
            await asyncio.wait({self._reaching}, timeout=REDIS_WAIT_S)
        return self._reaching is not None and self._reaching.done() and self._reaching.result()

    async def _reach(self) -> bool:
        try:
            async with asyncio.timeout(REACH_S):
                await self._redis.initialize()
                await self._redis.ping()
        except FAILURES as error:
            self._lose(error)
            return False
        return True

    def _lose(self, error: BaseException) -> None:
        self._reaching = None
        self._redis_from = time.monotonic() + REDIS_PAUSE_S
        log.warning("Redis lost, throttling per process: %s", lost(error))

    def _local(self, key_id: int, cost_s: float, now: float) -> float:
        credit = max(self._credit.get(key_id, 0.0), now)
        wait_s = credit - now - BURST_S
        if wait_s > 0:
            return wait_s
        if len(self._credit) >= KEYS_MAX:
            self._credit = {key: at for key, at in self._credit.items() if at > now}
        self._credit[key_id] = credit + cost_s
        return 0.0

    async def close(self) -> None:
        if self._reaching is not None:
            self._reaching.cancel()
        if self._redis is not None:
            await self._redis.aclose()
