"""Processes as far as signing in goes: an authenticator on its own pools and bus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import create_signed_value

from server.auth.authenticator import Authenticator
from server.auth.identity import Identity
from server.auth.sessions import SESSION_COOKIE
from server.kernel.bus import Bus
from server.kernel.db import Database
from tests.waiting import until


@asynccontextmanager
async def process(env: Any) -> AsyncIterator[Authenticator]:
    db = Database(env.database_url)
    bus = Bus(db, env.redis_url)
    auth = Authenticator(env, db, bus)
    bus.start()
    await auth.start()
    await until(lambda: bus.listening, "the bus to listen")
    try:
        yield auth
    finally:
        await auth.close()
        await bus.close()
        await db.close()


class Asked:
    """As much of a handler as `identify` needs."""

    def __init__(self, authorization: str | None = None, cookie: str | None = None) -> None:
        headers = HTTPHeaders({} if authorization is None else {"Authorization": authorization})
        self.request = HTTPServerRequest(start_line=RequestStartLine("GET", "/", "HTTP/1.0"), headers=headers)
        self.cookie = cookie

    def get_cookie(self, name: str) -> str | None:
        return self.cookie


async def bearer(auth: Authenticator, key: str) -> Identity | None:
    return await auth.identify(Asked(f"Bearer {key}"), allow_session=False)  # type: ignore[arg-type]


async def signed_in(auth: Authenticator, token: str) -> Identity | None:
    cookie = create_signed_value(auth.env.secret_key, SESSION_COOKIE, token).decode()
    return await auth.identify(Asked(cookie=cookie), allow_session=True)  # type: ignore[arg-type]
