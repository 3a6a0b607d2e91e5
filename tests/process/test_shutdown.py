"""SIGTERM: nothing that was begun is lost, and nothing new is begun."""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.running import Running
from tests.waiting import PATIENCE_S, wait_for

Start = Callable[..., Running]


def half_sent(server: Running, key: str, body: bytes) -> socket.socket:
    """A connection on which the first half of an ingest request has arrived."""
    place = urlsplit(server.url)
    assert place.hostname is not None
    connection = socket.create_connection((place.hostname, place.port or 80), timeout=PATIENCE_S)
    head = (
        f"POST /api/v1/outcomes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body[: len(body) // 2])
    wait_for(lambda: has_read(connection), "the first half to be read")
    return connection


def has_read(connection: socket.socket) -> bool:
    """Whether the other end has been accepted and has nothing unread, as the kernel says (`man 5 proc_net_tcp`)."""
    ends = f"{connection.getpeername()[1]:04X}", f"{connection.getsockname()[1]:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_, inode = line.split()[:10]
        if (local[-4:], remote[-4:]) == ends:
            return inode != "0" and queues.endswith(":00000000")
    return False


def accepts(server: Running) -> bool:
    """Whether somebody still takes a new connection."""
    place = urlsplit(server.url)
    try:
        socket.create_connection((place.hostname or "", place.port or 80), timeout=PATIENCE_S).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_request_in_flight_is_finished_although_every_process_gets_the_signal(
    running: Start, database_url: str
) -> None:
    server = running(WEB_CONCURRENCY="2")
    key = server.key("ingest")
    one = {"service": "late", "route": "/", "method": "GET", "status": 200, "duration_ms": 1, "request_id": "the-late"}
    body = json.dumps([one]).encode()
    connection = half_sent(server, key, body)
    for pid in (server.process.pid, *server.children()):  # as a PaaS does
        with contextlib.suppress(ProcessLookupError):  # the supervisor passes it on itself
            os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not accepts(server), "new connections to be refused")
    connection.sendall(body[len(body) // 2 :])
    answer = connection.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 201"), answer
    assert server.process.wait(29) == 0
    with psycopg.connect(database_url) as database:
        assert database.execute("SELECT count(*) FROM outcomes WHERE request_id = 'the-late'").fetchone() == (1,)
        stopped = database.execute("SELECT count(*) FROM processes WHERE stopped_at IS NULL").fetchone()
        assert stopped == (0,), "every stop was an orderly one"


@pytest.mark.soak
def test_a_stop_that_waits_for_a_client_ends_in_time(running: Start) -> None:
    server = running()
    key = server.key("ingest")
    connection = half_sent(server, key, b"[" + b" " * 1000 + b"]")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(29) == 0
    connection.close()


def test_the_watch_is_replaced_at_once_after_an_orderly_stop(running: Start, database_url: str) -> None:
    running()
    with psycopg.connect(database_url, autocommit=True) as database:

        def leader() -> int:
            row = database.execute(
                "SELECT processes.pid FROM lease JOIN processes ON processes.id = lease.process_id"
            ).fetchone()
            return int(row[0]) if row else 0

        wait_for(lambda: leader() != 0, "a watch to lead")
        first = leader()
        os.kill(first, signal.SIGTERM)
        wait_for(lambda: leader() not in (0, first), "another watch to lead")
