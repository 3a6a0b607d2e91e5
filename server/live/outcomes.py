"""Raw outcomes: by request id, and page by page, newest first."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.errors import invalid
from server.live import outcome_store as store
from server.live.answers import OutcomeAnswer, Outcomes
from server.live.outcome_store import Filter, Found, Place

SAME_ID = 100  # outcomes of one request id that are shown at most


async def outcomes_by_request_id(connection: AsyncConnection, request_id: str) -> list[OutcomeAnswer]:
    """The outcomes that carry a request id, newest first, 100 at most."""
    return [found.outcome for found in await store.by_request_id(connection, request_id, SAME_ID)]


async def outcomes(connection: AsyncConnection, wanted: Filter, cursor: str | None, limit: int) -> Outcomes:
    """One page; ApiError 422 where the cursor is not one of ours."""
    after = None if cursor is None else read_cursor(cursor)
    seen = after.seen if after else 0
    found = await store.newest(connection, wanted, after, seen + limit + 1)
    page = found[seen : seen + limit]
    more = len(found) > seen + limit
    return Outcomes([each.outcome for each in page], write_cursor(place(found[: seen + limit])) if more else None)


def place(read: Sequence[Found]) -> Place:
    """The place after what was read: how many at its end are of the same time, series and request id."""
    last = read[-1]
    seen = 0
    for each in reversed(read):
        if key(each) != key(last):
            break
        seen += 1
    return Place(*key(last), seen)


def key(found: Found) -> tuple[datetime, int, str]:
    return found.outcome.timestamp, found.series_id, found.outcome.request_id


def write_cursor(after: Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(after)).decode().rstrip("=")


def read_cursor(cursor: str) -> Place:
    """A cursor's place; ApiError 422 where it is not one of ours."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=Place)
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise invalid("cursor", "is not a cursor of an earlier answer; leave it out to begin anew") from error
