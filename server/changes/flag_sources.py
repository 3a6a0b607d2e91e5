"""Flags of services: where they are read, and each difference as a change. Secrets are in no answer.

What is compared is what was read last, also before an outage or a restart: what differs is seen once, however long
nobody looked.
"""

from __future__ import annotations

import logging
import re
from datetime import datetime
from http.client import responses
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from server.auth.audit_store import audit
from server.changes import flag_store, flags, store
from server.changes.flag_store import FlagSource
from server.changes.flags import Flag
from server.kernel import outside, sealed
from server.kernel.errors import ApiError, invalid
from server.kernel.outside import Closed, NoAnswer
from server.kernel.times import Instant
from server.kernel.urls import checked_url, shown_url

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.kernel.bus import Bus
    from server.kernel.db import Database
    from server.kernel.settings import Environment

log = logging.getLogger("evenkeel.changes")

ADDRESSES, HEADERS = "addresses of flags", "headers of flags"
EVERY_S = 5.0  # between two looks at whether any is due
LIMIT_S = 120.0
DOCUMENT_MAX = 1024 * 1024  # bytes
SOURCES_MAX = 100
HEADER = re.compile(r"[A-Za-z0-9-]{1,100}: ?[!-~][ -~]{0,2000}")
LOST = "its address cannot be opened, SECRET_KEY has changed: remove it and add it again"

Name = Annotated[str, Meta(min_length=1, max_length=100)]


class FlagSourceRequest(Struct, forbid_unknown_fields=True):
    """Where the flags of a service are to be read: `address` is a URL of JSON, `header` one header to be sent, as
    `Authorization: Bearer …`."""

    name: Name
    service: Annotated[str, Meta(min_length=1, max_length=200)]
    address: Annotated[str, Meta(min_length=1, max_length=2000)]
    header: Annotated[str, Meta(max_length=2200)] = ""


class FlagSourceView(Struct):
    """Where flags are read, without secrets; `address` '': their document is sent to us. `flags`: how many there are,
    null before the first look."""

    id: int
    name: str
    service: str
    address: str
    flags: int | None
    looked_at: Instant | None
    error: str
    created_by: str
    created_at: Instant


class FlagsTaken(Struct):
    """How many flags there are, and which changes were recorded; none from the first document."""

    flags: int
    changes: list[str]


class FlagsBroken(Exception):
    """Why flags could not be read."""


def view(one: FlagSource) -> FlagSourceView:
    """What is shown of one."""
    count = None if one.flags is None else len(one.flags)
    shown = (one.host, count, one.looked_at, one.error, one.created_by, one.created_at)
    return FlagSourceView(one.id, one.name, one.service, *shown)


async def add(
    connection: AsyncConnection, env: Environment, asked: FlagSourceRequest, actor: str, request_id: str
) -> FlagSourceView:
    """Read flags there from now on; ApiError INVALID names the field."""
    for field, value in (("name", asked.name), ("service", asked.service)):
        if not value.strip() or not value.isprintable():
            raise invalid(field, "has characters that cannot be shown, or none")
    address, header = checked_url(asked.address.strip(), private=env.notify_allow_private), asked.header.strip()
    if header and not HEADER.fullmatch(header):
        raise invalid("header", "is one header, as `Authorization: Bearer …`")
    if len(await flag_store.every(connection)) >= SOURCES_MAX:
        raise invalid("name", f"there are {SOURCES_MAX} already; remove one")
    values = {
        "name": asked.name.strip(),
        "service": asked.service.strip(),
        "address": sealed.seal(env.secret_key, ADDRESSES, address),
        "host": shown_url(address),
        "header": sealed.seal(env.secret_key, HEADERS, header) if header else "",
        "created_by": actor,
    }
    made = await flag_store.add(connection, values)
    if made is None:
        raise invalid("name", f"{asked.service} has one of this name already; remove that first")
    await audit(connection, actor, "flags.add", f"{made.service} {made.name}", None, {"address": made.host}, request_id)
    return view(made)


