"""An outage of the database under load, and kill -9 of everything in it: what was acknowledged is there once."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from server.ingest.spool.spool_slot import segments_in, slots_in
from tests.ingest.outage import away
from tests.process.test_crash import counted
from tests.process.test_supervisor import gone
from tests.running import Running
from tests.waiting import wait_for

ITEMS = 10


class SpooledSender(threading.Thread):
    """Sends batches, each once and every other one with a key; notes what was acknowledged, and how."""

    def __init__(self, server: Running, key: str) -> None:
        super().__init__(daemon=True)
        self.server, self.key = server, key
        self.acknowledged: dict[int, list[str]] = {201: [], 202: []}
        self.unsure: list[str] = []  # no answer came
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.is_set():
            ids = [uuid.uuid4().hex for _ in range(ITEMS)]
            batch = [
                {"service": "loaded", "route": "/", "method": "GET", "status": 200, "duration_ms": 1, "request_id": one}
                for one in ids
            ]
            headers = {"Idempotency-Key": ids[0]} if ids[0] < "8" else None
            try:
                status, _ = self.server.call("POST", "/api/v1/outcomes", key=self.key, data=batch, headers=headers)
            except OSError:
                self.unsure += ids
                continue
            self.acknowledged.get(status, []).extend(ids)


def stored(url: str) -> list[str]:
    with psycopg.connect(url, autocommit=True) as connection:
        return [row[0] for row in connection.execute("SELECT request_id FROM outcomes").fetchall()]


@pytest.mark.soak
def test_an_outage_under_load_and_kill_9_of_everything(
    running: Callable[..., Running], database_url: str, tmp_path: Path
) -> None:
    server = running(WEB_CONCURRENCY="2", SPOOL="on")
    root, key = tmp_path / "spool", server.key("ingest")
    senders = [SpooledSender(server, key) for _ in range(3)]
    for sender in senders:
        sender.start()
    wait_for(lambda: all(len(sender.acknowledged[201]) > 200 for sender in senders), "both processes to know the key")
    with away(database_url):
        wait_for(lambda: sum(bool(segments_in(slot)) for slot in slots_in(root)) == 2, "both processes to spool")
        wait_for(lambda: all(len(sender.acknowledged[202]) > 100 for sender in senders), "outcomes to be spooled")
        children = server.children()
        os.killpg(server.process.pid, signal.SIGKILL)
        for sender in senders:
            sender.ending.set()
            sender.join()
        wait_for(lambda: all(gone(pid) for pid in children), "all of it to be dead")
    before = len(stored(database_url))
    kept = {one for sender in senders for ids in sender.acknowledged.values() for one in ids}
    assert before < len(kept)
    running(WEB_CONCURRENCY="1", SPOOL="on")
    wait_for(lambda: not any(segments_in(slot) for slot in slots_in(root)), "both spools to be replayed")
    found = stored(database_url)
    assert len(found) == len(set(found)), "nothing twice"
    assert kept <= set(found), "nothing lost"
    assert set(found) - kept <= {one for sender in senders for one in sender.unsure}
    counts = (len(found), 0)
    with psycopg.connect(database_url, autocommit=True) as connection:
        wait_for(lambda: counted(connection) == counts, "the rollups to have counted each once")
