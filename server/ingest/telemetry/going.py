"""Bodies that are being stored, and go on where their sender was told to try again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple, TypeVar

from server.kernel.errors import ApiError

T = TypeVar("T")

ANSWER_S = 1.7  # then the sender is told to try again; what was begun goes on, and is known when it does
ONCE = "it is counted once."
ONCE_IF_TIMED = (  # else nobody can tell it from another one, once it is stored
    "until it is stored that changes nothing; from then on it counts a second time where its lines have no exact times."
)


class Going(NamedTuple):
    """A body that is being stored: whose, where it was sent, and its digest."""

    key_id: int
    path: str
    digest: bytes


going: dict[Going, asyncio.Task[Any]] = {}


def going_on(known_by: Going, store: Callable[[], Coroutine[Any, Any, T]]) -> tuple[asyncio.Task[T], bool]:
    """The storing of a body, and whether it had begun: sent again meanwhile, one of them is work enough."""
    storing = going.get(known_by)
    if storing is not None:
        return storing, True
    storing = going[known_by] = asyncio.create_task(store())
    storing.add_done_callback(partial(ended, known_by))
    return storing, False


async def in_time(storing: asyncio.Task[T], seconds: float, again: str = ONCE) -> T:
    """What comes of it within so many seconds; ApiError UNAVAILABLE where it goes on. `again` says what becomes of the
    same body that comes again."""
    await asyncio.wait({storing}, timeout=seconds)
    if not storing.done():
        raise ApiError("UNAVAILABLE", f"It is not stored yet, and goes on. Send it again: {again}", retry_after=1)
    return storing.result()


def ended(known_by: Going, storing: asyncio.Task[Any]) -> None:
    """What went on has ended; its error was told, or its sender comes again."""
    going.pop(known_by, None)
    if not storing.cancelled():
        storing.exception()
