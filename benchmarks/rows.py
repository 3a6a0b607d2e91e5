"""What a row costs the database: clients' random request ids beside our own, just after a checkpoint; and look-ups.

The rows of batches as ingest encodes them, by COPY, committed every 1000, with a million kept, taking turns: so that
it is the database's own work that is compared.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.figure import Figure, aimed
from benchmarks.stand import database, percentile, scratch
from benchmarks.traffic import random_id
from server.ingest.partitions import RequestIds, ensure_partitions
from server.ingest.rows import OUTCOMES, request_ids
from server.kernel.db import Database
from server.kernel.settings import read_environment
from server.live.outcomes import outcomes_by_request_id
from server.tables.binary import BEGIN, END, NULL, field_of

KEPT = 1_000_000
SERIES = 200
ROUNDS = 5
BATCHES = 50
BATCH = 1000
LOOKED_UP = 100
LOOKUP_LIMIT_MS = 20.0


def run() -> list[Figure]:
    """Medians of 5 rounds, and the 95th percentile of look-ups."""
    with scratch() as directory:
        env = read_environment({"DATA_DIR": str(Path(directory) / "data")}, for_database_only=True)
        with database(env) as url, psycopg.connect(url, autocommit=True) as connection:
            asyncio.run(partitions(url))
            keep(connection)
            turns = [(rate(connection, own=True), rate(connection, own=False)) for _ in range(ROUNDS)]
            found = asyncio.run(looked_up(connection, url))
            size = bytes_a_row(connection)
    ours, theirs = zip(*turns, strict=True)
    return [
        aimed("ingest with random request ids, rate", theirs, "rows/s", ours, "by COPY, 1 million kept"),
        Figure(
            "request id over a million, p95", percentile(found, 0.95), "ms", LOOKUP_LIMIT_MS, note=f"of {LOOKED_UP}"
        ),
        Figure("an outcome and its indexes", size, "bytes"),
    ]


async def partitions(url: str) -> None:
    db = Database(url, "evenkeel bench")
    await ensure_partitions(db, time.time(), 1)
    await db.close()


def keep(connection: psycopg.Connection[Any]) -> None:
    """A million outcomes with random ids, and their series."""
    connection.execute(
        "INSERT INTO series (service, version, route, method, status)"
        " SELECT 'shop', '', '/' || i, 'GET', 200 FROM generate_series(1, %s) AS i",
        (SERIES,),
    )
    connection.execute(
        "INSERT INTO outcomes SELECT now() + i * interval '1 microsecond', 1 + i %% %s, i, false,"
        " gen_random_uuid()::text FROM generate_series(1, %s) AS i",
        (SERIES, KEPT),
    )
    connection.execute("VACUUM ANALYZE outcomes")


def rate(connection: psycopg.Connection[Any], *, own: bool) -> float:
    """Rows committed a second, from a checkpoint on."""
    batches = [encoded(own=own) for _ in range(BATCHES)]
    connection.execute("CHECKPOINT")
    began = time.perf_counter()
    for batch in batches:
        with connection.transaction(), connection.cursor() as cursor, cursor.copy(OUTCOMES.statement) as copy:
            copy.write(batch)
    return BATCHES * BATCH / (time.perf_counter() - began)


def encoded(*, own: bool) -> bytes:
    now_us = time.time_ns() // 1000
    prefix, first = request_ids(now_us, os.urandom(10))
    ids = [b"%b%012x" % (prefix, first + place) if own else random_id() for place in range(BATCH)]
    columns = {
        "at": [now_us] * BATCH,
        "series_id": [1 + place % SERIES for place in range(BATCH)],
        "duration_us": range(BATCH),
        "bad": [False] * BATCH,
        "request_id": map(field_of, ids),
        "detail": [NULL] * BATCH,
    }
    return BEGIN + OUTCOMES.rows(columns) + END


async def looked_up(connection: psycopg.Connection[Any], url: str) -> list[float]:
    """Milliseconds of each look-up of a sample, its filters made."""
    sample = "SELECT request_id FROM outcomes TABLESAMPLE SYSTEM (1) ORDER BY random() LIMIT %s"
    ids = [str(row[0]) for row in connection.execute(sample, (LOOKED_UP,))]
    db = Database(url, "evenkeel bench")
    try:
        await RequestIds(db).summarise(time.time())
        return await looked_up_each(db, ids)
    finally:
        await db.close()


async def looked_up_each(db: Database, ids: list[str]) -> list[float]:
    """Milliseconds of each look-up, as the pages and the API do it."""
    taken: list[float] = []
    for request_id in ids:
        began = time.perf_counter()
        async with db.ask() as asking:
            assert await outcomes_by_request_id(asking, request_id)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def bytes_a_row(connection: psycopg.Connection[Any]) -> float:
    query = (
        "SELECT sum(pg_total_relation_size(inhrelid))::float8 / (SELECT count(*) FROM outcomes)"
        " FROM pg_inherits WHERE inhparent = 'outcomes'::regclass"
    )
    row = connection.execute(query).fetchone()
    assert row is not None
    return float(row[0])
