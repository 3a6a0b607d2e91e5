"""Rollups counted one by one, and the lease that a fold writes under."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.db import Database
from server.live.deltas import Delta
from server.live.pairs import COUNT_MASK
from server.live.service_rollups import ServiceRollups
from server.live.sketch import bucket
from tests.live.writing import Sample


def lead(url: str, term: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO lease (name, term) VALUES ('watch', %s) ON CONFLICT (name) DO UPDATE SET term = %s",
            (term, term),
        )


async def made(db: Database, term: int) -> None:
    """The rollups by service, for everything that was folded."""
    job = ServiceRollups(db)
    while await job.once(term):
        pass


async def nothing(connection: AsyncConnection, deltas: Sequence[Delta]) -> None:
    """No ledger."""


def rolled(url: str, table: str, column: str) -> dict[tuple[str, int], tuple[int, int, int, int]]:
    """route, time -> n, bad, duration_us, fast at the one threshold."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            f"""
            SELECT s.route, extract(epoch FROM {column})::bigint, n, bad, duration_us, fast
            FROM {table} JOIN series s ON s.id = series_id
            """.encode()
        ).fetchall()
    return {(row[0], row[1]): (row[2], row[3], row[4], sum(pair & COUNT_MASK for pair in row[5])) for row in rows}


def expected(samples: Sequence[Sample], span: int) -> dict[tuple[str, int], tuple[int, int, int, int]]:
    groups: dict[tuple[str, int], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.route, sample.second // span * span), []).append(sample)
    return {
        key: (
            len(group),
            sum(s.bad for s in group),
            sum(s.duration_us for s in group),
            sum(not s.bad and s.duration_us <= 300_000 for s in group),
        )
        for key, group in groups.items()
    }


def sketches(url: str, table: str) -> Counter[int]:
    total: Counter[int] = Counter()
    with psycopg.connect(url) as connection:
        for (packed,) in connection.execute(f"SELECT sketch FROM {table}".encode()).fetchall():
            assert packed == sorted(packed)
            total.update({pair >> 32: pair & COUNT_MASK for pair in packed})
    return total


def check(url: str, samples: Sequence[Sample]) -> None:
    assert rolled(url, "minutes", "minute") == expected(samples, 60)
    assert rolled(url, "hours", "hour") == expected(samples, 3600)
    assert sketches(url, "minute_sketches") == sketches(url, "hours") == Counter(bucket(s.duration_us) for s in samples)
