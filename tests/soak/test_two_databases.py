"""Outcomes in a database of their own, while whole servers are killed: what is acknowledged is in both, once."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.soak.clients import KINDS, Client
from tests.soak.faults import away, kill_server, start_server
from tests.soak.place import Place, made
from tests.soak.test_faults import nothing_lost_or_doubled
from tests.waiting import wait_for

CALM_S = 3.0
KILLS = 4


@pytest.fixture
def place() -> Iterator[Place]:
    root = Path(tempfile.mkdtemp(prefix="ek-", dir="/var/tmp"))  # a real disk: commits take their time
    root.chmod(0o755)
    with made(root, root / "first", second=True) as place:
        yield place
    shutil.rmtree(root)


def marks(place: Place) -> int:
    assert place.second is not None
    with psycopg.connect(place.second.url) as connection:
        row = connection.execute("SELECT count(*) FROM flush_marks WHERE at < now() - interval '2 seconds'").fetchone()
        assert row is not None
        return int(str(row[0]))


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_whole_servers_are_killed_between_two_databases(place: Place) -> None:
    assert place.second is not None
    key = place.server.key("ingest", "read")
    clients = [Client(place.server, key, kind) for kind in KINDS for _ in range(2)]
    for client in clients:
        client.start()
    for _ in range(KILLS):
        time.sleep(CALM_S)
        kill_server(place)
        start_server(place)
    time.sleep(CALM_S)
    with away(place, place.second):
        time.sleep(CALM_S)
        kill_server(place)
    start_server(place)
    time.sleep(CALM_S)
    for client in clients:
        client.ending.set()
    for client in clients:
        client.join(60)
        assert not client.is_alive(), "a client still waits for its acknowledgement"
    assert not [each for client in clients for each in client.failed], "no answer but 201, 202, 409 and 503"
    statuses = {answer.status for client in clients for answer in client.answers}
    assert 202 in statuses, "while the second database was away the spool took it"
    wait_for(place.settled, "the spools to be replayed")
    wait_for(lambda: not marks(place), "what was never counted to be swept", 120)
    nothing_lost_or_doubled(place, clients)
