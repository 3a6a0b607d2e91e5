"""The queries benchmark: on data like real data, in a database of its own that does not stay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from benchmarks import queries
from benchmarks.queries import Timing, over, table
from benchmarks.query_database import PREFIX, own_database

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | variables
    command = [sys.executable, "scripts/benchmark_queries.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=100)


def left_behind(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (PREFIX + "%",))
        return [str(row[0]) for row in found]


@pytest.mark.soak
def test_every_question_is_timed_and_the_database_is_removed(database_url: str) -> None:
    found = run("--outcomes", "3000", "--rounds", "2", "--yes-write-here", DATABASE_URL=database_url)
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert len(lines) >= 15
    assert all(float(line.split()[-1]) > 0 for line in lines[1:])
    assert left_behind(database_url) == []


@pytest.mark.parametrize(
    "name", ["BENCH_FAIL_THRESHOLD_MS", pytest.param("BENCH_FAIL_P95_THRESHOLD_MS", marks=pytest.mark.soak)]
)
def test_above_a_threshold_it_fails(database_url: str, name: str) -> None:
    variables = {"DATABASE_URL": database_url, name: "0.001"}
    found = run("--outcomes", "300", "--rounds", "1", "--yes-write-here", **variables)
    assert (found.returncode, "OVER" in found.stdout) == (1, True), found.stderr


def test_a_database_that_is_not_ours_is_asked_for_first(database_url: str) -> None:
    found = run("--outcomes", "10", DATABASE_URL=database_url)
    assert (found.returncode, found.stdout) == (2, "")
    assert "--yes-write-here" in found.stderr


def test_a_threshold_that_is_none_is_named(database_url: str) -> None:
    found = run(DATABASE_URL=database_url, BENCH_FAIL_THRESHOLD_MS="quick")
    assert found.returncode == 2
    assert "BENCH_FAIL_THRESHOLD_MS" in found.stderr


def test_a_failure_removes_the_database_too(database_url: str) -> None:
    def fails() -> None:
        with own_database(database_url) as url:
            assert len(left_behind(url)) == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert left_behind(database_url) == []


def test_what_a_killed_run_left_is_removed_and_what_is_in_use_stays(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {PREFIX}dead")
    with own_database(database_url) as mine, psycopg.connect(mine):
        assert len(left_behind(database_url)) == 1
        with own_database(database_url):
            assert len(left_behind(database_url)) == 2


def test_both_limits_count() -> None:
    timing = Timing("x", 1, mean=5, p50=4, p95=9, slowest=9)
    assert [over(timing, None, None), over(timing, 5, 9), over(timing, 4, None), over(timing, None, 8)] == [
        False,
        False,
        True,
        True,
    ]
    assert "OVER" in table([timing], 1, None)


def test_the_data_is_as_ingest_and_the_fold_leave_it(empty_database_url: str) -> None:
    """Rollups and the deltas after them add up to the outcomes, to the unit."""
    import asyncio
    import time

    from benchmarks.query_data import fill
    from server.ingest.partitions import ensure_partitions
    from server.kernel.db import Database
    from server.live.questions import whole_summary
    from server.process.migrate import migrate

    migrate(empty_database_url)

    async def totals() -> int:
        db = Database(empty_database_url)
        await ensure_partitions(db, time.time(), 8)
        await asyncio.to_thread(fill, empty_database_url, 2000, lambda n: None)
        counted = 0
        async with db.ask() as connection:
            for service in ("evenkeel", "checkout", "search", "catalogue"):
                counted += (await whole_summary(connection, service, 8 * 86400, time.time(), None)).volume
        await db.close()
        return counted

    counted = asyncio.run(totals())
    with psycopg.connect(empty_database_url) as connection:
        (row,) = connection.execute("SELECT count(*) FROM outcomes").fetchall()
    assert counted == row[0] > 1900
    assert queries.WARM_UP > 0
