"""Spans by OTLP in protobuf beside the same number of outcomes by POST, in one run, taking turns; and 8,192 at once.

Requests of 1000 over 32 connections, every acknowledgement durable, no spool; who is told to come again sends the same
again. Each span has ids of its own, which counts it once, and eleven attributes, as Node's instrumentation gives a
SERVER span. 8,192 spans are what a collector sends in one request on default settings.
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from benchmarks import load
from benchmarks.cpu import Parts, seconds
from benchmarks.figure import Figure, aimed, compared
from benchmarks.ingest import Sent, check, database_url
from benchmarks.ingest import load as outcomes_load
from benchmarks.memory import read as resident
from benchmarks.stand import ROOT, stand
from benchmarks.traffic import SERIES, Body
from tests.running import Running

ROUNDS = 3
SECONDS = 3.0
BATCH = 1000
CONNECTIONS = 16
COLLECTOR = 8192  # spans
TRIES = 5
ID = b"\x00" * 7 + b"\x01"  # stands for random ones
URL = "/v1/traces"


@dataclass(slots=True)
class Kind:
    """What items of one kind cost, a value each round: items a second, microseconds of CPU an item."""

    load: Callable[[], float]
    rate: list[float] = field(default_factory=list)
    web_us: list[float] = field(default_factory=list)
    database_us: list[float] = field(default_factory=list)

    def turn(self, parts: Parts, sent: Sent) -> None:
        """Load the server and note what that cost."""
        before, web, database = sent.acknowledged, seconds(parts.web), seconds(parts.database)
        self.rate.append(self.load())
        n = sent.acknowledged - before
        self.web_us.append((seconds(parts.web) - web) * 1e6 / n)
        self.database_us.append((seconds(parts.database) - database) * 1e6 / n)


def run() -> list[Figure]:
    """Rates and CPU; fails where an acknowledged outcome or span is not counted once."""
    with stand(WEB_CONCURRENCY="1", SPOOL="off") as server:
        key, sent = server.command("key", "create", "bench", "--scope", "ingest"), Sent()
        url = server.url + "/api/v1/outcomes"
        outcomes_load(url, key, sent, connections=8, items=BATCH, seconds=1.0)
        spans_load(server, key, sent, 1.0)
        posted = Kind(lambda: BATCH * outcomes_load(url, key, sent, connections=CONNECTIONS, items=BATCH))
        spans = Kind(lambda: spans_load(server, key, sent, SECONDS))
        for number in range(ROUNDS):
            for kind in (posted, spans)[:: (-1) ** number]:  # neither always comes first
                kind.turn(Parts(server), sent)
        took, grown = large(server, key, sent)
        check(database_url(server), sent)
    note = "beside outcomes by POST"
    return [
        aimed("durable spans by OTLP, rate", spans.rate, "items/s", posted.rate),
        compared("web CPU a span", spans.web_us, "us", posted.web_us, note),
        compared("PostgreSQL's CPU a span", spans.database_us, "us", posted.database_us, note),
        aimed("8,192 spans in one request, longest", [max(took)], "s", note=f"of {TRIES}"),
        aimed("memory that 8,192 spans at once leave", [grown], "MiB", note=f"after {TRIES} such requests"),
    ]


def spans_load(server: Running, key: str, sent: Sent, for_s: float) -> float:
    """Spans acknowledged a second."""
    command = [sys.executable, "-m", "benchmarks.otlp", server.url + URL, key, str(for_s)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=for_s + 60)
    told = json.loads(done.stdout)
    assert not told["wrong"], told
    sent.acknowledged += int(told["answered"]) * BATCH
    return float(told["answered"]) * BATCH / float(told["seconds"])


def large(server: Running, key: str, sent: Sent) -> tuple[list[float], float]:
    """How long requests of a collector's size took, and what of memory the web process has kept of them, in MiB."""
    body, took = body_of(COLLECTOR), list[float]()
    pid = min(server.children())
    before = resident(pid, "status", "VmRSS")
    for _ in range(TRIES):
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
        fresh = body.fresh_ids()
        began = time.monotonic()
        connection.request(
            "POST", URL, fresh, {"Authorization": f"Bearer {key}", "Content-Type": "application/x-protobuf"}
        )
        answer = connection.getresponse()
        text = answer.read()
        took.append(time.monotonic() - began)
        assert (answer.status, text) == (200, b""), text
        sent.acknowledged += COLLECTOR
        connection.close()
    return took, resident(pid, "status", "VmRSS") - before


