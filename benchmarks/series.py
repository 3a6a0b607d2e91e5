"""What a day of latency costs: one question over every minute of 20 series, in PostgreSQL and in the loop.

Percentiles are taken in PostgreSQL, from what is counted by the minute: so a day of them is held to a multiple of a
day of counts, to the same for ten times the outcomes, and the loop to a step that nobody waits for.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

import msgspec
import psycopg

from benchmarks.figure import Figure
from benchmarks.stand import database, scratch
from server.kernel.db import Database
from server.kernel.settings import read_environment
from server.live import questions
from server.live.answers import Metric

SERIES = 20
BUCKETS = 40  # of a sketch: durations over a range of 1 to 2
MINUTES = 1440
SERVICES = {"shop": 10, "busy": 100}  # outcomes a minute in each bucket
DAY_S = 86_400
ROUNDS = 5
LATENCY_LIMIT = 10.0  # times a day of counts
BUSY_LIMIT = 2.0  # times the same for a tenth of the outcomes
LAG_LIMIT_MS = 50.0


def run() -> list[Figure]:
    """Medians of 5 rounds."""
    with scratch() as directory:
        env = read_environment({"DATA_DIR": str(Path(directory) / "data")}, for_database_only=True)
        with database(env) as url:
            fill(url, int(time.time()))
            return asyncio.run(measure(url))


def fill(url: str, now: int) -> None:
    """A day of minutes for each series, every bucket in each."""
    with psycopg.connect(url, autocommit=True) as connection:
        for service, n in SERVICES.items():
            values = {"service": service, "series": SERIES, "n": n, "buckets": BUCKETS, "end": now, "minutes": MINUTES}
            connection.execute(
                "INSERT INTO series (service, version, route, method, status)"
                " SELECT %(service)s, '', '/' || r, 'GET', 200 FROM generate_series(1, %(series)s) AS r",
                values,
            )
            minutes = (
                "FROM series, generate_series(1, %(minutes)s) AS ago,"
                " LATERAL (SELECT date_trunc('minute', to_timestamp(%(end)s)) - ago * interval '1 minute' AS minute)"
                " AS at"
                " WHERE service = %(service)s"
            )
            connection.execute(
                "INSERT INTO minutes (series_id, minute, n, bad, duration_us, fast)"
                f" SELECT id, minute, %(n)s * %(buckets)s, 1, 1000, '{{}}' {minutes}",
                values,
            )
            connection.execute(
                "INSERT INTO minute_sketches (series_id, minute, sketch) SELECT id, minute,"
                " ARRAY(SELECT ((500 + (id + b) %% 200)::bigint << 32) | %(n)s"
                " FROM generate_series(1, %(buckets)s) AS b)"
                f" {minutes}",
                values,
            )
        connection.execute("VACUUM ANALYZE")


async def measure(url: str) -> list[Figure]:
    """Ask for each, five times."""
    db = Database(url, "evenkeel bench")
    try:
        counts, _ = await asked(db, "shop", "error_ratio")
        latency, held = await asked(db, "shop", "latency")
        busy, _ = await asked(db, "busy", "latency")
    finally:
        await db.close()
    day = f"a day of {SERIES} series"
    return [
        Figure(f"{day}: error ratio, waited", counts, "ms"),
        Figure(f"{day}: latency, waited", latency, "ms"),
        Figure(f"{day}: latency beside error ratio", latency / counts, "times", LATENCY_LIMIT),
        Figure(f"{day}: latency of ten times the outcomes", busy / latency, "times", BUSY_LIMIT),
        Figure(f"{day}: latency, longest step of the loop", held, "ms", LAG_LIMIT_MS, note="of the processor"),
    ]


async def asked(db: Database, service: str, metric: Metric) -> tuple[float, float]:
    """Median milliseconds of the wait for the whole answer, and the longest step of the loop in it."""
    longest, waits, run = 0.0, list[float](), asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        nonlocal longest
        began = time.thread_time()
        run(handle)
        longest = max(longest, time.thread_time() - began)

    async def ask() -> None:
        now = time.time()
        async with db.ask() as connection:
            found = await questions.series(connection, service, metric, now - DAY_S, now, step_s=60, now=now)
        assert sum(point.value is not None for point in found.points) >= MINUTES - 1
        msgspec.json.encode(found)

    await ask()  # warms up
    asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]
    try:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            await asyncio.create_task(ask())
            waits.append((time.perf_counter() - began) * 1000)
    finally:
        asyncio.Handle._run = run  # type: ignore[method-assign]
    return statistics.median(waits), longest * 1000
