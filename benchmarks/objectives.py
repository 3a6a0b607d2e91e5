"""What 500 objectives over 28 days cost: the ledger's windows, an evaluation tick, and the answer of the status page.

Everything, PostgreSQL too, is held to one core.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import psycopg
from sqlalchemy import text

from benchmarks.figure import Figure
from benchmarks.stand import database, scratch
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.settings import Environment, read_environment
from server.slo.api import answers
from server.slo.judge.evaluate import Evaluation
from server.slo.ledger import recount_store
from server.slo.ledger.windows import LedgerWindows
from server.slo.policy.policies import Policies
from tests.slo.making import availability, latency, service

OBJECTIVES = 500  # half of them latency
DAYS = 28
SERIES = 4  # of a service
UNFOLDED_S = 10  # of deltas
EXCLUDED_MINUTES = 120
ROUNDS = 20
STATUS_LIMIT_MS = 100.0
TICK_LIMIT_MS = 200.0
THRESHOLD_US = 300_000
BACKENDS = text("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'evenkeel bench%'")


def run() -> list[Figure]:
    """Milliseconds, over 20 rounds."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with scratch() as directory:
            env = environment(directory)
            with database(env) as url:
                return asyncio.run(measure(env, url))
    finally:
        os.sched_setaffinity(0, cores)


def environment(directory: Path) -> Environment:
    names = [f"service-{number}" for number in range(OBJECTIVES // 2)]
    documents = [service(name) + availability(f"{name}-works", name) + latency(f"{name}-fast", name) for name in names]
    (directory / "slo.yaml").write_text("".join(documents))
    given = {"DATA_DIR": str(directory / "data"), "SLO_FILE": str(directory / "slo.yaml")}
    return read_environment(given, for_database_only=True)


def fill(url: str, now: float) -> None:
    """A ledger with every minute and hour, an exclusion in each, and deltas that are not folded yet."""
    with psycopg.connect(url, autocommit=True) as connection:
        for table, unit in (("ledger_minutes", "minute"), ("ledger_hours", "hour")):
            connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey".encode())
            connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_objective_id_fkey".encode())
            connection.execute(
                f"""
                INSERT INTO {table} (objective_id, {unit}, good, bad, excluded)
                SELECT id, at, 600, CASE WHEN id % 7 = 0 THEN 1 ELSE 0 END, 0 FROM objectives, generate_series(
                    date_trunc('{unit}', to_timestamp({now})) - interval '{DAYS} days', to_timestamp({now}),
                    interval '1 {unit}') AS at
                """.encode()
            )
            connection.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (objective_id, {unit})".encode())
        connection.execute(
            """
            INSERT INTO ledger_left_out
            SELECT id, date_trunc('minute', to_timestamp(%s)) - at * interval '1 minute', 5, 1
            FROM objectives, generate_series(1000, 999 + %s) AS at
            """,
            (now, EXCLUDED_MINUTES),
        )
        connection.execute(
            """
            INSERT INTO exclusions (service, start, stop, reason, author)
            SELECT 'service-' || n, to_timestamp(%s) - interval '20 hours', to_timestamp(%s) - interval '10 hours',
                '', ''
            FROM generate_series(0, %s) AS n
            """,
            (now, now, OBJECTIVES // 2 - 1),
        )
        connection.execute(
            """
            INSERT INTO series (service, version, route, method, status)
            SELECT 'service-' || n, '', '/' || r, 'GET', 200
            FROM generate_series(0, %s) AS n, generate_series(1, %s) AS r
            """,
            (OBJECTIVES // 2 - 1, SERIES),
        )
        connection.execute("INSERT INTO writers (id, process_id) VALUES (1, 1)")
        connection.execute(
            """
            INSERT INTO deltas (writer_id, seq, series_id, second, n, bad, duration_us, fast, sketch)
            SELECT 1, s + 1, id, date_trunc('second', to_timestamp(%s)) - s * interval '1 second', 10, 0, 1000,
                ARRAY[(%s::bigint << 32) | 10], '{}'
            FROM series, generate_series(0, %s) AS s
            """,
            (now, THRESHOLD_US, UNFOLDED_S - 1),
        )
        connection.execute("VACUUM ANALYZE")


async def measure(env: Environment, url: str) -> list[Figure]:
    """Fill the database, then measure each question."""
    db = Database(url, "evenkeel bench")
    policies = Policies(env, db, Bus(db, None))
    try:
        await policies.start()
        assert len(policies.objectives) == OBJECTIVES
        now = time.time()
        await asyncio.to_thread(fill, url, now)
        return await figures(db, policies, now)
    finally:
        await policies.close()
        await db.close()


async def figures(db: Database, policies: Policies, now: float) -> list[Figure]:
    evaluation = Evaluation(db, policies)
    await evaluation.evaluate([], now)
    last = await evaluation.evaluate([], now)

    async def windows_anew() -> None:
        async with db.ask() as connection:
            await LedgerWindows(evaluation.windows.spans).read(connection, policies.objectives, now)

    async def tick() -> None:
        await evaluation.evaluate([], now)

    async def tick_with_part() -> None:
        oldest = min(evaluation.windows.bases, key=lambda number: evaluation.windows.bases[number].at)
        del evaluation.windows.bases[oldest]
        await evaluation.evaluate([], now)

    async def status() -> None:
        async with db.ask() as connection:
            exact = await recount_store.exactness(connection, [o.id for o in policies.objectives], now)
        msgspec.json.encode(answers.objectives(policies.number, policies.objectives, last, exact))

    cores = Cores(db)
    return [
        *await cores.timed("the ledger's windows, all read at once", windows_anew),
        *await cores.timed("an evaluation tick", tick, TICK_LIMIT_MS),
        *await cores.timed("a tick that reads a part of the ledger", tick_with_part, TICK_LIMIT_MS),
        *await cores.timed("the status of every objective", status, STATUS_LIMIT_MS),
    ]


class Cores:
    """Measures the time of a core that a question takes, here and in PostgreSQL, and how long it is waited for."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def timed(
        self, name: str, question: Callable[[], Awaitable[None]], limit: float | None = None
    ) -> list[Figure]:
        """The mean of the core's time, which is held to the limit; the median of the wait, which others share."""
        await question()  # warms up
        waits, began = [], await self.used_ms()
        for _ in range(ROUNDS):
            asked = time.perf_counter()
            await question()
            waits.append((time.perf_counter() - asked) * 1000)
        used = (await self.used_ms() - began) / ROUNDS
        name = f"{OBJECTIVES} objectives: {name}"
        return [
            Figure(f"{name}, of one core", used, "ms", limit),
            Figure(f"{name}, waited", statistics.median(waits), "ms"),
        ]

    async def used_ms(self) -> float:
        """The time of a core that this process and its connections have used."""
        async with self.db.ask() as connection:
            found = await connection.execute(BACKENDS)
        return time.process_time() * 1000 + sum(cpu_ms(row.pid) for row in found)


def cpu_ms(pid: int) -> float:
    """What a process has used, by Linux, in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")
