"""What a new limit would have refused in the last five minutes, and what the limits in force refuse.

From `intake`, so for every process and without looking at outcomes. Sizes are
exact to 1,024, then within 0.4 % (server/ingest/tally.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from server.config.registry import Counted
from server.ingest import preview_store as store
from server.ingest.preview_store import IntakeSlot, Offered, RefusedItems

__all__ = ["RefusalPreview", "RefusedItems", "effect", "preview"]

LOOKED_BACK_S = 300


@dataclass(frozen=True, slots=True)
class RefusalPreview:
    """What was offered and what of it would have been refused. `top_share`, from 0 to 1, is the part of the
    refused items that came from the key `top_key`; None where nothing would have been refused."""

    requests: int
    items: int
    refused_requests: int
    refused_items: int
    top_key: int | None
    top_share: float


async def preview(
    connection: AsyncConnection, counted: Counted, limit: int, key_id: int | None, now: float
) -> RefusalPreview:
    """For a limit on what is counted, of one key or (None) of all; `now` in Unix seconds."""
    return add_up(await OVER[counted](connection, now - LOOKED_BACK_S, key_id, limit))


async def over_rate(connection: AsyncConnection, since: float, key_id: int | None, limit: int) -> list[Offered]:
    """By key and slot, what came faster than the limit."""
    return [throttled(slot, limit) for slot in await store.slots(connection, since, key_id)]


OVER: Mapping[Counted, Callable[[AsyncConnection, float, int | None, int], Awaitable[list[Offered]]]] = {
    "bytes of a request": store.over_bytes,
    "items of a request": store.over_items,
    "items per second": over_rate,
}


async def effect(connection: AsyncConnection, now: float) -> list[RefusedItems]:
    """What was refused in the last five minutes, per reason and key, most items first."""
    return await store.refused(connection, now - LOOKED_BACK_S)


def throttled(slot: IntakeSlot, per_second: int) -> Offered:
    """One key's slot under a throttle, 0: none: what is over the rate, and as large a part of the requests."""
    over = max(0, slot.items - per_second * store.SLOT_S) if per_second else 0
    share = over / slot.items if slot.items else 0.0
    return Offered(slot.key_id, slot.requests, slot.items, round(slot.requests * share), over)


def add_up(offered: Iterable[Offered]) -> RefusalPreview:
    """The sum over keys and slots, and the key that would have been refused most."""
    requests = items = refused_requests = refused_items = 0
    by_key: dict[int, int] = {}
    for one in offered:
        requests += one.requests
        items += one.items
        refused_requests += one.refused_requests
        refused_items += one.refused_items
        by_key[one.key_id] = by_key.get(one.key_id, 0) + one.refused_items
    if not refused_items:
        return RefusalPreview(requests, items, refused_requests, 0, None, 0.0)
    top = max(by_key, key=lambda key: (by_key[key], -key))
    return RefusalPreview(requests, items, refused_requests, refused_items, top, by_key[top] / refused_items)
