"""`python -m server` with its embedded database: every way to end it, and what the next start finds."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.kernel.settings import read_environment
from server.process import embedded
from tests.conftest import ROOT, free_port, variables
from tests.process.test_shutdown import accepts, half_sent
from tests.running import Running, base_environment
from tests.waiting import PATIENCE_S, wait_for

Start = Callable[..., Running]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="ek-")) / "data"
    yield path
    embedded.stop(embedded.cluster(read_environment({"DATA_DIR": str(path)})))
    shutil.rmtree(path.parent)


@pytest.fixture
def start(data_dir: Path) -> Iterator[Start]:
    servers: list[Running] = []

    def begin(**overrides: str) -> Running:
        given = {"DATA_DIR": str(data_dir), "PORT": str(free_port()), "HOST": "127.0.0.1", "LOG_FORMAT": "text"}
        server = Running(given | {"SLO_FILE": str(ROOT / "slo.yaml")} | overrides, data_dir.parent / "server.log")
        servers.append(server)
        server.wait_ready()
        return server

    yield begin
    for server in servers:
        server.stop(signal.SIGKILL)


FROZEN = """
import gc, os
from server.process import serve, supervisor
supervisor.Supervisor.run = lambda self: print(gc.get_freeze_count() > 100_000, len(gc.get_objects()) < 50_000)
serve.serve(serve.read_environment(dict(os.environ)))
"""


def test_what_is_imported_is_no_work_for_the_collectors_of_its_children(tmp_path: Path) -> None:
    """A full collection of it takes seconds on a busy machine, in which no transaction of a start goes on."""
    given = base_environment() | variables("postgresql://127.0.0.1:1/none", tmp_path, PUBLIC_URL="http://localhost")
    done = subprocess.run(
        [sys.executable, "-c", FROZEN], cwd=ROOT, env=given, capture_output=True, text=True, check=True
    )
    assert "True True" in done.stdout.splitlines(), done.stdout  # warnings stand before or behind it


def postgres_of(data_dir: Path) -> int | None:
    return embedded.postmaster_pid(embedded.cluster(read_environment({"DATA_DIR": str(data_dir)})))


def gone(pid: int) -> bool:
    """Whether the process has ended; a zombie that nobody has reaped has ended too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


@pytest.mark.parametrize("presses", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_ctrl_c_stops_everything(start: Start, data_dir: Path, presses: int) -> None:
    server = start(WEB_CONCURRENCY="2")
    children = server.children()
    assert {Path(f"/proc/{pid}/comm").read_text() for pid in children} >= {"ek:web.1\n", "ek:web.2\n", "ek:watch.1\n"}
    for _ in range(presses):  # a terminal sends it to the whole group
        os.killpg(server.process.pid, signal.SIGINT)
        time.sleep(0.05)
    assert server.process.wait(PATIENCE_S) == 0
    wait_for(lambda: all(gone(pid) for pid in children), "the children to have ended")
    assert postgres_of(data_dir) is None


@pytest.mark.soak
def test_kill_9_of_the_supervisor_ends_its_database_and_loses_nothing(start: Start, data_dir: Path) -> None:
    """As ruby-foreman does 5 s after a SIGTERM: the processes finish what is in flight, and the database after them."""
    server = start()
    key = server.command("key", "create", "kept", "--scope", "ingest", "--scope", "read")
    children, database = server.children(), postgres_of(data_dir)
    assert database is not None
    one = {"service": "late", "route": "/", "method": "GET", "status": 200, "duration_ms": 1, "request_id": "the-late"}
    body = json.dumps([one]).encode()
    connection = half_sent(server, key, body)
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: not accepts(server), "new connections to be refused")
    server.stop(signal.SIGKILL)
    connection.sendall(body[len(body) // 2 :])
    assert connection.recv(65536).decode().startswith("HTTP/1.1 201")
    wait_for(lambda: all(gone(pid) for pid in children), "the children to follow")
    wait_for(lambda: gone(database), "the database to end after them")
    again = start()
    found = again.get("/api/v1/outcomes?request_id=the-late", key)
    assert [each["service"] for each in found[1]["outcomes"]] == ["late"]


def test_kill_9_of_the_database_and_of_a_web_process_is_mended(start: Start, data_dir: Path) -> None:
    server = start()
    key = server.key("read")
    for find in (lambda: postgres_of(data_dir), lambda: server.children()[0]):
        victim = find()  # only now: what ran before may have been replaced
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        wait_for(functools.partial(gone, victim), "it to die")
        server.wait_ready()
    wait_for(lambda: server.get("/api/v1/services", key)[0] == 200, "the processes to have their connections again")


def test_a_second_server_on_the_same_directory_or_port_says_so(start: Start, data_dir: Path) -> None:
    server = start()
    second = Running(server.variables | {"PORT": str(free_port())}, data_dir.parent / "second.log")
    assert second.process.wait(PATIENCE_S) == 2
    assert "Another Evenkeel runs on" in second.output()
    same_port = Running(server.variables, data_dir.parent / "third.log")
    assert same_port.process.wait(PATIENCE_S) == 2
    elsewhere = {"DATA_DIR": str(data_dir.parent / "other")}
    port_alone = Running(server.variables | elsewhere, data_dir.parent / "fourth.log")
    assert port_alone.process.wait(PATIENCE_S) == 2
    assert f"Port {server.variables['PORT']}" in port_alone.output()
    key = server.key("read")
    assert server.get("/metrics", key)[0] == 200, "what the first one uses is untouched"


@pytest.mark.soak
def test_alembic_works_while_the_server_runs_and_without_it(start: Start, data_dir: Path) -> None:
    import subprocess
    import sys

    def alembic(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "DATA_DIR": str(data_dir)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    server = start()
    assert "(head)" in alembic("current")
    assert "0001" in alembic("history")
    server.stop(signal.SIGTERM)
    alembic("downgrade", "base")
    alembic("upgrade", "head")
    assert postgres_of(data_dir) is None


def test_a_policy_that_cannot_be_read_ends_a_first_start_and_says_where(data_dir: Path) -> None:
    data_dir.parent.joinpath("slo.yaml").write_text("apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: x}\nspec: 3\n")
    variables = {"DATA_DIR": str(data_dir), "PORT": str(free_port()), "HOST": "127.0.0.1"}
    server = Running(variables | {"SLO_FILE": str(data_dir.parent / "slo.yaml")}, data_dir.parent / "server.log")
    assert server.process.wait(PATIENCE_S) == 2
    assert "slo.yaml:4: SLO x: spec" in server.output()
    assert postgres_of(data_dir) is None
