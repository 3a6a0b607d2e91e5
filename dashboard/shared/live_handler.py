"""GET /live?page=NAME: the stream of one page, as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
from typing import cast

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from dashboard.shared.live import PAGES
from dashboard.shared.page import Page
from dashboard.shared.stream import Client, Hub
from server.kernel.errors import ApiError
from server.parts import Parts

COMMENT_S = 15.0  # a silence longer than a proxy's patience is broken by a comment
ENDED = b"event: ended\ndata: signed out\n\n"


class LiveHandler(Page):
    """One stream. It ends when the session is revoked, the process stops, or the client does not keep up."""

    counted = False
    leads_to_sign_in = False
    hub: Hub
    client: Client | None = None

    def initialize(self, parts: Parts, route: str = "", *, hub: Hub) -> None:  # type: ignore[override]
        super().initialize(parts, route)
        self.hub = hub

    async def admit(self) -> None:
        self.identity = await self.parts.auth.identify(self, allow_session=True)
        if self.identity is None or self.identity.kind != "person":
            raise ApiError("UNAUTHENTICATED", "Sign in to look. Streams are for people.")

    async def get(self) -> None:
        page = PAGES.get(self.get_query_argument("page", ""))
        if page is None:
            raise ApiError("NOT_FOUND", "There is no live page of that name.")
        assert self.identity is not None
        if page.needs not in self.identity.scopes:
            raise ApiError("FORBIDDEN", f"{self.identity.name} may not look at this; it needs {page.needs}.")
        ask = self.ask(page)
        await page.require(self.parts, ask)
        client = self.client = Client(self.identity, self.drop)
        leave = self.hub.join(page, ask, client, self.since())
        forget = self.parts.auth.on_revoked(self.identity.session_id, lambda _: client.end("signed out"))
        self.stream_headers()
        try:
            with contextlib.suppress(StreamClosedError):
                await self.send(client)
        finally:
            leave()
            forget()

    async def head(self) -> None:
        """That there is a stream, and not the stream."""
        self.stream_headers()

    def stream_headers(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache, no-transform")
        self.set_header("X-Accel-Buffering", "no")

    async def send(self, client: Client) -> None:
        """Events as they come; a comment where none comes. `flush` waits for the client, so its queue can fill."""
        self.write(b"retry: 1000\n\n")
        await self.flush()
        while not client.ended:
            try:
                async with asyncio.timeout(COMMENT_S):
                    event = await client.queue.get()
            except TimeoutError:
                event = b": still here\n\n"
            if client.ended:
                break
            self.write(event)
            await self.flush()
        if client.ended == "signed out":
            self.write(ENDED)
        await self.finish()

    def on_connection_close(self) -> None:
        """The viewer has gone: the stream makes room at once, not with its next event."""
        super().on_connection_close()
        if self.client is not None:
            self.client.end("gone")

    def drop(self) -> None:
        """Close the connection of a client that does not read; `send` ends with it."""
        cast(HTTP1Connection, self.request.connection).close()
        self.on_connection_close()

    def since(self) -> int | None:
        """The last sequence that the client has, from a reconnecting EventSource or from our own watchdog."""
        text = self.request.headers.get("Last-Event-ID") or self.get_query_argument("last", "")
        return int(text) if text.isascii() and text.isdigit() else None
