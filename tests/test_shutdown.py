"""SIGTERM: nothing that was begun is lost, and nothing new is begun."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import psycopg

from tests.conftest import wait_for
from tests.running import Running

Start = Callable[..., Running]


def half_sent(server: Running, key: str, body: bytes) -> socket.socket:
    """A connection on which the first half of an ingest request has arrived."""
    place = urlsplit(server.url)
    assert place.hostname is not None
    connection = socket.create_connection((place.hostname, place.port or 80), timeout=30)
    head = (
        f"POST /api/v1/outcomes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body[: len(body) // 2])
    return connection


def accepts(server: Running) -> bool:
    """Whether somebody still takes a new connection."""
    place = urlsplit(server.url)
    try:
        socket.create_connection((place.hostname or "", place.port or 80), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_request_in_flight_is_finished_although_every_process_gets_the_signal(
    running: Start, database_url: str
) -> None:
    server = running(WEB_CONCURRENCY="2")
    key = server.command("key", "create", "late", "--scope", "ingest")
    one = {"service": "late", "route": "/", "method": "GET", "status": 200, "duration_ms": 1, "request_id": "the-late"}
    body = json.dumps([one]).encode()
    connection = half_sent(server, key, body)
    time.sleep(0.5)  # the first half is read
    began = time.monotonic()
    for pid in (server.process.pid, *server.children()):  # as a PaaS does
        os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not accepts(server), "new connections to be refused", 5)
    connection.sendall(body[len(body) // 2 :])
    answer = connection.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 201"), answer
    assert server.process.wait(25) == 0
    assert time.monotonic() - began < 25
    with psycopg.connect(database_url) as database:
        assert database.execute("SELECT count(*) FROM outcomes WHERE request_id = 'the-late'").fetchone() == (1,)
        stopped = database.execute("SELECT count(*) FROM processes WHERE stopped_at IS NULL").fetchone()
        assert stopped == (0,), "every stop was an orderly one"


def test_a_stop_that_waits_for_a_client_ends_in_time(running: Start) -> None:
    server = running()
    key = server.command("key", "create", "stuck", "--scope", "ingest")
    connection = half_sent(server, key, b"[" + b" " * 1000 + b"]")
    time.sleep(0.3)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(25) == 0
    assert time.monotonic() - began < 25
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
        wait_for(lambda: leader() not in (0, first), "another watch to lead", 15)
