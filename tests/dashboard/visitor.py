"""Somebody signed in, over plain HTTP, and pictures as the watch would write them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from sqlalchemy import text
from tornado.httpclient import HTTPResponse
from tornado.web import create_signed_value, decode_signed_value

from server.alerts.alert import Alert
from server.auth.form_token import form_token
from server.auth.people import create_person
from server.auth.sessions import SESSION_COOKIE
from server.kernel.db import Database
from server.live.service import LiveService, Point
from server.picture import store as picture_store
from server.picture.picture import Picture
from server.slo.model.status import Status
from tests.conftest import free_port
from tests.site import Site

LEASE = text(
    "INSERT INTO lease (name, term, renewed_at) VALUES ('watch', 1, now())"
    " ON CONFLICT (name) DO UPDATE SET term = 1, renewed_at = now()"
)
PASSWORD = "correct horse battery staple"


async def sign_in(site: Site, role: str = "admin") -> str:
    """The Cookie header of a new person with the role."""
    email = f"{role}-{time.monotonic_ns()}@example.com"
    hashed = await site.parts.auth.passwords.hash(PASSWORD)
    async with site.parts.db.act() as connection:
        await create_person(connection, email, hashed, role, actor="test")
    token = await site.parts.auth.sign_in(email, PASSWORD, "127.0.0.1", "test")
    signed = create_signed_value(site.env.secret_key, SESSION_COOKIE, token).decode()
    return f"{host_only(site)}{SESSION_COOKIE}={signed}"


def host_only(site: Site) -> str:
    """What the names of cookies begin with over TLS."""
    return "__Host-" if site.env.public_url.startswith("https://") else ""


async def look(site: Site, path: str, cookie: str, **given: Any) -> HTTPResponse:
    """A page as somebody signed in sees it."""
    return await site.fetch(path, headers={"Cookie": cookie}, **given)


async def room_page(site: Site, number: int, cookie: str) -> str:
    """The room of an incident. On a busy machine a page does not wait for the database: it is looked at again."""
    while "it cannot be read just now" in (text := (await look(site, f"/incidents/{number}", cookie)).body.decode()):
        await asyncio.sleep(0.1)
    return text


async def cut_off_reads(site: Site) -> None:
    """From now on the database refuses every question of this process; what it holds in memory stays."""
    db = site.parts.db
    await db.read.dispose()
    db.read = Database(f"postgresql://evenkeel@127.0.0.1:{free_port()}/gone").read


async def press(site: Site, path: str, cookie: str = "", **fields: Any) -> HTTPResponse:
    """A form sent from one of our pages; a list sends a field several times."""
    sent = {
        "Cookie": f"{host_only(site)}evenkeel_visit=1; {cookie}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    body = urlencode({"_xsrf": token_of(site, cookie)} | fields, doseq=True)
    return await site.fetch(path, method="POST", headers=sent, body=body)


def token_of(site: Site, cookie: str = "") -> str:
    """What a form shown to who has this cookie would carry."""
    signed = next((one for one in cookie.split("; ") if one.startswith(f"{host_only(site)}{SESSION_COOKIE}=")), "")
    session = decode_signed_value(site.env.secret_key, SESSION_COOKIE, signed.partition("=")[2]) if signed else None
    return form_token(site.env.secret_key, f"session {session.decode()}" if session else "visit 1")


def said(answer: HTTPResponse, site: Site) -> str:
    """What the next page will tell of the act."""
    name = f"{host_only(site)}evenkeel_said"
    cookie = next(c for c in answer.headers.get_list("Set-Cookie") if c.startswith(f"{name}="))
    value = cookie.partition("=")[2].partition(";")[0].strip('"')
    told = decode_signed_value(site.env.secret_key, name, value)
    assert told is not None
    return told.decode()


async def show(
    site: Site,
    seq: int,
    *services: LiveService,
    slo: Status | None = None,
    alerts: Sequence[Alert] = (),
    **more: Any,
) -> None:
    """Publish a picture as the watch of term 1, and wait until the site has it."""
    picture = Picture(seq, time.time(), 1, "test/watch.1", list(services), [], 1, None, slo, list(alerts), **more)
    async with site.parts.db.act() as connection:
        await connection.execute(LEASE)
        assert await picture_store.write(connection, 1, seq, msgspec.json.encode(picture))
    await site.parts.relay.refresh()
    assert site.parts.relay.picture is not None
    assert site.parts.relay.picture.seq == seq


def service(name: str, n: int = 60, bad: int = 0, **given: Any) -> LiveService:
    """A service with a steady minute behind it."""
    now = int(time.time())
    usual: dict[str, Any] = {
        "n_5m": n * 5,
        "bad_5m": bad * 5,
        "p50_ms": 10.0,
        "p95_ms": 40.0,
        "p99_ms": 90.0,
        "points": [Point(second, 1, 0, 40.0) for second in range(now - 60, now)],
        "routes": [],
        "versions": [],
        "worst_route": None,
        "worst_version": None,
        "last_seen": now - 1,
        "usual_per_second": 1.0,
        "silent_s": None,
    }
    return LiveService(name=name, n=n, bad=bad, **(usual | given))


Web = Callable[..., Awaitable[Site]]
