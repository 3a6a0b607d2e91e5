"""SQL of the tail: what was counted since it last looked, in one snapshot.

A writer of process 0 is a command that imports: what it wrote was not sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.live.clauses_store import FLUSHES, excluded, merged
from server.live.deltas import Delta, SeriesKey
from server.live.deltas import counts as fast_of

# What is added up: never deltas that measured a threshold with those that did not.
BY = "series_id, second, imported, measured"


class SecondCount(NamedTuple):
    """Counts of a service in one second."""

    service: str
    second: int
    n: int
    bad: int
    imported: bool


HEADS = "SELECT id, (SELECT max(seq) FROM deltas WHERE writer_id = id) AS seq FROM writers"


async def heads(connection: AsyncConnection) -> dict[int, int]:
    """The newest sequence of each writer; a writer without deltas is left out."""
    rows = await connection.execute(text(f"SELECT id, seq FROM ({HEADS}) AS heads WHERE seq IS NOT NULL"))
    return {row.id: row.seq for row in rows}


async def since(
    connection: AsyncConnection, after: Mapping[int, int], upto: Mapping[int, int], from_s: int
) -> list[Delta]:
    """What was counted in (after, upto] of each writer, of the seconds from `from_s` on."""
    batch = f"""
        SELECT d.series_id, d.second, d.n, d.bad, d.duration_us, d.sketch, d.fast,
            d.writer_id IN (SELECT id FROM writers WHERE process_id = 0) AS imported
        FROM {FLUSHES}
        WHERE d.second >= to_timestamp(:from_s)
    """
    return await _deltas(connection, batch, _flushes(after, upto) | {"from_s": from_s})


async def late(
    connection: AsyncConnection, after: Mapping[int, int], upto: Mapping[int, int], before_s: int
) -> list[tuple[str, int]]:
    """By service: how much was sent in (after, upto] of each writer, of seconds before `before_s`, however old."""
    rows = await connection.execute(
        text(
            f"""
            SELECT s.service, sum(d.n)::bigint AS n FROM {FLUSHES} JOIN series s ON s.id = d.series_id
            WHERE d.second < to_timestamp(:before_s)
                AND d.writer_id NOT IN (SELECT id FROM writers WHERE process_id = 0)
            GROUP BY s.service
            """
        ),
        _flushes(after, upto) | {"before_s": before_s},
    )
    return [(row.service, row.n) for row in rows]


def _flushes(after: Mapping[int, int], upto: Mapping[int, int]) -> dict[str, object]:
    ids = list(upto)
    return {"ids": ids, "after": [after.get(i, 0) for i in ids], "upto": [upto[i] for i in ids]}


async def between(connection: AsyncConnection, from_s: int, to_s: int) -> list[Delta]:
    """Everything counted in the seconds [from_s, to_s)."""
    batch = """
        SELECT d.series_id, d.second, d.n, d.bad, d.duration_us, d.sketch, d.fast, w.process_id = 0 AS imported
        FROM deltas d JOIN writers w ON w.id = d.writer_id
        WHERE d.second >= to_timestamp(:from_s) AND d.second < to_timestamp(:to_s)
    """
    return await _deltas(connection, batch, {"from_s": from_s, "to_s": to_s})


async def _deltas(connection: AsyncConnection, batch: str, values: Mapping[str, object]) -> list[Delta]:
    rows = await connection.execute(
        text(
            f"""
            WITH batch AS MATERIALIZED (
                SELECT *, ARRAY(SELECT pair >> 32 FROM unnest(fast) AS pair) AS measured FROM ({batch}) AS read
            ),
            counted AS (
                SELECT {BY}, sum(n) AS n, sum(bad) AS bad, sum(duration_us)::bigint AS duration_us
                FROM batch GROUP BY {BY}
            ),
            sketches AS ({merged("batch", "sketch", BY)}),
            fasts AS ({merged("batch", "fast", BY)})
            SELECT series_id, s.service, s.version, s.route, s.method, s.status,
                extract(epoch FROM second)::bigint AS second, c.n, c.bad, c.duration_us, f.fast, k.sketch, imported,
                {excluded("s", "second")} AS excluded
            FROM counted c
            JOIN series s ON s.id = c.series_id
            LEFT JOIN sketches k USING ({BY})
            LEFT JOIN fasts f USING ({BY})
            """
        ),
        dict(values),
    )
    return [_delta(row) for row in rows]


def _delta(row: Row[tuple[object, ...]]) -> Delta:
    key = SeriesKey(row.service, row.version, row.route, row.method, row.status)
    return Delta(
        row.series_id,
        key,
        row.second,
        row.n,
        row.bad,
        row.duration_us,
        fast_of(row.fast or ()),
        row.sketch or [],
        row.imported,
        excluded=row.excluded,
    )


async def counts(connection: AsyncConnection, from_s: int, to_s: int) -> list[SecondCount]:
    """Counts by service of the seconds [from_s, to_s), without sketches."""
    rows = await connection.execute(
        text(
            """
            SELECT s.service, extract(epoch FROM d.second)::bigint AS second, sum(d.n) AS n, sum(d.bad) AS bad,
                w.process_id = 0 AS imported
            FROM deltas d JOIN writers w ON w.id = d.writer_id JOIN series s ON s.id = d.series_id
            WHERE d.second >= to_timestamp(:from_s) AND d.second < to_timestamp(:to_s)
            GROUP BY s.service, d.second, imported
            """
        ),
        {"from_s": from_s, "to_s": to_s},
    )
    return [SecondCount(row.service, row.second, row.n, row.bad, row.imported) for row in rows]


async def arrivals(connection: AsyncConnection, from_s: int) -> list[tuple[str, int]]:
    """The seconds from `from_s` on in which something sent of a service was stored."""
    rows = await connection.execute(
        text(
            """
            SELECT DISTINCT s.service, extract(epoch FROM date_trunc('second', d.written_at))::bigint AS second
            FROM deltas d JOIN writers w ON w.id = d.writer_id JOIN series s ON s.id = d.series_id
            WHERE d.written_at >= to_timestamp(:from_s) AND w.process_id <> 0
            """
        ),
        {"from_s": from_s},
    )
    return [(row.service, row.second) for row in rows]
