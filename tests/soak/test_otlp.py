"""Real SDKs send spans while servers are killed and the database is away: what was acknowledged is counted once."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind

from tests.soak.faults import away, kill_server, start_server
from tests.soak.place import Place, made
from tests.waiting import wait_for

CALM_S = 3.0
SENDERS = 4


@pytest.fixture
def place() -> Iterator[Place]:
    root = Path(tempfile.mkdtemp(prefix="ek-", dir="/var/tmp"))  # a real disk: commits take their time
    root.chmod(0o755)
    with made(root, root / "first") as place:
        yield place
    shutil.rmtree(root)


class Exporter(SpanExporter):
    """The real one, with a note of the trace ids that it got acknowledged, and of those that it dropped."""

    def __init__(self, url: str, key: str) -> None:
        self.real = OTLPSpanExporter(f"{url}/v1/traces", headers={"authorization": f"Bearer {key}"})
        self.kept: list[str] = []
        self.dropped: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        told = self.real.export(spans)
        into = self.kept if told is SpanExportResult.SUCCESS else self.dropped
        into += [f"{span.context.trace_id:032x}" for span in spans if span.context]
        return told

    def shutdown(self) -> None:
        self.real.shutdown()


class Service(threading.Thread):
    """A service with an SDK: a span each few milliseconds, until it is to end."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(daemon=True)
        self.exporter = Exporter(url, key)
        self.ending = threading.Event()
        self.provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
        self.provider.add_span_processor(
            BatchSpanProcessor(self.exporter, max_queue_size=100_000, schedule_delay_millis=100)
        )

    def run(self) -> None:
        tracer = self.provider.get_tracer("soak")
        attributes = {"http.request.method": "GET", "http.route": "/pay", "http.response.status_code": 200}
        while not self.ending.wait(0.002):
            with tracer.start_as_current_span("GET /pay", kind=SpanKind.SERVER, attributes=attributes):
                pass
        self.provider.shutdown()


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_what_sdks_got_acknowledged_is_counted_once(place: Place) -> None:
    key = place.server.key("ingest", "read")
    services = [Service(place.server.url, key) for _ in range(SENDERS)]
    for service in services:
        service.start()
    for _ in range(2):
        time.sleep(CALM_S)
        kill_server(place)
        start_server(place)
    time.sleep(CALM_S)
    with away(place, place.cluster):
        time.sleep(60)
    time.sleep(CALM_S)
    for service in services:
        service.ending.set()
    for service in services:
        service.join(timeout=60)
    wait_for(place.settled, "the spool to be replayed")
    with place.connect() as connection:
        found = connection.execute("SELECT request_id, count(*) FROM outcomes GROUP BY 1").fetchall()
        counted = connection.execute(
            "SELECT sum(n)::bigint FROM deltas JOIN series ON id = series_id WHERE service = 'shop'"
        ).fetchone()
    stored = {str(one): int(str(n)) for one, n in found}
    kept = [one for service in services for one in service.exporter.kept]
    assert len(kept) > 1000
    assert {one for one, n in stored.items() if n > 1} == set()
    assert [one for one in kept if one not in stored] == []
    assert counted is not None
    assert counted[0] == len(stored)
