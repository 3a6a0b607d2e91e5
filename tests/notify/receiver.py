"""A real HTTP server that is sent to, which answers as it is told and keeps what came."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler


@dataclass
class Came:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def key(self) -> str:
        return self.headers.get("Evenkeel-Delivery", "")


@dataclass
class Receiver:
    """`answer` is called with each request: a status, or a status and headers."""

    url: str = ""
    came: list[Came] = field(default_factory=list)
    answer: Callable[[Came], int | tuple[int, dict[str, str]]] = lambda came: 200

    def keys(self) -> list[str]:
        return [came.key for came in self.came]

    def events(self) -> list[str]:
        return [came.json["event"] for came in self.came]


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver on loopback."""
    receiver = Receiver()

    class Take(RequestHandler):
        async def post(self) -> None:
            request: HTTPServerRequest = self.request
            came = Came(request.path, dict(request.headers), request.body)
            receiver.came.append(came)
            said = receiver.answer(came)
            status, headers = said if isinstance(said, tuple) else (said, {})
            self.set_status(status, "told")
            for name, value in headers.items():
                self.set_header(name, value)
            self.finish(b"taken" if status == 200 else b"not now")

        get = post

    server = HTTPServer(Application([(r"/.*", Take)]))
    sockets = bind_sockets(port, "127.0.0.1")
    server.add_sockets(sockets)
    receiver.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/hook"
    try:
        yield receiver
    finally:
        server.stop()
        await server.close_all_connections()
