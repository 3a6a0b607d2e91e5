"""Which key surges: it sends at least twice what it sent before, and most of what comes in more than before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from server.ingest import preview_store as store
from server.ingest.preview_store import SLOT_S, KeyRate

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

LATELY_S = 60
BEFORE_S = 600
TIMES = 2.0  # as much as before
MOST = 0.5  # of what comes in more
LEAST = 1.0  # items a second: what is less is no surge


async def rates(connection: AsyncConnection, now: float) -> list[KeyRate]:
    """What each key offers a second in the last minute, and in the ten before; `now` in Unix seconds."""
    until = int(now) // SLOT_S * SLOT_S
    return await store.rates(connection, until - LATELY_S - BEFORE_S, until - LATELY_S, until)


def surging(found: Sequence[KeyRate]) -> KeyRate | None:
    """The key that surges; None: none does."""
    more = {one: max(0.0, one.lately - one.before) for one in found}
    first = max(found, key=more.__getitem__, default=None)
    if first is None or first.lately < max(LEAST, TIMES * first.before):
        return None
    return first if more[first] >= MOST * sum(more.values()) else None
