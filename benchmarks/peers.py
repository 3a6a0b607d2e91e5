"""What an outcome costs the whole machine, beside databases that teams keep measurements in: the same 200,000 outcomes
from one client in batches of 5000, taking turns.

InfluxDB and ClickHouse are those of Debian 12 (`apt-get install influxdb clickhouse-server`), on their own defaults;
without one its ratio is left out. They keep what is sent; Evenkeel also counts it, judges it and answers durably
(InfluxDB syncs its log at each write as well, ClickHouse does not). CPU is that of every process of each, from the
first request to SETTLE_S after the last.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.cpu import seconds, tree
from benchmarks.figure import Figure, aimed
from benchmarks.stand import free_port, scratch, stand
from benchmarks.traffic import bodies
from tests.conftest import answers
from tests.waiting import wait_for

ROUNDS = 3
BATCHES, BATCH = 40, 5000
SETTLE_S = 2.0
TABLE = """CREATE TABLE outcomes (at DateTime, service String, version String, route String, method String,
status UInt16, duration_ms Float64, request_id String) ENGINE = MergeTree PARTITION BY toYYYYMMDD(at)
ORDER BY (service, route, at)"""
CLICKHOUSE = """<?xml version="1.0"?><yandex><logger><level>none</level></logger>
<http_port>{port}</http_port><tcp_port>{other}</tcp_port><listen_host>127.0.0.1</listen_host>
<path>{path}/</path><tmp_path>{path}/tmp/</tmp_path><mark_cache_size>67108864</mark_cache_size>
<users><default><password></password><profile>default</profile><quota>default</quota>
<networks><ip>127.0.0.1</ip></networks></default></users>
<profiles><default></default></profiles><quotas><default></default></quotas>
<default_profile>default</default_profile><default_database>default</default_database></yandex>"""

Sent = list[dict[str, Any]]
Encode = Callable[[Sent], bytes]


@dataclass(slots=True)
class Store:
    """Somewhere to send outcomes to, and what that cost: microseconds of CPU an outcome, a value each round."""

    root: int  # the process above all of its processes
    port: int
    path: str
    accepted: int  # the status that says so
    encode: Encode
    headers: dict[str, str] = field(default_factory=dict)
    cost: list[float] = field(default_factory=list)

    def turn(self, batches: list[Sent]) -> None:
        """Send the batches, one after another."""
        sent = [self.encode(batch) for batch in batches]
        before = seconds(tree(self.root))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for body in sent:
            connection.request("POST", self.path, body, self.headers)
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status == self.accepted, (answer.status, said[:300])
        connection.close()
        time.sleep(SETTLE_S)
        self.cost.append((seconds(tree(self.root)) - before) * 1e6 / sum(map(len, batches)))


def run() -> list[Figure]:
    """The two ratios."""
    with evenkeel() as ours, influxdb() as influx, clickhouse() as click:
        stores = [each for each in (ours, influx, click) if each is not None]
        for number in range(ROUNDS):
            batches = [json.loads(body.fresh()) for body in bodies(BATCHES, BATCH)]
            for each in stores[:: (-1) ** number]:
                each.turn(batches)
        peers = {"InfluxDB": influx, "ClickHouse": click}
        return [beside(name, ours, peer) for name, peer in peers.items()]


def beside(name: str, ours: Store, peer: Store | None) -> Figure:
    """One figure; without a ratio where the peer is not installed."""
    note = "" if peer else f"no ratio: {name} is not installed"
    return aimed(f"total CPU an outcome, beside {name}", ours.cost, "us", peer.cost if peer else (), note)


@contextlib.contextmanager
def evenkeel() -> Iterator[Store]:
    """This build, with its database."""
    with stand(WEB_CONCURRENCY="1", SPOOL="off", INGEST_MAX_BATCH_ITEMS=str(BATCH)) as server:
        headers = {"Authorization": f"Bearer {server.key('ingest')}", "Content-Type": "application/json"}
        port = int(server.variables["PORT"])
        yield Store(server.process.pid, port, "/api/v1/outcomes", 201, in_json, headers)


def in_json(batch: Sent) -> bytes:
    return json.dumps(batch).encode()


@contextlib.contextmanager
def influxdb() -> Iterator[Store | None]:
    """InfluxDB: what tells a series apart as tags, the rest as fields, each point at a nanosecond of its own."""
    program, port = shutil.which("influxd"), free_port()
    if program is None:
        yield None
        return
    with scratch() as directory:
        given = {
            "INFLUXDB_REPORTING_DISABLED": "true",
            "INFLUXDB_META_DIR": str(directory / "meta"),
            "INFLUXDB_DATA_DIR": str(directory / "data"),
            "INFLUXDB_DATA_WAL_DIR": str(directory / "wal"),
            "INFLUXDB_HTTP_BIND_ADDRESS": f"127.0.0.1:{port}",
            "INFLUXDB_BIND_ADDRESS": f"127.0.0.1:{free_port()}",
            "INFLUXDB_HTTP_LOG_ENABLED": "false",
        }
        with started([program, "-config", "/dev/null"], given, directory, port) as pid:
            ask(port, "/query?" + urlencode({"q": "CREATE DATABASE bench"}), b"")
            times = count(time.time_ns())

            def lines(batch: Sent) -> bytes:
                return "\n".join(line(each, next(times)) for each in batch).encode()

            yield Store(pid, port, "/write?db=bench", 204, lines)


def line(outcome: dict[str, Any], at: int) -> str:
    """An outcome in InfluxDB's line protocol."""
    tags = ",".join(f"{name}={outcome[name]}" for name in ("service", "version", "route", "method", "status"))
    request_id = f',request_id="{outcome["request_id"]}"' if "request_id" in outcome else ""
    return f"outcomes,{tags} duration_ms={outcome['duration_ms']}{request_id} {at}"


@contextlib.contextmanager
def clickhouse() -> Iterator[Store | None]:
    """ClickHouse: one row an outcome."""
    program, port = shutil.which("clickhouse-server") or shutil.which("/usr/sbin/clickhouse-server"), free_port()
    if program is None:
        yield None
        return
    with scratch() as directory:
        config = directory / "config.xml"
        config.write_text(CLICKHOUSE.format(port=port, other=free_port(), path=directory))
        with started([program, f"--config-file={config}"], {}, directory, port) as pid:
            ask(port, "/", TABLE.encode())

            def rows(batch: Sent) -> bytes:
                now = int(time.time())
                return "\n".join(json.dumps({"at": now} | each) for each in batch).encode()

            yield Store(pid, port, "/?" + urlencode({"query": "INSERT INTO outcomes FORMAT JSONEachRow"}), 200, rows)


@contextlib.contextmanager
def started(command: list[str], given: dict[str, str], directory: Path, port: int) -> Iterator[int]:
    """A server with its data in a directory, until the end of the block; its pid."""
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, env=given, cwd=directory, stdout=log, stderr=log)
        try:
            wait_for(lambda: answers(port), command[0])
            yield process.pid
        finally:
            process.kill()
            process.wait()


def ask(port: int, path: str, body: bytes) -> None:
    """One request that must be accepted."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, body)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()
