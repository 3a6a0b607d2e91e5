"""What a live page reads from the database: at most every few seconds, and never waited for long.

A page is remade each second. With the database slow or away it must go on: then
the last known value is shown, or None where there is none.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from server.http.failures import as_api_error
from server.parts import Parts

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

log = logging.getLogger("evenkeel.pages")

PATIENCE_S = 1.0  # well under the 3 s after which a page calls itself stale
OLD_S = 15.0  # beyond what it is kept: nobody has looked meanwhile, and who looks now is not shown what was then
KEYS_MAX = 200


class Memo(Generic[T]):
    """One value of this process: read at once where `version` changed, else every `kept_s` in the background."""

    def __init__(self, load: Callable[[Parts], Awaitable[T]], kept_s: float) -> None:
        self._load = load
        self._kept_s = kept_s
        self._parts: Parts | None = None
        self._forget()

    def _forget(self) -> None:
        self._value: T | None = None
        self._version: object = None
        self._tried = float("-inf")  # monotonic
        self._task: asyncio.Task[None] | None = None

    async def get(self, parts: Parts, version: object = None) -> T | None:
        """The value; None where it could not be read yet."""
        if parts is not self._parts:
            self._parts = parts
            self._forget()
        other = version != self._version
        age = time.monotonic() - self._tried
        if self._task is None and (age >= self._kept_s or other):
            self._tried, self._version = time.monotonic(), version
            self._task = asyncio.create_task(self._read(parts))
        if self._task is not None and (self._value is None or other or age > self._kept_s + OLD_S):
            await asyncio.wait((self._task,), timeout=PATIENCE_S)
        return self._value

    async def first(self, parts: Parts, patience_s: float) -> None:
        """Wait so long for a first value, where none is known: what stands beside live regions is made only once."""
        if await self.get(parts, self._version) is None and self._task is not None:
            await asyncio.wait((self._task,), timeout=patience_s)

    async def _read(self, parts: Parts) -> None:
        try:
            value = await self._load(parts)
            if parts is self._parts:
                self._value = value
        except Exception as error:
            # The page goes on with what was known; a fault that is no outage is logged as one of ours.
            outage = as_api_error(error, 500).code == "UNAVAILABLE"
            log.warning("a page shows what was known before: %s", error, exc_info=not outage)
        finally:
            if parts is self._parts:
                self._task = None


class Memos(Generic[K, T]):
    """A Memo for each key; the one asked for longest ago makes room."""

    def __init__(self, load: Callable[[Parts, K], Awaitable[T]], kept_s: float) -> None:
        self._load = load
        self._kept_s = kept_s
        self._memos: dict[K, Memo[T]] = {}

    async def get(self, parts: Parts, key: K, version: object = None) -> T | None:
        """The value of the key; None where it could not be read yet."""
        return await self._of(key).get(parts, version)

    async def first(self, parts: Parts, key: K, patience_s: float) -> None:
        """Wait so long for the key's first value, where none is known."""
        await self._of(key).first(parts, patience_s)

    def _of(self, key: K) -> Memo[T]:
        memo = self._memos.pop(key, None) or Memo(lambda parts: self._load(parts, key), self._kept_s)
        self._memos[key] = memo
        if len(self._memos) > KEYS_MAX:
            del self._memos[next(iter(self._memos))]
        return memo

    def forget(self, key: K) -> None:
        """What an act of this process has just changed is read anew."""
        self._memos.pop(key, None)
