"""Raw outcomes: by request id, and page by page, newest first."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.errors import invalid
from server.kernel.times import utc
from server.live import outcome_store as store
from server.live.answers import OutcomeAnswer, Outcomes
from server.live.outcome_store import Filter, Found, Place

SAME_ID = 100  # outcomes of one request id that are shown at most


async def outcomes_by_request_id(
    connection: AsyncConnection, request_id: str, rows: AsyncConnection | None = None, but: Sequence[str] = ()
) -> list[OutcomeAnswer]:
    """The outcomes that carry a request id or trace id, and none of `but`, newest first, 100 at most.

    `rows`: where outcomes are, if elsewhere.
    """
    return [found.outcome for found in await store.by_request_id(connection, request_id, SAME_ID, rows, but)]


async def outcomes(
    connection: AsyncConnection, wanted: Filter, cursor: str | None, limit: int, rows: AsyncConnection | None = None
) -> Outcomes:
    """One page; ApiError 422 where the cursor is not one of ours."""
    after = None if cursor is None else read_cursor(cursor)
    seen = after.seen if after else 0
    found = await store.newest(connection, wanted, after, seen + limit + 1, rows)
    page = found[seen : seen + limit]
    more = len(found) > seen + limit
    return Outcomes([each.outcome for each in page], write_cursor(place(found[: seen + limit])) if more else None)


FAILING_S = 900  # looked back for what fails: as far as is counted by the second
FAILING_MOST = 500  # of the newest
SHARED_MOST = 3  # values told of a field
SHARED = ("error_class", "dependency", "client", "instance", "version", "route", "status")


class SharedValue(Struct):
    """A value that failing requests have, and how many of them."""

    value: str
    n: int


class FailingRequests(Struct):
    """The newest failing requests of a service: how many those stand for that were read, what they share, and the
    requests themselves."""

    read: int
    shared: dict[str, list[SharedValue]]  # by field, where any has a value: most first, three at most
    newest: list[OutcomeAnswer]


async def failing_requests(
    connection: AsyncConnection,
    service: str,
    now: float,
    over_ms: float | None = None,
    rows: AsyncConnection | None = None,
) -> FailingRequests:
    """What the failing requests of the last 15 minutes share; with `over_ms` those that took longer instead."""
    found = await store.newest_failing(connection, service, utc(now - FAILING_S), over_ms, FAILING_MOST, rows=rows)
    return FailingRequests(sum(one.weight for one in found), shared_values(found), found[:5])


def shared_values(found: Sequence[OutcomeAnswer]) -> dict[str, list[SharedValue]]:
    """What outcomes have in common, by field."""
    counted: dict[str, Counter[str]] = {field: Counter() for field in SHARED}
    for field, values in counted.items():
        for each in found:
            values[str(getattr(each, field) or "")] += each.weight
    return {
        field: [SharedValue(value, n) for value, n in values.most_common(SHARED_MOST + 1) if value][:SHARED_MOST]
        for field, values in counted.items()
        if any(values)
    }


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
