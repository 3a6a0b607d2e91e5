"""SQL of the pictures that are kept while an incident is open."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

EVERY_S = 5.0
APART_S = 2.5  # two watches at a change of hands keep one; a picture may be 4 s after the one before
FRESH_S = 3.0  # a picture that is older is not the present
KEPT_DAYS = 30
MOST_BYTES = 2 << 30
BITE = 2_000

PRESENT = text("""
SELECT body FROM picture
WHERE at > clock_timestamp() - make_interval(secs => :fresh)
    AND EXISTS (SELECT FROM incidents WHERE state NOT IN ('resolved', 'closed'))
""")
KEEP = text("""
INSERT INTO kept_pictures (at, body)
SELECT to_timestamp(:at), :body
WHERE NOT EXISTS (SELECT FROM kept_pictures WHERE at > to_timestamp(:at) - make_interval(secs => :apart))
ON CONFLICT (at) DO NOTHING
""")
AT = text("""
SELECT body FROM kept_pictures WHERE at >= to_timestamp(:first) AND at <= to_timestamp(:at) ORDER BY at DESC LIMIT 1
""")
SPAN = text("""
SELECT extract(epoch FROM min(at))::float8 AS first, extract(epoch FROM max(at))::float8 AS last
FROM kept_pictures WHERE at >= to_timestamp(:first) AND at <= to_timestamp(:last)
""")
FORGET = text("""
DELETE FROM kept_pictures WHERE at IN (
    SELECT at FROM (
        SELECT at, sum(octet_length(body)) OVER (ORDER BY at DESC) AS bytes FROM kept_pictures
    ) AS newest
    WHERE at < now() - make_interval(days => :days) OR bytes > :most ORDER BY at LIMIT :bite
)
""")


class KeptSpan(NamedTuple):
    """From when to when pictures are kept, Unix seconds."""

    first: float
    last: float


async def present(connection: AsyncConnection) -> bytes | None:
    """The picture as it is published, while an incident is open."""
    body = (await connection.execute(PRESENT, {"fresh": FRESH_S})).scalar_one_or_none()
    return None if body is None else bytes(body)


async def keep(connection: AsyncConnection, at: float, body: bytes) -> bool:
    """Keep one, unless one is kept that is hardly older; whether it is."""
    done = await connection.execute(KEEP, {"at": at, "apart": APART_S, "body": body})
    return done.rowcount == 1


async def span(connection: AsyncConnection, first: float, last: float) -> KeptSpan | None:
    """What is kept between two times, Unix seconds; None: nothing."""
    row = (await connection.execute(SPAN, {"first": first, "last": last})).one()
    return None if row.first is None else KeptSpan(row.first, row.last)


async def at(connection: AsyncConnection, first: float, at: float) -> bytes | None:
    """The last one that was kept from `first` on, up to a time."""
    body = (await connection.execute(AT, {"first": first, "at": at})).scalar_one_or_none()
    return None if body is None else bytes(body)


async def forget(connection: AsyncConnection) -> int:
    """Drop some of those that are too old, or more than there is room for; how many."""
    return (await connection.execute(FORGET, {"days": KEPT_DAYS, "most": MOST_BYTES, "bite": BITE})).rowcount
