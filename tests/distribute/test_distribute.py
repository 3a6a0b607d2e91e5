"""Outcomes on the workers of Citus: all of it against a cluster where CITUS_URL names an empty database of one."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from server.__main__ import main
from server.distribute.command import distributed
from server.incidents import suspect_store
from server.incidents.suspect_rows import Drawn
from server.ingest.lines.line import LINE_ROWS, LogLine, line_rows
from server.ingest.partition_store import LINES
from server.ingest.partitions import drop_partitions, ensure_partitions, name_of
from server.kernel.db import Database
from server.kernel.times import utc
from server.live import outcome_store
from server.live.outcome_store import Filter
from server.live.outcomes import outcomes, outcomes_by_request_id
from server.process.migrate import migrate
from server.slo.ledger import rebuild_store
from server.slo.model.objective import Objective
from server.tables.binary import BEGIN, END
from server.telemetry import log_store
from server.telemetry.log_line import OwnLine
from tests.conftest import variables
from tests.ingest.bench import Bench, claim
from tests.ingest.making import outcome, rows, value
from tests.waiting import until

CITUS_URL = os.environ.get("CITUS_URL", "")
on_a_cluster = pytest.mark.skipif(not CITUS_URL, reason="CITUS_URL names no empty database of a Citus cluster")

DAY_S = 86_400.0


OURS = """
    SELECT format('DROP %s IF EXISTS %I CASCADE', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, relname),
        relkind = 'S' AS later
    FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S') AND NOT relispartition
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
    UNION ALL
    SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', oid::regprocedure), true FROM pg_proc AS f
    WHERE pronamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = f.oid AND deptype = 'e')
    ORDER BY later
