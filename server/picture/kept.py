"""What we knew: the picture as it was, kept each 5 s while an incident is open.

It is read as it was published, so that keeping it holds up nothing. What people wrote, and
who did what, stays out: names and titles stand in their own tables, where they can be erased.
"""

from __future__ import annotations

import asyncio
import logging
import zlib

import msgspec

from server.kernel.db import Database
from server.picture import kept_store as store
from server.picture.picture import Picture, read_picture

log = logging.getLogger("evenkeel.tick")


async def keep(db: Database) -> None:
    """The job `kept pictures`."""
    async with db.act() as connection:
        body = await store.present(connection)
    if body is None:
        return
    at, packed = await asyncio.to_thread(pack, body)
    async with db.act() as connection:
        await store.keep(connection, at, packed)


def pack(body: bytes) -> tuple[float, bytes]:
    """The time of a published picture, and the picture as it is kept."""
    picture, _ = read_picture(body)
    for alert in picture.alerts:
        alert.acknowledged_by = ""
    for incident in picture.incidents:
        incident.title = incident.commander = ""
    for window in picture.maintenance:
        window.reason = window.expected = ""
    return picture.at, zlib.compress(msgspec.json.encode(picture))


def unpack(body: bytes) -> Picture | None:
    """A kept picture; None where another version of Evenkeel kept it, and this one cannot read it."""
    try:
        return read_picture(zlib.decompress(body))[0]
    except (msgspec.MsgspecError, zlib.error) as error:
        log.warning("a kept picture cannot be read: %s", error)
        return None


async def forget(db: Database) -> None:
    """The job `picture retention`."""
    await db.in_bites(store.forget, store.BITE)
