"""Kill -9 under load: every acknowledged outcome is there once, and every count agrees to the unit."""

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.running import Running
from tests.waiting import PATIENCE_S, wait_for

ITEMS = 20

POLICY = """
apiVersion: openslo/v1
kind: Service
metadata: {name: loaded}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: loaded-availability}
spec:
  service: loaded
  indicator:
    metadata: {name: loaded-good}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {type: evenkeel, spec: {count: good}}}
        total: {metricSource: {type: evenkeel, spec: {count: all}}}
  timeWindow: [{duration: 28d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
"""


class Sender(threading.Thread):
    """Sends batches and repeats each under its Idempotency-Key until it is acknowledged."""

    def __init__(self, server: Running, key: str, name: str) -> None:
        super().__init__(daemon=True)
        self.server, self.key, self.name = server, key, name
        self.acknowledged: list[str] = []
        self.repeats = 0
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.is_set():
            ids = [f"{self.name}-{uuid.uuid4().hex}" for _ in range(ITEMS)]
            batch = [
                {"service": "loaded", "route": "/", "method": "GET", "status": 503 if i == 0 else 200,
                 "duration_ms": i, "request_id": one}
                for i, one in enumerate(ids)
            ]  # fmt: skip
            self.deliver(batch, uuid.uuid4().hex)
            self.acknowledged += ids

    def deliver(self, batch: list[dict[str, object]], idempotency_key: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                status, body = self.server.call(
                    "POST", "/api/v1/outcomes", key=self.key, data=batch, headers={"Idempotency-Key": idempotency_key}
                )
                if status == 201:
                    return
                assert status in (409, 503), body
            except OSError:
                pass  # the connection went with the process
            assert time.monotonic() < deadline, f"not acknowledged within {PATIENCE_S} s"
            self.repeats += 1
            time.sleep(0.05)


@pytest.mark.soak
def test_kill_9_of_web_and_watch_under_load(running: Callable[..., Running], database_url: str, tmp_path: Path) -> None:
    policy = tmp_path / "slo.yaml"
    policy.write_text(POLICY)
    server = running(WEB_CONCURRENCY="2", SLO_FILE=str(policy))
    key = server.key("ingest", "read")
    senders = [Sender(server, key, f"s{i}") for i in range(8)]
    for sender in senders:
        sender.start()
    time.sleep(2)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for kind in ("web", "web", "watch"):
            kill(connection, kind)
            time.sleep(2)
        for sender in senders:
            sender.ending.set()
        for sender in senders:
            sender.join(PATIENCE_S + 10)
            assert not sender.is_alive()
        server.wait_ready()
        sent = {one for sender in senders for one in sender.acknowledged}
        stored = [row[0] for row in connection.execute("SELECT request_id FROM outcomes WHERE request_id LIKE 's%-%'")]
        assert len(stored) == len(set(stored)), "an outcome is there twice"
        assert set(stored) == sent, "what was acknowledged is what is there"
        assert sum(sender.repeats for sender in senders) > 0, "the kills were felt"
        wait_for(lambda: ledger(connection) == (len(sent) - len(sent) // ITEMS, len(sent) // ITEMS), "the ledger")
        assert counted(connection) == (len(sent), len(sent) // ITEMS)


def kill(connection: psycopg.Connection[tuple[object, ...]], kind: str) -> None:
    """Kill -9 one live process of the kind and wait for its successor's heartbeat."""
    row = connection.execute(
        "SELECT id, pid FROM processes WHERE kind = %s AND stopped_at IS NULL ORDER BY heartbeat_at DESC LIMIT 1",
        (kind,),
    ).fetchone()
    assert row is not None
    os.kill(int(str(row[1])), signal.SIGKILL)
    newer = "SELECT count(*) FROM processes WHERE kind = %s AND id > %s"

    def back() -> bool:
        found = connection.execute(newer, (kind, row[0])).fetchone()
        return found is not None and found[0] != 0

    wait_for(back, f"another {kind} process")


def ledger(connection: psycopg.Connection[tuple[object, ...]]) -> tuple[object, object]:
    """Good and bad, as the ledger has them."""
    row = connection.execute(
        "SELECT coalesce(sum(good), 0)::int, coalesce(sum(bad), 0)::int FROM ledger_minutes"
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def counted(connection: psycopg.Connection[tuple[object, ...]]) -> tuple[object, object]:
    """All and bad outcomes of the service, as the rollups have them."""
    row = connection.execute(
        "SELECT sum(n)::int, sum(bad)::int FROM minutes JOIN series ON series.id = series_id WHERE service = 'loaded'"
    ).fetchone()
    assert row is not None
    return row[0], row[1]
