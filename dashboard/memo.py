"""What a live page reads from the database: at most every few seconds, and never waited for long.

A page is remade each second. With the database slow or away it must go on: then
the last known value is shown, or None where there is none.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from server.errors import ApiError
from server.parts import Parts

T = TypeVar("T")

log = logging.getLogger("evenkeel.pages")

PATIENCE_S = 1.0  # well under the 3 s after which a page calls itself stale


class Memo(Generic[T]):
    """One value of this process, read anew when `key` changes, else every `kept_s` in the background."""

    def __init__(self, load: Callable[[Parts], Awaitable[T]], kept_s: float) -> None:
        self._load = load
        self._kept_s = kept_s
        self._parts: Parts | None = None
        self._key: object = None
        self._value: T | None = None
        self._tried = 0.0
        self._task: asyncio.Task[None] | None = None

    async def get(self, parts: Parts, key: object = None) -> T | None:
        """The value; None where it could not be read yet."""
        if parts is not self._parts:
            self._parts, self._value, self._task, self._tried = parts, None, None, 0.0
        changed = self._value is None or key != self._key
        due = time.monotonic() - self._tried >= self._kept_s
        if self._task is None and (due or (changed and key != self._key)):
            self._tried = time.monotonic()
            self._task = asyncio.create_task(self._read(parts, key))
        if changed and self._task is not None:
            await asyncio.wait((self._task,), timeout=PATIENCE_S)
        return self._value

    async def _read(self, parts: Parts, key: object) -> None:
        try:
            value = await self._load(parts)
            if parts is self._parts:
                self._value, self._key = value, key
        except (SQLAlchemyError, OSError, TimeoutError, ApiError) as error:
            log.warning("a page shows what was known before: %s", str(error).splitlines()[0])
        finally:
            if parts is self._parts:
                self._task = None
