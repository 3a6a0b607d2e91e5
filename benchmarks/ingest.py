"""Ingest against what the same machine does without it and against the base build, in one run, taking turns.

Batches of 1000: against a COPY of the same rows, encoded beforehand, on one
connection, committed every 1000, into the same table. Single outcomes over 64
connections: against a bare Tornado handler. Every acknowledgement is durable. Half
of the requests bring request ids of their clients. There is no spool: what is acknowledged is in the database.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.base import NO_BASE, side_by_side
from benchmarks.cpu import Parts, seconds
from benchmarks.figure import Figure, aimed, compared
from benchmarks.stand import ROOT, free_port
from benchmarks.traffic import bodies
from server.ingest.count import count
from server.ingest.counted import Unnumbered
from server.ingest.decode import decode
from server.ingest.native import counting
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
COPIED_BATCHES = 150  # a round; the ids in each are its own
KINDS = {"batch": (32, BATCH), "single": (64, 1)}  # connections and items a request
URL = "/api/v1/outcomes"


@dataclass(slots=True)
class Sent:
    """What must be in the database at the end."""

    acknowledged: int = 0
    copied: int = 0


@dataclass(slots=True)
class Cost:
    """What outcomes cost one build, a value each round: outcomes a second, microseconds of CPU and bytes of WAL an
    outcome."""

    rate: list[float] = field(default_factory=list)
    web_us: list[float] = field(default_factory=list)
    database_us: list[float] = field(default_factory=list)
    wal_bytes: list[float] = field(default_factory=list)


class Tried:
    """One build under load: its server, what it has taken, and what that cost by kind of request."""

    def __init__(self, server: Running) -> None:
        self.key = server.command("key", "create", "bench", "--scope", "ingest")
        self.server = server
        self.sent = Sent()
        self.costs = {kind: Cost() for kind in KINDS}
        load(server.url + URL, self.key, self.sent, connections=8, items=BATCH, seconds=1.0)  # numbered, caches warm

    def turn(self, kind: str) -> None:
        """Load it with one kind of request and note what that cost."""
        connections, items = KINDS[kind]
        parts, before = Parts(self.server), self.sent.acknowledged
        web, database, wal = seconds(parts.web), seconds(parts.database), written(self.server)
        rate = load(self.server.url + URL, self.key, self.sent, connections=connections, items=items)
        n, cost = self.sent.acknowledged - before, self.costs[kind]
        cost.rate.append(rate * items)
        cost.web_us.append((seconds(parts.web) - web) * 1e6 / n)
        cost.database_us.append((seconds(parts.database) - database) * 1e6 / n)
        cost.wal_bytes.append((written(self.server) - wal) / n)


def run() -> list[Figure]:
    """Costs and rates; fails where an acknowledged outcome is not there once."""
    with side_by_side(WEB_CONCURRENCY="1", SPOOL="off") as servers, bare() as bare_url:
        builds = [Tried(server) for server in servers]
        ours, database = builds[0], database_url(servers[0])
        copied, bared = list[float](), list[float]()
        for number in range(ROUNDS):
            copied.append(copy_rate(database, ours.sent))
            bared.append(load(bare_url + URL, ours.key, Sent(), connections=64, items=1))
            for kind in KINDS:
                for build in builds[:: (-1) ** number]:  # neither always comes first
                    build.turn(kind)
        check(database, ours.sent)
    base = builds[1].costs if builds[1:] else None
    return [*costs(ours.costs, base), *rates(ours.costs, copied, bared)]


def costs(ours: dict[str, Cost], base: dict[str, Cost] | None) -> list[Figure]:
    """Of the web processes, held to the base's; and of PostgreSQL."""
    figures = []
    for kind, name in (
        ("batch", "web CPU an outcome, batches of 1000"),
        ("single", "web CPU a single, 64 connections"),
    ):
        mine, other = ours[kind], base[kind] if base else Cost()
        figures += [
            aimed(name, mine.web_us, "us", other.web_us, f"{counting()} counting" if base else NO_BASE),
            compared(name.replace("web", "PostgreSQL's"), mine.database_us, "us", other.database_us),
            compared(f"rate of {name.partition(', ')[2]}", mine.rate, "items/s", other.rate),
        ]
    single, other = ours["single"], base["single"] if base else Cost()
    return [*figures, aimed("WAL bytes a single", single.wal_bytes, "bytes", other.wal_bytes, "" if base else NO_BASE)]


def rates(ours: dict[str, Cost], copied: list[float], bared: list[float]) -> list[Figure]:
    """Beside what the machine does without us."""
    return [
        aimed("durable batches of 1000, rate", ours["batch"].rate, "items/s", copied),
        aimed("durable singles, rate", ours["single"].rate, "items/s", bared),
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


def written(server: Running) -> int:
    """Bytes of WAL that its database has written so far."""
    with psycopg.connect(database_url(server)) as connection:
        row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
        assert row is not None
        return int(row[0])


def copy_rate(url: str, sent: Sent) -> float:
    """Rows a second by COPY alone: the rows that ingest would write for the same bodies."""
    with psycopg.connect(url, autocommit=True) as connection:
        payloads = encoded(connection)
        began = time.monotonic()
        for payload in payloads:
            with connection.transaction(), connection.cursor() as cursor, cursor.copy(COPY_OUTCOMES) as copy:
                copy.write(payload)
        rows = len(payloads) * BATCH
        sent.copied += rows
        return rows / (time.monotonic() - began)


def encoded(connection: psycopg.Connection[Any]) -> list[bytes]:
    """Bodies as COPY data, with the numbers that their series have and request ids of their own."""
    rows = connection.execute("SELECT id, service, version, route, method, status FROM series").fetchall()
    known: dict[Spelling, Series] = {tuple(row[1:]): Series(row[0], Name(*row[1:])) for row in rows}
    payloads, sent = [], bodies(50, BATCH)
    for number in range(COPIED_BATCHES):
        batch = decode(sent[number % len(sent)].fresh(), "array", span(time.time(), 7))
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