class SpansBody(Body):
    """A request in pieces, between which ids come."""

    def fresh_ids(self) -> bytes:
        """The body to be sent now: spans that nobody has counted."""
        ids = os.urandom(8 * (len(self.pieces) - 1))
        filled = [self.pieces[0]]
        for place, piece in enumerate(self.pieces[1:]):
            filled += (ids[8 * place : 8 * place + 8], piece)
        return b"".join(filled)


def body_of(spans: int) -> SpansBody:
    """A request of so many SERVER spans over the series of the other benchmarks."""
    request = ExportTraceServiceRequest()
    now = time.time_ns()
    for number in range(5):
        resource = request.resource_spans.add()
        resource.resource.attributes.extend(
            [text("service.name", f"service-{number}"), text("service.version", "5f2c1a9")]
        )
        scope = resource.scope_spans.add()
        scope.scope.name = "@opentelemetry/instrumentation-http"
        for place in range(number, spans, 5):
            route = f"/api/route/{place % SERIES // 5}"
            scope.spans.add(
                trace_id=os.urandom(8) + ID,
                span_id=ID,
                name=f"GET {route}",
                kind=2,
                start_time_unix_nano=now - 20_000_000 - place,
                end_time_unix_nano=now - place,
                attributes=attributes(route, 500 if place % SERIES == 0 else 200),
            )
    return SpansBody(request.SerializeToString().split(ID))


def attributes(route: str, status: int) -> list[KeyValue]:
    """As Node's instrumentation of http gives them."""
    return [
        text("http.request.method", "GET"),
        text("url.scheme", "http"),
        text("server.address", "127.0.0.1"),
        text("network.peer.address", "127.0.0.1"),
        number("network.peer.port", 59084),
        text("network.protocol.version", "1.1"),
        text("url.path", f"{route}/7"),
        text("client.address", "127.0.0.1"),
        number("server.port", 8393),
        number("http.response.status_code", status),
        text("http.route", route),
    ]


def text(name: str, value: str) -> KeyValue:
    return KeyValue(key=name, value=AnyValue(string_value=value))


def number(name: str, value: int) -> KeyValue:
    return KeyValue(key=name, value=AnyValue(int_value=value))


def requests(url: str, key: str) -> Iterator[bytes]:
    """Requests without end; the ids of spans are other ones in each. All else is made before the first is asked for."""
    parts = urlsplit(url)
    made = []
    for _ in range(20):
        body = body_of(BATCH)
        head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/x-protobuf\r\nContent-Length: {len(body.fresh_ids())}\r\n\r\n"
        ).encode()
        made.append(SpansBody([head + body.pieces[0], *body.pieces[1:]]))
    return (body.fresh_ids() for body in itertools.cycle(made))


async def send(url: str, key: str, for_s: float) -> dict[str, object]:
    """Load the address for so long."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    endless = requests(url, key)  # before the clock runs, as the load of outcomes is made
    shared = load.Load(endless, for_s, b"HTTP/1.1 200")
    shared.again = b"HTTP/1.1 503"  # as exporters do
    began = time.monotonic()
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: load.Connection(shared), parts.hostname, parts.port)
    await shared.done.wait()
    return {
        "answered": shared.answered,
        "wrong": shared.wrong,
        "seconds": time.monotonic() - began,
        "first_wrong": shared.first_wrong.decode(errors="replace"),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(send(sys.argv[1], sys.argv[2], float(sys.argv[3])))))