"""


def run(tmp_path: Any, url: str, **given: str) -> str:
    done = CliRunner(env=variables(url, tmp_path) | given).invoke(main, ["distribute"])
    assert done.exit_code == 1
    return done.output


def test_it_does_nothing_where_it_cannot(database_url: str, tmp_path: Any) -> None:
    assert "Citus is not in this database, so nothing was done" in run(tmp_path, database_url)
    refused = run(tmp_path, database_url, OUTCOMES_DATABASE_URL="postgresql://h/outcomes")
    assert "OUTCOMES_DATABASE_URL is set" in refused


@pytest.fixture(scope="module")
def cluster_url() -> Iterator[str]:
    """Our tables on the cluster, taken away afterwards."""
    with psycopg.connect(CITUS_URL, autocommit=True) as connection:
        assert connection.execute(OURS).fetchall() == [], "CITUS_URL has tables: give an empty database"
        migrate(CITUS_URL)
        try:
            yield CITUS_URL
        finally:
            for drop, _ in connection.execute(OURS).fetchall():
                connection.execute(drop)


@pytest.fixture
def bench(io_loop: Any, cluster_url: str) -> Iterator[Bench]:
    async def made() -> Bench:
        db = Database(cluster_url, "test")
        await ensure_partitions(db, time.time(), 2)
        list(distributed(cluster_url))
        return Bench(cluster_url, db)

    found: Bench = io_loop.run_sync(made)
    yield found
    io_loop.run_sync(found.close)


@on_a_cluster
@pytest.mark.gen_test
async def test_it_is_done_once_with_what_was_stored_before(io_loop: Any, cluster_url: str) -> None:
    db = Database(cluster_url, "test")
    await ensure_partitions(db, time.time(), 2)
    before = Bench(cluster_url, db)
    batch = await before.batch(outcome(service="before", request_id="before"))
    await before.writer.store([batch], 10.0)
    tables = ("log_lines", "outcomes", "service_lines")
    by = ("request_id", "request_id", "arrived")
    told = [f"{table}: on 8 shards, by {column}." for table, column in zip(tables, by, strict=True)]
    assert list(distributed(cluster_url)) == told
    assert list(distributed(cluster_url)) == [f"{table}: distributed already." for table in tables]
    async with db.ask() as connection:
        assert [one.service for one in await outcomes_by_request_id(connection, "before")] == ["before"]
    await before.close()


@on_a_cluster
@pytest.mark.gen_test
async def test_a_flush_is_stored_once_and_found(bench: Bench) -> None:
    sent = [outcome(request_id=f"r{n}", route=f"/{n % 3}", status=500 if n % 2 else 200) for n in range(60)]
    for _ in range(2):
        batch = await bench.batch(*sent, claim=claim("once"))
        await bench.writer.store([batch], 20.0)
        await batch.done
    assert value(bench.url, "SELECT count(*) FROM outcomes WHERE request_id LIKE 'r%%'") == 60
    async with bench.db.ask() as connection:
        (found,) = await outcomes_by_request_id(connection, "r4")
        assert (found.service, found.route) == ("checkout", "/1")
        wanted = Filter("checkout", "/1", None, utc(time.time() - 5 * DAY_S))
        first = await outcomes(connection, wanted, None, 15)
        rest = await outcomes(connection, wanted, first.next, 15)
        assert len({one.request_id for one in first.outcomes + rest.outcomes}) == 20
        assert await outcome_store.newest(connection, Filter("other"), None, 10) == []
        since = utc(time.time() - 900)
        failing = await outcome_store.newest_failing(connection, "checkout", since, None, 40)
        assert {one.request_id for one in failing} == {f"r{n}" for n in range(60) if n % 2}
        (series,) = rows(
            bench.url, "SELECT id FROM series WHERE service = 'checkout' AND route = '/1' AND status = 500"
        )
        drawn = [Drawn(series[0], time.time() - 900, time.time() + 60, most) for most in (3, 100)]
        assert len(await suspect_store.sample(connection, drawn[:1], bad=True, over_us=None)) == 3
        assert len(await suspect_store.sample(connection, drawn[1:], bad=True, over_us=None)) == 10


@on_a_cluster
@pytest.mark.gen_test
async def test_a_threshold_is_measured_anew(bench: Bench) -> None:
    minute = int(time.time()) // 60 * 60 - 120
    slow = outcome(
        service="slow", timestamp=f"{datetime.fromtimestamp(minute, UTC):%Y-%m-%dT%H:%M:%SZ}", duration_ms=30
    )
    await bench.writer.store([await bench.batch(slow, slow | {"duration_ms": 10})], 20.0)
    with psycopg.connect(bench.url) as connection:
        connection.execute(
            "INSERT INTO minutes (series_id, minute, n, bad, duration_us, fast)"
            " SELECT id, to_timestamp(%s), 2, 0, 0, '{}' FROM series WHERE service = 'slow'",
            (minute,),
        )
    objective = Objective("fast", "", "slow", "latency", Fraction(9, 10), 20_000, 7)
    async with bench.db.rewrite() as connection:
        assert await rebuild_store.measure(connection, connection, objective, minute - 600, minute + 60) is None
    measured = "SELECT pair & 4294967295 FROM minutes, unnest(fast) AS pair WHERE pair >> 32 = 20000"
    assert rows(bench.url, measured) == [(1,)]


@on_a_cluster
@pytest.mark.gen_test
async def test_log_lines_are_kept_found_and_dropped(bench: Bench) -> None:
    raw = await bench.db.raw("test")
    lines = [
        OwnLine(at=time.time() - n * DAY_S, level="info", logger="t", request_id="q", message="m", fields={})
        for n in (0, 9)
    ]
    await log_store.keep(raw, [log_store.copy_row(line, "web.1") for line in lines])
    await raw.close()
    async with bench.db.ask() as connection:
        assert len(await log_store.lines(connection, "q")) == 2
    assert await log_store.forget_old(bench.db, 7, 1000) == 1


@on_a_cluster
def test_lines_of_services_are_on_every_shard(io_loop: Any, bench: Bench) -> None:
    io_loop.run_sync(lambda: ensure_partitions(bench.db, time.time(), 2, LINES))
    stored = line_rows([LogLine("shop", 0, "no id")] * 200, int(time.time() * 1e6))
    with psycopg.connect(bench.url) as connection, connection.cursor().copy(LINE_ROWS.statement) as copy:
        copy.write(BEGIN + stored.rows + END)
    assert value(bench.url, "SELECT count(*) FROM service_lines") == 200
    each = "SELECT result::int FROM run_command_on_shards('service_lines', 'SELECT count(*) FROM %%s')"
    assert min(n for (n,) in rows(bench.url, each)) > 0


@on_a_cluster
@pytest.mark.gen_test
async def test_a_day_that_is_over_is_dropped_once_its_readers_have_gone(bench: Bench) -> None:
    """One more is made first, of a day that is over for a shorter retention."""
    oldest = name_of(datetime.fromtimestamp(time.time() - 6 * DAY_S, UTC).date())
    assert oldest in await ensure_partitions(bench.db, time.time(), 6)
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
    with psycopg.connect(bench.url) as reader:
        reader.execute("SELECT count(*) FROM outcomes")
        dropping = asyncio.create_task(drop_partitions(bench.db, time.time(), 2))
        await until(lambda: value(bench.url, waits), "the drop to wait for the reader")
        await until(lambda: not value(bench.url, waits), "the drop to let others pass")
        reader.rollback()
        assert oldest in await dropping
    assert value(bench.url, f"SELECT to_regclass('{oldest}') IS NULL")
