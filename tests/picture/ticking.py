"""A tick on a database of its own, and the picture that it stored."""

from __future__ import annotations

import msgspec
import psycopg

from server.live.service import LiveService
from server.picture.picture import Picture


async def objectives(services: list[LiveService], now: float) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode({"evaluated_at": now, "services": len(services)}))


def stored(url: str) -> Picture:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT body FROM picture").fetchone()
    assert row is not None
    return msgspec.json.decode(row[0], type=Picture)


def service(picture: Picture, name: str = "shop") -> LiveService:
    return next(each for each in picture.services if each.name == name)
