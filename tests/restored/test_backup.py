"""The commands of docs/backup.md, run as they stand there: a dump of a service that runs, and back to a moment."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from server.kernel.settings import read_environment
from server.process import embedded
from tests.conftest import ROOT, free_port
from tests.ingest.outage import away
from tests.notify.hook import Hook
from tests.notify.making import Desk
from tests.process.test_crash import POLICY, counted, ledger
from tests.running import Running, base_environment
from tests.waiting import wait_for

pytestmark = pytest.mark.soak

DOCUMENT = (ROOT / "docs" / "backup.md").read_text()
BATCH = 10


def blocks(heading: str) -> list[str]:
    """The commands under a heading, block by block."""
    section = DOCUMENT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
    assert found, heading
    return found


class Operator:
    """Somebody who types what the document says, as a user of the system or as root."""

    def __init__(self, backup: Path, variables: dict[str, str], user: embedded.Cluster | None = None) -> None:
        self.backup = backup
        self.variables = variables
        self.user = user
        self.path = f"{Path(sys.executable).parent}:{Path(embedded.binary('psql')).parent}:{os.environ['PATH']}"

    def types(self, commands: str, **more: str) -> str:
        """What they print; fails with what went wrong."""
        line = ["bash", "-e", "-u", "-o", "pipefail", "-c", commands]
        if self.user is not None:
            line = embedded.as_user(self.user, [shutil.which("bash") or "bash", *line[1:]])
        given = base_environment() | self.variables | {"BACKUP": str(self.backup), "PATH": self.path} | more
        done = subprocess.run(line, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that the database's user may write to as well, with a path short enough for a socket."""
    path = Path(tempfile.mkdtemp(prefix="ek-b-"))
    path.chmod(0o777)
    (path / "slo.yaml").write_text(POLICY)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def service(directory: Path) -> Iterator[Any]:
    """`server = service(DATA_DIR=…)`: the service, ready, stopped afterwards at the latest."""
    started: list[Running] = []

    def start(**more: str) -> Running:
        started.append(running(directory, **more))
        started[-1].wait_ready()
        return started[-1]

    yield start
    for server in started:
        server.stop()


def running(directory: Path, **more: str) -> Running:
    given = {
        "PORT": str(free_port()), "HOST": "127.0.0.1", "SLO_FILE": str(directory / "slo.yaml"), "LOG_FORMAT": "text",
        "SECRET_KEY": "a-key-for-tests-only", "SPOOL": "on", "NOTIFY_ALLOW_PRIVATE": "true",
    } | more  # fmt: skip
    return Running(given, directory / f"server-{given['PORT']}.log")