async def remove(connection: AsyncConnection, source_id: int, actor: str, request_id: str) -> FlagSourceView:
    """Read flags there no longer; ApiError NOT_FOUND."""
    gone = await flag_store.remove(connection, source_id)
    if gone is None:
        raise ApiError("NOT_FOUND", f"Flags are read at no {source_id}. Nothing was done.")
    await audit(
        connection, actor, "flags.remove", f"{gone.service} {gone.name}", {"address": gone.host}, None, request_id
    )
    return view(gone)


async def compare(
    connection: AsyncConnection, source: FlagSource, found: dict[str, Flag], etag: str, author: str
) -> list[int]:
    """Record each difference from what was read last, and keep what is; the ids of the changes. `source` is held."""
    made = []
    if source.flags is not None:
        detail: dict[str, object] = {"flags": source.name, "since": read_at(source.looked_at)}
        for version, summary in flags.as_told(flags.differences(source.flags, found)):
            made.append(
                await store.record(
                    connection,
                    "flag",
                    source.service,
                    version,
                    summary,
                    author=author,
                    detail=detail | {"flag": version},
                )
            )
    await flag_store.looked(connection, source.id, found, etag, "")
    return made


def read_at(at: datetime | None) -> str:
    """When it was last read: the flag was changed after that."""
    return at.isoformat() if at else ""


class FlagPoller:
    """The watch's job."""

    def __init__(self, env: Environment, db: Database, bus: Bus) -> None:
        self.env = env
        self.db = db
        self.bus = bus

    async def run(self, term: int = 0) -> None:
        """Look at what is due, one after the other; safe to repeat and to run twice at once."""
        while True:
            async with self.db.act() as connection:
                source = await flag_store.claim(connection)
            if source is None:
                return
            try:
                answer = await self._fetch(source)
                made = await self._take(source, *answer) if answer else await self._same(source)
            except FlagsBroken as error:
                log.warning("flags %s of %s: %s", source.name, source.service, error)
                async with self.db.act() as connection:
                    await flag_store.looked(connection, source.id, None, "", str(error))
                continue
            for number in made:
                await self.bus.publish("changes", number)

    async def _fetch(self, source: FlagSource) -> tuple[dict[str, Flag], str] | None:
        """The flags as they are, with the name of this state; None: they are as before. Raises FlagsBroken."""
        try:
            address = sealed.opened(self.env.secret_key, ADDRESSES, source.address)
            header = sealed.opened(self.env.secret_key, HEADERS, source.header)
        except sealed.Unreadable:
            raise FlagsBroken(LOST) from None
        name, _, value = header.partition(":")
        headers = ({name: value.strip()} if name else {}) | ({"If-None-Match": source.etag} if source.etag else {})
        reply = await answered(address, headers, private=self.env.notify_allow_private)
        if reply.status == 304 and source.etag:
            return None
        if reply.status != 200:
            said = f"HTTP {reply.status} {responses.get(reply.status, '')}".rstrip()
            hint = ": redirects are not followed; give the address that it leads to" if reply.status // 100 == 3 else ""
            raise FlagsBroken(said + hint)
        try:
            etag = reply.headers.get("ETag", "")
            return flags.read(reply.body), etag if len(etag) <= 200 and etag.isprintable() else ""
        except ApiError as error:
            raise FlagsBroken(error.detail.removesuffix(" Nothing was done.")) from None

    async def _take(self, source: FlagSource, found: dict[str, Flag], etag: str) -> list[int]:
        async with self.db.act() as connection:
            held = await flag_store.held(connection, source.id)
            return [] if held is None else await compare(connection, held, found, etag, f"flags:{source.name}")

    async def _same(self, source: FlagSource) -> list[int]:
        async with self.db.act() as connection:
            await flag_store.looked(connection, source.id, None, "", "")
        return []


async def answered(address: str, headers: dict[str, str], *, private: bool) -> outside.Reply:
    """What stands there. Raises FlagsBroken."""
    try:
        return await outside.send(address, None, headers, private=private, method="GET", answer_max=DOCUMENT_MAX)
    except Closed as error:
        raise FlagsBroken(f"refused: {error}") from None
    except NoAnswer as error:
        raise FlagsBroken(f"no answer of at most 1 MiB: {error}") from None
    except OSError as error:
        raise FlagsBroken(error.strerror or "no answer in time") from None
    except ValueError:
        raise FlagsBroken("its address cannot be looked up") from None
