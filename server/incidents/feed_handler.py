"""GET /api/v1/incidents/{incident_id}/events: one incident as server-sent events, for tools."""

from __future__ import annotations

import asyncio
import contextlib
from typing import cast

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from server.http.operation import operation
from server.http.route import Route
from server.incidents.feed import Feed
from server.incidents.handlers import IncidentHandler, numbered
from server.kernel.errors import ApiError, invalid
from server.kernel.ids import number_in

STREAMS_MAX = 100  # of a process
CALLERS_MAX = 10  # of them one caller's
SLOW_S = 10.0  # a client that has not taken what was sent by then is dropped; it comes back with its last id


class EventsHandler(IncidentHandler):
    """One stream. It ends when the key is revoked, the process stops, or the client does not keep up."""

    counted = False
    feed: Feed | None = None

    @operation(
        "What happens in an incident, as server-sent events",
        scope="read",
        returns=str,
        media="text/event-stream",
        headers=("Last-Event-ID",),
        errors=("NOT_FOUND", "UNAVAILABLE"),
    )
    async def get(self, incident_id: str) -> None:
        """Without Last-Event-ID from the first entry, with it from the next one."""
        self.check_room()
        feed = self.feed = Feed(self.parts, numbered(incident_id), self.since())
        try:
            events = await feed.read()
            self.stream_headers()
            with contextlib.suppress(StreamClosedError):
                await self.send(feed, b"retry: 1000\n\n" + events)
        finally:
            feed.close()

    async def head(self, incident_id: str) -> None:
        """That there is a stream, and not the stream."""
        self.stream_headers()

    def stream_headers(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-store, no-transform")
        self.set_header("X-Accel-Buffering", "no")

    def since(self) -> int:
        """The id of the last entry that the client has; 0: none. ApiError INVALID."""
        text = self.request.headers.get("Last-Event-ID", "")
        number = number_in(text) if text else 0
        if number is None:
            raise invalid("Last-Event-ID", "is the id of an event of this stream, a number")
        return number

    def check_room(self) -> None:
        """ApiError UNAVAILABLE where as many are open as one process, or one caller, may have."""
        others = [one for one in self.parts.in_flight if isinstance(one, EventsHandler) and one.feed is not None]
        mine = [one for one in others if one.identity == self.identity]
        if len(others) >= STREAMS_MAX or len(mine) >= CALLERS_MAX:
            most = CALLERS_MAX if len(mine) >= CALLERS_MAX else STREAMS_MAX
            raise ApiError("UNAVAILABLE", f"{most} streams of events are open already: close one.", retry_after=5)

    async def send(self, feed: Feed, events: bytes) -> None:
        """Send what comes for as long as the client takes it and may have it."""
        while events:
            self.write(events)
            try:
                async with asyncio.timeout(SLOW_S):
                    await self.flush()
            except TimeoutError:
                cast(HTTP1Connection, self.request.connection).close()
                return
            events = await feed.next()
            if not await self.welcome():
                break
        await self.finish()

    async def welcome(self) -> bool:
        """Whether the key or the session is still one; while that cannot be asked, it is."""
        try:
            return await self.parts.auth.identify(self, allow_session=True) is not None
        except ApiError:
            return True

    def on_connection_close(self) -> None:
        """The client has gone: the stream makes room at once."""
        super().on_connection_close()
        if self.feed is not None:
            self.feed.end()


ROUTES: tuple[Route, ...] = (Route("/api/v1/incidents/{incident_id}/events", EventsHandler),)
