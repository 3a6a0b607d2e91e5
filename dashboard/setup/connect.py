"""Setup, Connect: what came in by each receiver within the hour, what was refused and why, and how to send."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby

from msgspec import Struct

from dashboard.setup.ways import WayIn, ways
from dashboard.shared.live import Ask, LivePage, live_page
from dashboard.shared.memo import Memo
from dashboard.shared.page import Page
from server.ingest import received_store
from server.ingest.received import ABANDONED, SET_ASIDE
from server.ingest.received_store import ReceivedSum
from server.ingest.tally import ACCEPTED
from server.kernel import shared_clock
from server.kernel.errors import CODES
from server.parts import Parts
from server.routes import API

HOUR_S = 3600
TELLS = 5  # reasons of a receiver


class RefusedLine(Struct):
    """What one receiver refused of one key for one reason."""

    title: str
    code: str
    key: str  # '': none, or no valid one
    n: int  # items; requests where they could not be counted
    said: str
    at: datetime


class ReceiverLine(Struct):
    """What came in by one receiver within the hour."""

    name: str
    at: datetime  # of the newest
    requests: int  # that were taken
    items: int
    refused: int
    abandoned: int
    keys: list[str]  # that were taken, most items first
    refusals: list[RefusedLine]  # most first, then what was set aside


class ReceiversView(Struct):
    """None: it cannot be read just now."""

    lines: list[ReceiverLine] | None
    silent: list[str]  # the names of the others


class ConnectView(Struct):
    """What to copy, of each way that this version has."""

    ways: list[WayIn]
    url: str


async def read(parts: Parts) -> list[ReceivedSum]:
    async with parts.db.ask() as connection:
        return await received_store.since(connection, shared_clock.now() - HOUR_S)


RECEIVED = Memo(read, kept_s=2)


async def receivers_view(parts: Parts, ask: Ask, now: float) -> ReceiversView:
    """What came in as it was read a moment ago."""
    sums = await RECEIVED.get(parts)
    if sums is None:
        return ReceiversView(None, [])
    lines = receiver_lines(sums)
    seen = {line.name for line in lines}
    receivers = {str(getattr(route.handler, "receiver", "")) for route in API} - {""}
    return ReceiversView(lines, sorted(receivers - seen))


def receiver_lines(sums: Iterable[ReceivedSum]) -> list[ReceiverLine]:
    """A line a receiver, the one heard of last first."""
    by_name = sorted(sums, key=lambda one: one.receiver)
    lines = [line_of(name, list(found)) for name, found in groupby(by_name, key=lambda one: one.receiver)]
    return sorted(lines, key=lambda line: line.at, reverse=True)


def line_of(name: str, sums: list[ReceivedSum]) -> ReceiverLine:
    taken = sorted((one for one in sums if one.reason == ACCEPTED), key=lambda one: -one.items)
    refused = [one for one in sums if one.reason not in (ACCEPTED, ABANDONED)]
    told = sorted((refused_line(one) for one in refused), key=lambda one: (one.code in SET_ASIDE, -one.n))
    return ReceiverLine(
        name=name,
        at=max(one.at for one in sums),
        requests=sum(one.requests for one in taken),
        items=sum(one.items for one in taken),
        refused=sum(one.n for one in told if one.code not in SET_ASIDE),
        abandoned=sum(one.items for one in sums if one.reason == ABANDONED),
        keys=[one.key for one in taken if one.key],
        refusals=told[:TELLS],
    )


def refused_line(one: ReceivedSum) -> RefusedLine:
    title = CODES[one.reason][1] if one.reason in CODES else one.reason
    if one.reason in SET_ASIDE:
        title = "Set aside, no refusal"
    return RefusedLine(title, one.reason, one.key, max(one.items, one.requests), one.said, one.at)


CONNECT = live_page(
    LivePage(
        name="connect",
        template="setup/connect.html",
        context=receivers_view,
        regions={"received": "setup/received.html"},
        title="Connect · Evenkeel",
    )
)


class ConnectPage(Page):
    """GET /setup/connect."""

    async def get(self) -> None:
        beside = ConnectView(ways({route.path for route in API}), self.parts.env.public_url)
        await self.show_live(CONNECT, beside=beside)
