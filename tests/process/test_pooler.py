"""Behind PgBouncer in transaction mode: everything works, and what needs a session says so or goes around it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from server.kernel.db import LIMITS, Database, local
from server.process import embedded
from server.process.migrate import current, head, migrate
from tests.conftest import free_port
from tests.running import Running
from tests.waiting import wait_for

Start = Callable[..., Running]

# Few sessions, so that each is given to everybody in turn.
INI = """
[databases]
* = host={socket_dir} user=evenkeel
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 6
max_client_conn = 500
{more}
"""


@pytest.fixture(
    params=[
        pytest.param("", id="plain", marks=pytest.mark.soak),
        pytest.param("ignore_startup_parameters = extra_float_digits, options", id="ignoring"),
    ]
)
def pooler(request: pytest.FixtureRequest, cluster: embedded.Cluster, tmp_path: Path) -> Iterator[int]:
    """The port of a PgBouncer in front of the session's PostgreSQL."""
    yield from running_pooler(cluster, tmp_path, request.param)


@pytest.fixture
def plain_pooler(cluster: embedded.Cluster, tmp_path: Path) -> Iterator[int]:
    yield from running_pooler(cluster, tmp_path, "")


def running_pooler(cluster: embedded.Cluster, tmp_path: Path, more: str) -> Iterator[int]:
    found = shutil.which("pgbouncer")
    if found is None and "CI" not in os.environ:
        pytest.skip("PgBouncer is not installed; Debian's package pgbouncer has it")
    assert found, "pgbouncer is missing; .ci/run installs it"
    port = free_port()
    ini = tmp_path / "pgbouncer.ini"
    ini.write_text(INI.format(socket_dir=cluster.socket_dir, port=port, more=more))
    with (tmp_path / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(embedded.as_user(cluster, [found, str(ini)]), stdout=log, stderr=log)
    try:
        wait_for(lambda: listens(port), "PgBouncer to listen")
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def through(port: int, database_url: str) -> str:
    name = re.search(r"/(t\w+)\?", database_url)
    assert name
    return f"postgresql://evenkeel@127.0.0.1:{port}/{name[1]}"


def outcome(number: int) -> dict[str, object]:
    return {
        "service": f"s{number % 7}", "route": f"/{number % 5}", "method": "GET", "status": 200, "duration_ms": 1,
        "request_id": f"pooled-{number}",
    }  # fmt: skip


def test_migrations_and_a_server_work_and_the_start_says_that_it_polls(
    running: Start, pooler: int, empty_database_url: str
) -> None:
    url = through(pooler, empty_database_url)
    migrate(url)
    assert current(url) == head()
    server = running(DATABASE_URL=url, WEB_CONCURRENCY="2")
    key = server.command("key", "create", "pooled", "--scope", "ingest", "--scope", "read")
    paths = ["/api/v1/services", "/api/v1/config", "/api/v1/slos", "/api/v1/outcomes?service=s1"] * 10

    def send(number: int) -> int:
        headers = {"Idempotency-Key": f"key-{number}"}
        return server.call("POST", "/api/v1/outcomes", key=key, data=[outcome(number)], headers=headers)[0]

    with ThreadPoolExecutor(8) as people:
        asked = people.map(lambda path: server.get(path, key)[0], paths)
        sent = people.map(send, range(60))
        assert set(sent) == {201}
        assert set(asked) == {200}
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM outcomes").fetchone() == (60,)
    output = server.output()
    assert "DATABASE_URL leads through a pooler" in output
    assert "prepared statement" not in output
    # A job that waits too long for one of the pooler's few connections says so, and runs again.
    assert [line for line in output.splitlines() if " error " in line and "evenkeel.watch: job" not in line] == []


def test_with_a_direct_url_signals_arrive(running: Start, plain_pooler: int, database_url: str) -> None:
    server = running(DATABASE_URL=through(plain_pooler, database_url), DATABASE_DIRECT_URL=database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        listening = (  # and from time to time asks whether the server is still there
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND client_port = -1"
            " AND application_name ~ 'bus' AND query ~ '^(LISTEN|SELECT 1)'"
        )
        own = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name ~ 'own lane|lease' AND client_port = -1"
        )
        wait_for(lambda: connection.execute(own).fetchone() == (2,), "the lease and the lane, by the socket")
        wait_for(lambda: connection.execute(listening).fetchone() != (0,), "a process to listen")
    assert "leads through a pooler" not in server.output()


@pytest.mark.gen_test
async def test_limits_hold_in_each_transaction_and_nothing_stays_in_a_session(
    plain_pooler: int, database_url: str
) -> None:
    shown = "SELECT current_setting('statement_timeout'), current_setting('jit'), current_setting('timezone')"
    db = Database(through(plain_pooler, database_url))
    try:
        async with db.ask() as one:
            assert (await one.exec_driver_sql(shown)).one() == ("10s", "off", "UTC")
            async with db.act() as two:
                assert (await two.exec_driver_sql(shown)).one() == ("5s", "off", "UTC")
        connection = await db.raw("looking")
        assert connection.prepare_threshold is None
        found = await (await connection.execute("SELECT current_setting('statement_timeout')")).fetchone()
        assert found == ("0",)
        await connection.execute(f"BEGIN; {local(connection)}")
        found = await (await connection.execute("SELECT current_setting('lock_timeout')")).fetchone()
        assert found == (LIMITS["lock_timeout"],)
        await connection.close()
        assert db.unlimited == {}
    finally:
        await db.close()
