"""Where faults are made: a server of real processes, and a PostgreSQL and a Redis that the test holds itself."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from server.kernel.settings import read_environment
from server.process import embedded
from tests.conftest import answers, free_port, redis_binary, variables
from tests.process.test_crash import POLICY
from tests.running import Running
from tests.waiting import wait_for

# Each process takes the step that the file of its number says, within 50 ms: a clock that was set.
STEPPING = """
import os, threading, time
right, step = time.time, [0.0]
time.time = lambda: right() + step[0]

def look():
    while True:
        try:
            step[0] = float(open(f"{os.environ['STEPS']}/{os.getpid()}").read() or 0)
        except (OSError, ValueError):
            pass
        time.sleep(0.05)

os.register_at_fork(after_in_child=lambda: threading.Thread(target=look, daemon=True).start())
threading.Thread(target=look, daemon=True).start()
"""


@dataclass
class Place:
    """What a fault can be done to. The database's data is below `disk`, everything else below `root`.

    `second`: the outcomes' own database, where there is one.
    """

    root: Path
    disk: Path
    cluster: embedded.Cluster
    server: Running
    redis: subprocess.Popen[bytes]
    second: embedded.Cluster | None = None

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def steps(self) -> Path:
        return self.root / "steps"

    def connect(self, database: str = "evenkeel") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.cluster.url, dbname=database, autocommit=True, connect_timeout=5)

    def one_of(self, kind: str) -> int:
        """The pid of a live process of the kind."""
        with self.connect() as connection:
            row = connection.execute(
                "SELECT pid FROM processes WHERE kind = %s AND stopped_at IS NULL ORDER BY heartbeat_at DESC LIMIT 1",
                (kind,),
            ).fetchone()
        assert row is not None, f"no {kind} process"
        return int(str(row[0]))

    def postgres(self) -> list[int]:
        """The postmaster and all that it has forked."""
        first = embedded.postmaster_pid(self.cluster)
        assert first is not None, "PostgreSQL does not run"
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def immediate_stop(self, cluster: embedded.Cluster) -> None:
        """As `pg_ctl stop -m immediate`: no checkpoint, the next start recovers."""
        pid = embedded.postmaster_pid(cluster)
        if pid is not None:
            os.kill(pid, signal.SIGQUIT)
            wait_for(lambda: embedded.postmaster_pid(cluster) is None, "PostgreSQL to end")

    def settled(self) -> bool:
        """Whether the server is ready and nothing waits in a spool."""
        return self.server.ready() and not any(self.spool.glob("*/*.spool"))

    def state(self) -> str:
        """What a person would look at: readiness, what is spooled, the end of the log."""
        files = [path.stat().st_size for path in self.spool.glob("*/*.spool")]
        lines = [line for line in self.server.output().splitlines() if "evenkeel.access" not in line]
        end = "\n".join(lines[-20:])
        return f"{self.server.get('/health/ready')}\n{len(files)} spooled files of {sum(files)} bytes\n{end}"


def started(root: Path, disk: Path, number: int, **given: str) -> Running:
    """The server, its database on `disk`."""
    of_place = {
        "WEB_CONCURRENCY": "2",
        "SPOOL": "on",
        "SLO_FILE": str(root / "slo.yaml"),
        "PYTHONPATH": str(root / "stepping"),
        "STEPS": str(root / "steps"),
    }
    environment = variables(cluster_on(disk).url, root, **of_place, **given)
    server = Running(environment, root / f"server-{number}.log")
    server.wait_ready()
    return server


def cluster_on(disk: Path) -> embedded.Cluster:
    return embedded.cluster(read_environment({"DATA_DIR": str(disk)}))


@contextmanager
def made(root: Path, disk: Path, *, second: bool = False) -> Iterator[Place]:
    """PostgreSQL with the release phase done, Redis and the server; all ended afterwards. `second`: outcomes have a
    PostgreSQL of their own."""
    from server.process.migrate import migrate

    for name in ("stepping", "steps"):
        (root / name).mkdir()
    (root / "stepping" / "sitecustomize.py").write_text(STEPPING)
    (root / "slo.yaml").write_text(POLICY)
    clusters = [cluster_on(disk), *([cluster_on(root / "second")] if second else [])]
    for cluster in clusters:
        embedded.start(cluster)
        migrate(cluster.url)
    port = free_port()
    command = [redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    redis = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
    wait_for(lambda: answers(port), "Redis to start")
    given = {"REDIS_URL": f"redis://127.0.0.1:{port}/0"}
    if second:
        given["OUTCOMES_DATABASE_URL"] = clusters[1].url
    place = Place(root, disk, clusters[0], started(root, disk, 0, **given), redis, *clusters[1:])
    try:
        yield place
    finally:
        place.server.stop(signal.SIGTERM)
        redis.kill()
        redis.wait()
        for cluster in clusters:
            embedded.stop(cluster)
