"""Items per second for a key: shared between processes where there is Redis, else per process.

Formula: GCRA with debt. A key's credit time rises by items / rate with each batch;
a batch is taken while the credit time is at most one second ahead of now, so that
batches larger than the rate still pass and the mean over time is exact.

What a key may still send is told as in draft-ietf-httpapi-ratelimit-headers-11.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import Any, NamedTuple

from server.kernel.errors import ApiError
from server.kernel.redis_client import FAILURES, lost, redis_client

log = logging.getLogger("evenkeel.throttle")

BURST_S = 1.0
REDIS_WAIT_S = 0.1
REACH_S = 2.0  # to connect, and to ask who is master; a request waits for that no longer than for an answer
REDIS_PAUSE_S = 1.0  # without it, after it has failed
KEYS_MAX = 10_000
POLICY = "items-per-second"

# The credit time in Redis, by Redis's own clock; answers by how many seconds it is ahead, and whether it was taken.
SCRIPT = """
local now = redis.call('TIME')
local t = now[1] + now[2] / 1000000
local credit = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), t)
if credit - t > tonumber(ARGV[2]) then return {tostring(credit - t), 0} end
credit = credit + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.6f', credit), 'PX', math.ceil((credit - t) * 1000) + 1000)
return {tostring(credit - t), 1}
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
return {tostring(math.max(credit - t, 0)), 1}
"""


class Quota(NamedTuple):
    """How a key stands to its limit. It is met while `ahead_s`, by which its credit time is ahead, is below BURST_S."""

    per_second: int  # items
    ahead_s: float

    @property
    def wait_s(self) -> int:
        """Whole seconds until more may be sent."""
        return max(1, math.ceil(self.ahead_s - BURST_S))

    @property
    def headers(self) -> dict[str, str]:
        """The answer's: a policy of so many items in a second, what is left of it, and when there is more."""
        left = max(0, math.floor((BURST_S - self.ahead_s) * self.per_second))
        return {
            "RateLimit-Policy": f'"{POLICY}";q={self.per_second};qu="items";w={BURST_S:g}',
            "RateLimit": f'"{POLICY}";r={left};t={self.wait_s}',
        }


class Throttled(ApiError):
    """503 THROTTLED, which says how the key stands."""

    def __init__(self, quota: Quota, items: int) -> None:
        detail = f"This key may send {quota.per_second} items per second. Nothing was stored: send them later."
        super().__init__("THROTTLED", detail, retry_after=quota.wait_s, limit=quota.per_second, sent=items)
        self.quota = quota


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
        self._lost = False  # said so already
        self._reaching: asyncio.Task[bool] | None = None  # answers whether it was reached
        self._credit: dict[int, float] = {}  # by key, monotonic

    async def admit(self, key_id: int, items: int, per_second: int) -> Quota:
        """Take `items` of the key's rate, which is above 0; how it stands then. Raises Throttled."""
        stands = await self._shared(self._take, key_id, items / per_second)
        if stands is None:
            stands = self._local(key_id, items / per_second, time.monotonic())
        ahead_s, taken = stands
        if not taken:
            raise Throttled(Quota(per_second, ahead_s), items)
        return Quota(per_second, ahead_s)

    async def give_back(self, key_id: int, items: int, quota: Quota) -> Quota:
        """What `admit` took: nothing came of it; how the key stands then."""
        cost_s = items / quota.per_second
        if await self._shared(self._give_back, key_id, cost_s) is None and key_id in self._credit:
            self._credit[key_id] -= cost_s
        return quota._replace(ahead_s=max(0.0, quota.ahead_s - cost_s))

    async def _shared(self, script: Any, key_id: int, cost_s: float) -> tuple[float, bool] | None:
        """By how much the shared credit time is ahead, and whether it was taken; None where Redis cannot be asked."""
        if self._redis is None or time.monotonic() < self._redis_from:
            return None
        if not await self._reached():
            return None
        try:
            async with asyncio.timeout(REDIS_WAIT_S):
                # One key a script: a cluster counts each at the node that has its slot.
                ahead_s, taken = await script(keys=[f"evenkeel:throttle:{key_id}"], args=[f"{cost_s:.9f}", BURST_S])
        except FAILURES as error:
            self._lose(error)
            return None
        self._lost = False
        return float(ahead_s), bool(taken)

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
        if not self._lost:
            log.warning("Redis lost, throttling per process: %s", lost(error))
        self._lost = True

    def _local(self, key_id: int, cost_s: float, now: float) -> tuple[float, bool]:
        credit = max(self._credit.get(key_id, 0.0), now)
        if credit - now > BURST_S:
            return credit - now, False
        if len(self._credit) >= KEYS_MAX:
            self._credit = {key: at for key, at in self._credit.items() if at > now}
        self._credit[key_id] = credit + cost_s
        return credit + cost_s - now, True

    async def close(self) -> None:
        if self._reaching is not None:
            self._reaching.cancel()
        if self._redis is not None:
            await self._redis.aclose()
