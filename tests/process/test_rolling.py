"""A rolling deploy: the release before and this one side by side on one database, under load, and no request fails.

What a platform does: the release phase migrates while the old processes serve, new ones start beside them, the
router goes over to those, and the old ones are told to stop one by one.
"""

from __future__ import annotations

import http.client
import itertools
import json
import select
import signal
import subprocess
import sys
import tarfile
import threading
import uuid
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import psycopg
import pytest

from benchmarks.signed_in import signed_in
from server.process.migrate import current, head
from tests.conftest import variables
from tests.process.test_crash import POLICY, counted, ledger
from tests.running import ROOT, Running, base_environment
from tests.waiting import PATIENCE_S, wait_for

THINK_S = 0.01  # between two requests of one client
BATCH = 20
MACHINES = 2


class Router:
    """Where requests go. Its workers are the clients: each keeps a connection, as a router does."""

    def __init__(self) -> None:
        self.there: list[Running] = []
        self.keeps = False  # a connection to a process that it no longer leads to is kept until that closes it
        self._turn = itertools.count()

    def next(self) -> Running:
        there = self.there
        return there[next(self._turn) % len(there)]


class Client(threading.Thread):
    """Asks again and again over one kept connection, and tries nothing twice."""

    def __init__(self, router: Router, key: str, cookie: str, number: int) -> None:
        super().__init__(daemon=True)
        self.router, self.key, self.cookie, self.number = router, key, cookie, number
        self.acknowledged: list[str] = []
        self.bad = 0
        self.failed: list[str] = []
        self.answers = 0
        self.ending = threading.Event()
        self._to: Running | None = None
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        for turn in itertools.count():
            if self.ending.wait(THINK_S):
                return
            try:
                self.look(turn) if self.number % 4 == 0 else self.send(1 if turn % 2 else BATCH)
                self.answers += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failed.append(f"{self._to.url if self._to else ''} {error!r}"[:300])
                self._connection = None

    def send(self, items: int) -> None:
        ids = [f"c{self.number}-{uuid.uuid4().hex}" for _ in range(items)]
        batch = [
            {"service": "loaded", "route": "/", "method": "GET", "status": 503 if items > 1 and i == 0 else 200,
             "duration_ms": i, "request_id": one}
            for i, one in enumerate(ids)
        ]  # fmt: skip
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        status, said = self.ask("POST", "/api/v1/outcomes", json.dumps(batch), headers)
        assert status == 201, said
        self.acknowledged += ids
        self.bad += items > 1

    def look(self, turn: int) -> None:
        """As a commander does: a page, or what it asks the API."""
        path = ("/", "/changes", "/api/v1/slos")[turn % 3]
        bearer = {"Authorization": f"Bearer {self.key}"} if path.startswith("/api") else {"Cookie": self.cookie}
        status, said = self.ask("GET", path, None, bearer)
        assert status == 200, said

    def ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, str]:
        connection = self.connected()
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")[:500]

    def connected(self) -> http.client.HTTPConnection:
        """The kept connection, unless its other side has closed it or the router leads elsewhere now."""
        kept = self._connection
        moved = self._to not in self.router.there and not self.router.keeps
        if kept is None or kept.sock is None or moved or select.select([kept.sock], [], [], 0)[0]:
            if kept is not None:
                kept.close()
            self._to = self.router.next()
            self._connection = http.client.HTTPConnection(self._to.url.removeprefix("http://"), timeout=PATIENCE_S)
        assert self._connection is not None
        return self._connection