class Sender:
    """Sends batches with one failure in each, and remembers them."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.sent: dict[str, list[dict[str, Any]]] = {}

    def send(self, server: Running, times: int = 1) -> list[str]:
        """The keys of so many batches that were acknowledged."""
        keys = [uuid.uuid4().hex for _ in range(times)]
        for key in keys:
            self.sent[key] = [
                {"service": "loaded", "route": "/", "method": "GET", "status": 200 if i else 503, "duration_ms": i,
                 "request_id": f"b-{uuid.uuid4().hex}"}
                for i in range(BATCH)
            ]  # fmt: skip
            self.again(server, key)
        return keys

    def again(self, server: Running, key: str) -> int:
        status, said = server.call(
            "POST", "/api/v1/outcomes", key=self.key, data=self.sent[key], headers={"Idempotency-Key": key}
        )
        assert status in (201, 202), said
        return status

    def is_all_there(self, url: str, keys: list[str]) -> None:
        """These batches and no others are in the database, each once, and every count agrees to the unit."""
        ids = sorted(one["request_id"] for key in keys for one in self.sent[key])
        with psycopg.connect(url, autocommit=True) as connection:

            def stored() -> list[str]:
                found = connection.execute("SELECT request_id FROM outcomes WHERE request_id LIKE 'b-%'")
                return sorted(row[0] for row in found)

            wait_for(lambda: len(stored()) >= len(ids), "the outcomes")
            assert stored() == ids
            bad = len(keys)
            wait_for(lambda: ledger(connection) == (len(ids) - bad, bad), "the ledger")
            wait_for(lambda: counted(connection) == (len(ids), bad), "the rollups")


def watch_of(server: Running) -> int:
    (pid,) = [pid for pid in server.children() if Path(f"/proc/{pid}/comm").read_text() == "ek:watch.1\n"]
    return pid


def test_a_dump_of_a_running_service_starts_again_and_counts_everything_once(directory: Path, service: Any) -> None:
    backup, data = directory / "backup", directory / "data"
    backup.mkdir()
    server = service(DATA_DIR=str(data))
    url = embedded.cluster(read_environment({"DATA_DIR": str(data)}, for_database_only=True)).url
    sender = Sender(server.key("ingest", "read"))
    kept = sender.send(server, 5)
    sender.is_all_there(url, kept)
    # A spool of before: what waits in it is in the database when the dump is made, and on the disk a second time.
    with away(url):
        spooled = sender.send(server, 2)
        shutil.copytree(data / "spool", directory / "spool-of-before")
    kept += spooled
    sender.is_all_there(url, kept)
    # Deltas that nobody has folded, a message that waits, somebody signed in: and then the dump.
    os.kill(watch_of(server), signal.SIGSTOP)
    kept += sender.send(server, 3)
    hook, desk = Hook(), Desk(url)
    target = desk.target("hook", "webhook", f"http://127.0.0.1:{hook.port}/")
    desk.do(
        "INSERT INTO notifications (alert_id, target_id, event, dedup_key, body)"
        " VALUES (%s, %s, 'trigger', 'waits', %s)",
        *(desk.alert(state="resolved").id, target, '{"text": "of before"}'),
    )
    assert desk.rows("SELECT count(*) FROM deltas") != [(0,)]
    operator = Operator(backup, server.variables | {"NAME": "evenkeel"})
    operator.types(blocks("A dump")[0])
    lost = sender.send(server, 2)
    os.kill(watch_of(server), signal.SIGCONT)
    desk.close()
    assert server.stop() == 0

    operator.types(blocks("A dump")[1])
    shutil.rmtree(data / "spool")
    shutil.copytree(directory / "spool-of-before", data / "spool")
    said = operator.types(blocks("After a restore")[0])
    assert "messages that waited are not sent" in said
    with hook.up():
        server = service(DATA_DIR=str(data))
        sender.is_all_there(url, kept)
        assert sender.again(server, kept[0]) == 201, "its key is known"
        kept += sender.send(server, 2)
        sender.again(server, lost[0])  # as a sender does that kept what it could not be sure of
        sender.is_all_there(url, [*kept, lost[0]])
        assert server.stop() == 0
    assert hook.keys == []


def test_back_to_a_moment(directory: Path, service: Any) -> None:
    backup, pgdata, sockets = directory / "backup", directory / "pg", directory / "run"
    place = embedded.cluster(read_environment({"DATA_DIR": str(directory / "pg-user")}))
    backup.mkdir()
    sockets.mkdir()
    for path in (backup, sockets):
        embedded.own(place, path)
    url = f"postgresql://evenkeel@/evenkeel?host={sockets}"
    operator = Operator(
        backup, {"PGDATA": str(pgdata), "DATABASE_URL": url, "LC_ALL": "C.UTF-8"}, place if place.user else None
    )
    options = f"unix_socket_directories = '{sockets}'\nlisten_addresses = ''\nfsync = off\n"
    operator.types(
        "initdb -U evenkeel -A trust --no-instructions >/dev/null\n"
        f'cat >> "$PGDATA/postgresql.conf" <<END\n{options}END\n'
        f'pg_ctl start --silent --log="$PGDATA.log"; createdb -U evenkeel -h {sockets} evenkeel'
    )
    try:
        once, nightly, back = blocks("To a point in time")
        operator.types(once)
        variables = {"DATABASE_URL": url, "DATA_DIR": str(directory / "machine")}
        person = Operator(backup, variables)
        person.types("python -m alembic upgrade head")
        server = service(**variables)
        sender = Sender(server.key("ingest", "read"))
        kept = sender.send(server, 2)
        operator.types(nightly)
        (base,) = backup.glob("base-*")
        kept += sender.send(server, 3)
        with psycopg.connect(url, autocommit=True) as connection:
            moment = connection.execute("SELECT clock_timestamp()::text").fetchone()
        assert moment is not None
        lost = sender.send(server, 2)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_switch_wal()")
        server.stop()
        operator.types(back, MOMENT=moment[0], BASE=str(base))
        person.types(blocks("After a restore")[0])
        server = service(**variables)
        sender.is_all_there(url, kept)
        sender.again(server, lost[0])
        kept += [lost[0], *sender.send(server)]
        sender.is_all_there(url, kept)
        server.stop()
    finally:
        operator.types("pg_ctl stop --silent --mode=immediate")
