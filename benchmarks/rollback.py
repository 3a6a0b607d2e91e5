"""From the click on rollback to the last of 4 processes: with Redis, without, and with ingest stuck.

Each click is a real request to a running server. The time is from before it is sent
to the moment from which the last process enforces it, as its receipt proves; that
each process really does is shown by batches sent over many connections.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from benchmarks.figure import Figure
from benchmarks.stand import free_port, percentile, stand
from server.kernel.settings import read_environment
from server.process import embedded
from tests.running import Running

PROCESSES = 4
CLICKS = int(os.environ.get("BENCH_CLICKS", "100"))
WARM_UP = 20  # the first self-checks run just after a start
CONNECTIONS = 24  # each new: the shared socket spreads them over the processes
LOW, HIGH = 2, 1000
WITH_REDIS_MS, WITHOUT_MS, STUCK_MS = 250.0, 1000.0, 2000.0


def run() -> list[Figure]:
    """Milliseconds from click to the last process, p99 over the clicks."""
    figures = []
    with redis_server() as url, stand(WEB_CONCURRENCY=str(PROCESSES), REDIS_URL=url) as server:
        figures += figures_of("with Redis", clicks(server, CLICKS), WITH_REDIS_MS)
    with stand(WEB_CONCURRENCY=str(PROCESSES)) as server:
        figures += figures_of("without Redis", clicks(server, CLICKS), WITHOUT_MS)
        with stuck_ingest(server) as took:
            figures += figures_of(
                "commits take 5 s, no Redis", clicks(server, max(3, CLICKS // 4), check=False), STUCK_MS
            )
        figures.append(Figure("ingest meanwhile, by the spool: median acknowledgement", percentile(took, 0.5), "s", 2))
    return figures


def figures_of(name: str, times_ms: list[float], limit_ms: float) -> list[Figure]:
    return [
        Figure(f"click to the last of {PROCESSES}, {name}: p50", percentile(times_ms, 0.5), "ms"),
        Figure(f"click to the last of {PROCESSES}, {name}: p99", percentile(times_ms, 0.99), "ms", limit_ms),
    ]


def clicks(server: Running, count: int, *, check: bool = True) -> list[float]:
    """Lower the batch limit and roll it back, again and again; the times of the rollbacks."""
    key = server.command("key", "create", "bench", "--scope", "ingest", "--scope", "read", "--scope", "act")
    times = []
    with psycopg.connect(database_url(server), autocommit=True) as connection:
        wait_for_receipts(connection, in_force(server, key))
        for click in range(-WARM_UP, count):
            before = in_force(server, key)
            change = {"values": {"INGEST_MAX_BATCH_ITEMS": LOW}, "reason": "benchmark"}
            saved = act(server, ("PATCH", "/api/v1/config"), key, change, f'"{before}"')
            wait_for_receipts(connection, saved)
            if check and 0 <= click < 3:
                assert statuses(server, key) == {413}, "some process took a batch that is too large"
            clicked = time.time()
            back = act(server, ("POST", "/api/v1/config/rollback"), key, {"from": saved, "to": before})
            took_ms = (wait_for_receipts(connection, back) - clicked) * 1000
            if click >= 0:
                times.append(took_ms)
            if check and 0 <= click < 3:
                assert statuses(server, key) == {201}, "some process refused a batch after the rollback"
    return times


def in_force(server: Running, key: str) -> int:
    status, body = server.get("/api/v1/config/revisions?limit=1", key)
    assert status == 200, body
    return int(body["revisions"][0]["revision"])


def act(server: Running, call: tuple[str, str], key: str, data: object, etag: str | None = None) -> int:
    """The revision that an act made."""
    headers = {"If-Match": etag} if etag else None
    status, body = server.call(*call, key=key, data=data, headers=headers)
    assert status == 200, body
    assert not body["already"], body
    return int(body["revision"])


def wait_for_receipts(connection: psycopg.Connection, revision: int) -> float:
    """Until every web process has proven it; when the last one began to enforce it, Unix seconds."""
    deadline = time.monotonic() + 30
    query = "SELECT count(*), extract(epoch FROM max(applied_at))::float8 FROM receipts WHERE revision = %s"
    while time.monotonic() < deadline:
        row = connection.execute(query, (revision,)).fetchone()
        assert row is not None
        if row[0] >= PROCESSES:
            return float(row[1])
        time.sleep(0.005)
    raise AssertionError(f"revision {revision} is not in force everywhere after 30 s")


def statuses(server: Running, key: str) -> set[int]:
    """What batches between the two limits are answered, over many connections."""
    batch = [{"service": "bench", "route": "/", "method": "GET", "status": 200, "duration_ms": 1}] * (LOW + 1)
    return {server.call("POST", "/api/v1/outcomes", key=key, data=batch)[0] for _ in range(CONNECTIONS)}


def database_url(server: Running) -> str:
    return embedded.cluster(read_environment(server.variables)).url


SLOW_COMMITS = """
CREATE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('bench.slept', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
        PERFORM set_config('bench.slept', pg_current_xact_id()::text, true);
        PERFORM pg_sleep(5);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON deltas DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slow_commit();
"""


@contextlib.contextmanager
def stuck_ingest(server: Running) -> Iterator[list[float]]:
    """Senders on every process while each commit of a flush takes 5 s; gives how long their requests took."""
    key = server.command("key", "create", "stuck", "--scope", "ingest")
    with psycopg.connect(database_url(server), autocommit=True) as connection:
        connection.execute(SLOW_COMMITS)
    one = [{"service": "s", "route": "/", "method": "GET", "status": 200, "duration_ms": 1}]
    stop, took = threading.Event(), list[float]()

    def send() -> None:
        while not stop.is_set():
            began = time.monotonic()
            server.call("POST", "/api/v1/outcomes", key=key, data=one)
            took.append(time.monotonic() - began)

    with concurrent.futures.ThreadPoolExecutor(8 * PROCESSES) as pool:
        for _ in range(8 * PROCESSES):
            pool.submit(send)
        time.sleep(1)
        try:
            yield took
        finally:
            stop.set()


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """A Redis of its own on a free port."""
    from tests.conftest import redis_binary

    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ekb-redis-") as directory:
        arguments = [redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory]
        with Path(directory, "log").open("wb") as log:
            process = subprocess.Popen(arguments, stdout=log, stderr=log)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()
            process.wait()
