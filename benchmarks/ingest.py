"""Ingest against what the same machine does without it, in one run, taking turns.

Batches of 1000: against a COPY of the same rows, encoded beforehand, on one
connection, committed every 1000, into the same table. Single outcomes over 64
connections: against a bare Tornado handler. Every acknowledgement is durable.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.figure import Figure
from benchmarks.stand import ROOT, free_port, stand
from benchmarks.traffic import bodies
from server.ingest.count import Unnumbered, count
from server.ingest.decode import decode
from server.ingest.outcome import span
from server.ingest.series import Name, Series, Spelling
from server.ingest.store import COPY_OUTCOMES
from server.kernel.settings import read_environment
from server.process import embedded
from server.tables.binary import BEGIN, END
from tests.conftest import answers
from tests.running import Running
from tests.waiting import wait_for

ROUNDS = 5
SECONDS = 3.0
BATCH = 1000
BATCH_CONNECTIONS = 32
SINGLE_CONNECTIONS = 64
URL = "/api/v1/outcomes"


@dataclass(slots=True)
class Sent:
    """What must be in the database at the end."""

    acknowledged: int = 0
    copied: int = 0


def run() -> list[Figure]:
    """Rates, and their ratios against the limits; fails where an acknowledged outcome is not there once."""
    sent = Sent()
    with stand(WEB_CONCURRENCY="1") as server, bare() as bare_url:
        key = server.command("key", "create", "bench", "--scope", "ingest")
        database, url = database_url(server), server.url + URL
        load(url, key, sent, connections=8, items=BATCH, seconds=1.0)  # series numbered, caches warm
        turns = [
            (
                copy_rate(database, sent),
                load(url, key, sent, connections=BATCH_CONNECTIONS, items=BATCH) * BATCH,
                load(bare_url + URL, key, Sent(), connections=SINGLE_CONNECTIONS, items=1),
                load(url, key, sent, connections=SINGLE_CONNECTIONS, items=1),
            )
            for _ in range(ROUNDS)
        ]
        check(database, sent)
    copied, batched, bared, single = (statistics.median(column) for column in zip(*turns, strict=True))
    spread = "each round: " + " ".join(f"{turn[1] / turn[0]:.2f}" for turn in turns)
    single_spread = "each round: " + " ".join(f"{turn[3] / turn[2]:.2f}" for turn in turns)
    return [
        Figure("raw COPY, committed every 1000", copied, "rows/s"),
        Figure(f"batches of 1000, {BATCH_CONNECTIONS} connections, acknowledged", batched, "items/s"),
        Figure("ratio of batches to COPY", batched / copied, "", 0.5, "at least", spread),
        Figure("bare Tornado handler, 64 connections", bared, "req/s"),
        Figure("single outcomes, 64 connections, acknowledged", single, "req/s"),
        Figure("ratio of singles to bare handler", single / bared, "", 0.4, "at least", single_spread),
    ]


def load(url: str, key: str, sent: Sent, *, connections: int, items: int, seconds: float = SECONDS) -> float:
    """Requests acknowledged a second; every answer must be a 201."""
    command = [sys.executable, "-m", "benchmarks.load", url, key, str(connections), str(items), str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=seconds + 60)
    told: dict[str, Any] = json.loads(done.stdout)
    assert not told["wrong"], told
    sent.acknowledged += int(told["answered"]) * items
    return float(told["answered"]) / float(told["seconds"])


@contextlib.contextmanager
def bare() -> Iterator[str]:
    """A bare Tornado handler in a process of its own."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.bare", str(port)], cwd=ROOT)
    try:
        wait_for(lambda: answers(port), "the bare handler")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def database_url(server: Running) -> str:
    """The embedded database of a running server."""
    return embedded.cluster(read_environment({"DATA_DIR": str(Path(server.variables["DATA_DIR"]))})).url


def copy_rate(url: str, sent: Sent) -> float:
    """Rows a second by COPY alone: the rows that ingest would write for the same bodies."""
    with psycopg.connect(url, autocommit=True) as connection:
        payloads = encoded(connection)
        began = time.monotonic()
        rows = 0
        while time.monotonic() - began < SECONDS:
            with connection.transaction(), connection.cursor() as cursor, cursor.copy(COPY_OUTCOMES) as copy:
                copy.write(payloads[rows // BATCH % len(payloads)])
            rows += BATCH
        sent.copied += rows
        return rows / (time.monotonic() - began)


def encoded(connection: psycopg.Connection[Any]) -> list[bytes]:
    """Bodies as COPY data, with the numbers that their series have and request ids of their own."""
    rows = connection.execute("SELECT id, service, version, route, method, status FROM series").fetchall()
    known: dict[Spelling, Series] = {tuple(row[1:]): Series(row[0], Name(*row[1:])) for row in rows}
    payloads = []
    for body in bodies(50, BATCH):
        batch = decode(body, "array", span(time.time(), 7))
        try:
            counted = count(batch.outcomes, batch.times, known.get, os.urandom(10))
        except Unnumbered as unnumbered:
            raise AssertionError("the warm-up has sent every series") from unnumbered
        payloads.append(b"".join([BEGIN, counted.rows, END]))
    return payloads


def check(url: str, sent: Sent) -> None:
    """What was acknowledged is stored and counted once, to the unit."""
    counted = "SELECT sum(n)::bigint FROM deltas JOIN series ON id = series_id WHERE service <> 'evenkeel'"
    with psycopg.connect(url, autocommit=True) as connection:
        stored = connection.execute("SELECT count(*) FROM outcomes").fetchone()
        assert stored == (sent.acknowledged + sent.copied,), (stored, sent)
        deltas = connection.execute(counted).fetchone()
        assert deltas == (sent.acknowledged,), (deltas, sent)