def release_before(into: Path) -> Path:
    """The source tree before the newest migration came, as this repository's history has it."""
    # S607: git is wherever it is; a clone without history, or no clone at all, says so.
    git = ["git", "-C", str(ROOT)]
    newest = subprocess.run(
        [*git, "log", "-1", "--format=%H", "--diff-filter=A", "--", "migrations/versions/0*.py"],
        capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    tree = subprocess.run([*git, "archive", f"{newest}^"], capture_output=True, check=False)
    if not newest or tree.returncode:
        pytest.skip(f"this is no clone with its history: {tree.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(tree.stdout)) as packed:
        packed.extractall(into, filter="data")
    return into


def release_phase(root: Path, environment: dict[str, str]) -> None:
    """What Procfile runs before a release serves."""
    for command in (["alembic", "upgrade", "head"], ["server", "slo", "apply"]):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=root, env=base_environment() | environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@pytest.fixture
def deploy(empty_database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Any]:
    """Start one process of a release; all are stopped afterwards."""
    started: list[Running] = []
    policy = tmp_path / "slo.yaml"
    policy.write_text(POLICY)
    numbers = itertools.count()

    def environment() -> dict[str, str]:
        place = tmp_path / f"machine-{next(numbers)}"  # each has a disk of its own
        return variables(
            empty_database_url, place, REDIS_URL=redis_url, SLO_FILE=str(policy), PUBLIC_URL="http://localhost:8000"
        )

    def start(root: Path) -> Running:
        given = environment()
        server = Running(given, tmp_path / f"server-{given['PORT']}.log", root=root)
        started.append(server)
        return server

    start.environment = environment  # type: ignore[attr-defined]
    yield start
    for server in started:
        server.stop(signal.SIGTERM)


@pytest.mark.soak
def test_no_request_fails_and_nothing_is_lost_or_doubled(deploy: Any, empty_database_url: str, tmp_path: Path) -> None:
    before = release_before(tmp_path / "before")
    release_phase(before, deploy.environment())
    assert current(empty_database_url) != head(), "the release before has another schema"
    router = Router()
    router.there = old = [deploy(before) for _ in range(MACHINES)]
    for server in old:
        server.wait_ready()
    key, cookie = old[0].key("ingest", "read"), signed_in(old[0], "viewer")
    clients = [Client(router, key, cookie, number) for number in range(8)]

    def answered(times: int = 10) -> None:
        """Wait until every client had so many more answers, or a failure."""
        wanted = [client.answers + times for client in clients]
        wait_for(
            lambda: all(client.answers >= n or client.failed for client, n in zip(clients, wanted, strict=True)),
            "every client to be answered",
        )

    for client in clients:
        client.start()
    answered()
    release_phase(ROOT, deploy.environment())  # while the old one serves
    assert current(empty_database_url) == head()
    answered()
    new = [deploy(ROOT) for _ in range(MACHINES)]
    for server in new:
        server.wait_ready()
    router.there = old + new
    for gone in old:
        router.there = [server for server in router.there if server is not gone]
        answered(2)  # what is in flight ends, and nobody uses a connection to it any more
        assert gone.stop() == 0
    answered()
    # Within this release the router keeps connections: what stops has to say so on them.
    last = deploy(ROOT)
    last.wait_ready()
    router.keeps = True
    router.there = [last]
    for gone in new:
        assert gone.stop() == 0
    answered()
    for client in clients:
        client.ending.set()
    for client in clients:
        client.join(PATIENCE_S)
    assert [fault for client in clients for fault in client.failed] == []
    sent = [one for client in clients for one in client.acknowledged]
    is_exact(empty_database_url, sent, sum(client.bad for client in clients))


def is_exact(url: str, sent: list[str], bad: int) -> None:
    """Each is there once, and the ledger and the rollups agree to the unit."""
    with psycopg.connect(url, autocommit=True) as connection:
        stored = [row[0] for row in connection.execute("SELECT request_id FROM outcomes WHERE request_id LIKE 'c%-%'")]
        assert sorted(stored) == sorted(sent), "what was acknowledged is there, once"
        wait_for(lambda: ledger(connection) == (len(sent) - bad, bad), "the ledger")
        wait_for(lambda: counted(connection) == (len(sent), bad), "the rollups")
