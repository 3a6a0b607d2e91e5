"""What looking back costs: a day of latency of 200 and of 5,000 series, and a week by route of 10 million outcomes.

Rows by series are made in SQL, those by service by the watch's own job, and the questions are the service's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection

from benchmarks.figure import AIMS, Figure
from benchmarks.stand import database, percentile, scratch
from server.kernel.db import Database
from server.kernel.settings import read_environment
from server.live import questions
from server.live.service_rollups import ServiceRollups

ASKED = 20
DAY_S = 86_400
STEP_S = 600  # what a day is drawn with
TERM = 1
# service, series, minutes between two of a row, buckets of a sketch
DAYS = (("shop", 200, 1, 40), ("mall", 5000, 10, 5))
DAY = """
    INSERT INTO {into}
    SELECT id, minute, {values} FROM series, generate_series(
        date_trunc('minute', now()) - interval '25 hours', now(), interval '1 minute') AS minute
    WHERE service = %(service)s AND (extract(epoch FROM minute)::bigint / 60 + id) %% %(every)s = 0
"""
SKETCH = "ARRAY(SELECT (b << 32) | {count} FROM generate_series(500 + id %% 150, 499 + id %% 150 + {buckets}) AS b)"
WEEK = f"""
    INSERT INTO hours (series_id, hour, n, bad, duration_us, fast, sketch)
    SELECT id, hour, 600, 6, 1, '{{}}', {SKETCH.format(count=6, buckets=100)} FROM series, generate_series(
        date_trunc('hour', now()) - interval '7 days', now(), interval '1 hour') AS hour
    WHERE service = 'week'
"""


def run() -> list[Figure]:
    """The 95th percentile of 20 times each."""
    with scratch() as directory:
        env = read_environment({"DATA_DIR": str(Path(directory) / "data")}, for_database_only=True)
        with database(env) as url:
            fill(url)
            return asyncio.run(measure(url))


def fill(url: str) -> None:
    """A day of minutes of each service, a week of hours of another, 10 million outcomes."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE lease SET term = %s", (TERM,))
        for service, series, every, buckets in (*DAYS, ("week", 100, 1, 10)):
            values = {"service": service, "series": series, "every": every}
            connection.execute(
                "INSERT INTO series (service, version, route, method, status) SELECT %(service)s, 'v' || r %% 4,"
                " '/' || r / 4, 'GET', 200 FROM generate_series(1, %(series)s) AS r",
                values,
            )
            counts, sketch = f"{buckets}, 0, 1, '{{}}'", SKETCH.format(count=1, buckets=buckets)
            minutes = "minutes (series_id, minute, n, bad, duration_us, fast)"
            connection.execute(DAY.format(into=minutes, values=counts), values)
            connection.execute(DAY.format(into="minute_sketches", values=sketch), values)
        connection.execute(WEEK.replace("%%", "%"))
        connection.execute("VACUUM ANALYZE")


async def measure(url: str) -> list[Figure]:
    """Make the rollups by service, ask."""
    db = Database(url, "evenkeel bench")
    try:
        job = ServiceRollups(db)
        while await job.once(TERM):
            pass
        days = [
            Figure(name, await asked(db, latency(service)), "ms", AIMS[name].limit, note="of 20")
            for service, series, *_ in DAYS
            for name in [f"latency over 24 h, {series:,} series, p95"]
        ]
        name = "summary of 7 days by route, p95"
        return [*days, Figure(name, await asked(db, week), "ms", AIMS[name].limit, note="10 million outcomes")]
    finally:
        await db.close()


def latency(service: str) -> Callable[[AsyncConnection], Awaitable[None]]:
    async def ask(connection: AsyncConnection) -> None:
        now = time.time()
        found = await questions.series(connection, service, "latency", now - DAY_S, now, step_s=STEP_S, now=now)
        assert sum(point.value is not None for point in found.points) >= DAY_S // STEP_S

    return ask


async def week(connection: AsyncConnection) -> None:
    found = await questions.whole_summary(connection, "week", 7 * DAY_S, time.time(), "route")
    assert found.volume >= 10_000_000
    assert found.groups is not None
    assert len(found.groups) > 20


async def asked(db: Database, ask: Callable[[AsyncConnection], Awaitable[None]]) -> float:
    """The 95th percentile in milliseconds, each time in a snapshot of its own, as a request does."""
    taken = list[float]()
    for _ in range(ASKED):
        began = time.perf_counter()
        async with db.ask() as connection:
            await ask(connection)
        taken.append((time.perf_counter() - began) * 1000)
    return percentile(taken, 0.95)
