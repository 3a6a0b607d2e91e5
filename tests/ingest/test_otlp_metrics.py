"""/v1/metrics: what a real SDK's histograms count is counted once, whatever is sent again, at once or by several."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from google.protobuf.json_format import MessageToJson
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

from server.ingest.telemetry import metering, telemetry_sources
from server.ingest.telemetry.telemetry_sources import TelemetrySources
from server.kernel.db import Database
from server.kernel.errors import ApiError
from tests.ingest.making import rows, value
from tests.receivers.otlp.making import Spans, http
from tests.site import answer

SCOPE = "opentelemetry.instrumentation.flask"


class Process:
    """A process that measures its requests; `body` is what its exporter sends next."""

    def __init__(self, *, delta: bool = False, exponential: bool = False, **resource: str) -> None:
        given = {"service.name": "shop"} | {name.replace("_", "."): text for name, text in resource.items()}
        temporality = {Histogram: AggregationTemporality.DELTA} if delta else {}
        views = [View(instrument_name="*", aggregation=ExponentialBucketHistogramAggregation())] if exponential else []
        self.reader = InMemoryMetricReader(preferred_temporality=temporality)
        self.provider = MeterProvider([self.reader], Resource(given), views=views, shutdown_on_exit=False)
        self.histogram = self.provider.get_meter(SCOPE).create_histogram("http.server.request.duration", "s")

    def serve(self, *took: float, status: int = 200) -> Process:
        said = {"http.request.method": "GET", "http.route": "/pay", "http.response.status_code": status}
        for one in took:
            self.histogram.record(one, said)
        return self

    def message(self) -> ExportMetricsServiceRequest:
        found: ExportMetricsServiceRequest = encode_metrics(self.reader.get_metrics_data())
        return found

    def body(self) -> bytes:
        return self.message().SerializeToString()


def in_json(message: ExportMetricsServiceRequest) -> bytes:
    """The same in JSON, with enumerations by name and whole numbers as text."""
    return MessageToJson(message).encode()


async def send(site: Any, key: str, body: bytes, path: str = "/v1/metrics", form: str = "x-protobuf") -> Any:
    return await site.fetch(path, method="POST", key=key, body=body, headers={"Content-Type": f"application/{form}"})


def counted(url: str) -> list[tuple[Any, ...]]:
    """Requests and failures by service and status."""
    return rows(
        url,
        "SELECT service, status, sum(n)::int, sum(bad)::int FROM deltas JOIN series s ON s.id = series_id"
        " WHERE service <> 'evenkeel' GROUP BY 1, 2 ORDER BY 1, 2",
    )


@pytest.mark.gen_test
async def test_cumulative_histograms_count_what_is_new_once(web: Any, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest")
    one = Process(service_instance_id="1").serve(0.03, 0.03, 0.3).serve(0.2, status=503)
    first = one.body()
    for answered in await asyncio.gather(*(send(site, key, first) for _ in range(8))):
        assert answered.code in (200, 503)  # 503: the same body is being stored
    assert (await send(site, key, first)).code == 200
    assert counted(database_url) == [("shop", 200, 3, 0), ("shop", 503, 1, 1)]
    again = one.serve(0.04, 4.0).message()
    both = [again.SerializeToString(), in_json(again)]  # other bytes, the same points
    answers = await asyncio.gather(*(send(site, key, both[0]) for _ in range(4)), send(site, key, both[1], form="json"))
    assert 200 in {answered.code for answered in answers}
    assert (await send(site, key, both[1], form="json")).code == 200
    assert counted(database_url) == [("shop", 200, 5, 0), ("shop", 503, 1, 1)]
    # The process starts anew; another one lives beside it, of the same name.
    for other in (Process(service_instance_id="1"), Process(service_instance_id="1", exponential=True)):
        assert (await send(site, key, other.serve(0.1).body())).code == 200
        assert (await send(site, key, other.serve(0.1).body())).code == 200
    assert counted(database_url) == [("shop", 200, 9, 0), ("shop", 503, 1, 1)]
    assert value(database_url, "SELECT count(*) FROM outcomes") == 0


@pytest.mark.gen_test
async def test_deltas_and_cumulative_points_of_one_body(web: Any, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest")
    message = Process(delta=True, service_instance_id="d").serve(0.1, 0.1).message()
    message.resource_metrics.extend(Process(exponential=True).serve(0.2).message().resource_metrics)
    assert (await send(site, key, message.SerializeToString())).code == 200
    assert (await send(site, key, in_json(message), form="json")).code == 200  # not the same bytes
    assert counted(database_url) == [("shop", 200, 3, 0)]
    summary = answer(await site.fetch("/api/v1/services/shop/summary", key=await site.key("read", name="reader")))
    assert summary["estimated"] is False
    assert summary["latency_error"] == pytest.approx(0, abs=0.01)  # two took the same, and one is told exactly


@pytest.mark.gen_test
async def test_histograms_of_a_service_that_sends_spans_do_not_count(web: Any, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest")
    spans = Spans()
    spans.add(http(200))
    assert (await send(site, key, spans.body(), "/v1/traces")).code == 200
    assert (await send(site, key, Process().serve(0.1, 0.1).body())).code == 200
    assert (await send(site, key, Process(service_name="other").serve(0.1).body())).code == 200
    await TelemetrySources(site.parts.db).note_spans(["late"])  # another process, a moment ago
    assert (await send(site, key, Process(service_name="late").serve(0.1).body())).code == 200
    assert counted(database_url) == [("other", 200, 1, 0), ("shop", 200, 1, 0)]
    await site.parts.intake.lane.write()
    found = rows(database_url, "SELECT reason, items FROM received WHERE receiver = 'OTLP metrics' ORDER BY 1")
    assert ("SPANS_COUNT", 2) in found


class AskedDatabase:
    """One that counts how often it is asked; `away`: it does not answer."""

    def __init__(self, away: bool = False) -> None:
        self.n, self.away = 0, away

    @asynccontextmanager
    async def ask(self) -> AsyncIterator[None]:
        self.n += 1
        if self.away:
            await asyncio.Event().wait()
        yield None


@pytest.mark.gen_test
async def test_a_service_without_spans_is_looked_for_no_more_than_once_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def found(_: None) -> set[str]:
        return {"shop"}

    monkeypatch.setattr(telemetry_sources.store, "span_services", found)
    monkeypatch.setattr(telemetry_sources, "AGAIN_S", 60.0)
    db = AskedDatabase()
    sources = TelemetrySources(cast(Database, db))
    for asked in ({"metrics"}, {"shop"}, {"shop", "other"}):
        await asyncio.gather(*(sources.span_services(asked) for _ in range(9)))
    assert db.n == 2, "one look for each of the two without spans"
    monkeypatch.setattr(telemetry_sources, "AGAIN_S", -1.0)
    await sources.span_services({"metrics"})
    assert db.n == 3


@pytest.mark.gen_test
async def test_while_the_database_does_not_answer_what_was_known_stands_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telemetry_sources, "LOOK_S", 0.01)
    monkeypatch.setattr(telemetry_sources, "AGAIN_S", 60.0)
    db = AskedDatabase(away=True)
    sources = TelemetrySources(cast(Database, db))
    assert await asyncio.gather(*(sources.span_services({f"s{n}"}) for n in range(9))) == [set()] * 9
    assert db.n == 1, "who waited does not ask again"


@pytest.mark.gen_test
async def test_spans_count_as_what_they_stand_for(web: Any, database_url: str) -> None:
    site = await web()
    key, admin = await site.key("ingest"), await site.key("admin", name="admin")
    asked = {"name": "sampling", "scopes": ["ingest"], "sampled": 0.1}
    made = await site.fetch("/api/v1/keys", method="POST", key=admin, data=asked)
    refused = await site.fetch("/api/v1/keys", method="POST", key=admin, data=asked | {"sampled": 0})
    assert (refused.code, answer(refused)["errors"][0]["field"]) == (422, "sampled")
    for service, states, sender in (
        ("consistent", ["ot=th:c", "ot=th:8"], key),
        ("ratio", ["", ""], answer(made)["key"]),
        ("unknown", ["ot=th:c", ""], key),
    ):
        spans = Spans(service_name=service)
        for _ in states:
            spans.add(http(200))
        message = spans.message
        sent = message.resource_spans[0].scope_spans[0].spans
        for span, state in zip(sent, states, strict=True):
            span.trace_state, span.parent_span_id = state, b"" if service == "consistent" else b"12345678"
        assert (await send(site, sender, message.SerializeToString(), "/v1/traces")).code == 200
    assert counted(database_url) == [("consistent", 200, 6, 0), ("ratio", 200, 20, 0), ("unknown", 200, 2, 0)]
    told = rows(database_url, "SELECT service, sampled_at IS NOT NULL FROM telemetry_services ORDER BY 1")
    assert told == [("consistent", False), ("ratio", False), ("unknown", True)]
    read = await site.key("read", name="reader")
    summary = answer(await site.fetch("/api/v1/services/unknown/summary", key=read))
    assert (summary["volume"], summary["estimated"], summary["latency_error"]) == (2, True, None)
    assert rows(database_url, "SELECT detail ->> 'weight' FROM outcomes JOIN series ON id = series_id"
                " WHERE service = 'consistent' ORDER BY 1") == [("2",), ("4",)]  # fmt: skip


@pytest.mark.gen_test
async def test_a_key_moves_no_meter_of_a_service_that_it_is_not_of(web: Any, database_url: str) -> None:
    site = await web()
    key, bound = await site.key("ingest"), await site.key("ingest", name="bound", services=["other"])
    body = Process().serve(0.1).body()
    refused = await send(site, bound, body)
    told = ExportMetricsServiceResponse.FromString(refused.body).partial_success
    assert (refused.code, told.rejected_data_points) == (200, 1)
    assert counted(database_url) == []
    assert (await send(site, key, body)).code == 200
    assert counted(database_url) == [("shop", 200, 1, 0)]


@pytest.mark.gen_test
async def test_while_the_database_is_away_cumulative_points_wait(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await web()
    key = await site.key("ingest")
    process = Process().serve(0.1)
    assert (await send(site, key, process.body())).code == 200
    with monkeypatch.context() as patched:
        patched.setattr(Database, "ask", away)
        refused = await send(site, key, process.serve(0.1).body())
    assert refused.code == 503
    assert 1 <= int(refused.headers["Retry-After"]) <= 4
    assert (await send(site, key, process.serve(0.1).body())).code == 200
    assert counted(database_url) == [("shop", 200, 3, 0)]


@pytest.mark.gen_test
async def test_what_is_left_of_a_body_is_counted_when_it_comes_again(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await web()
    key = await site.key("ingest")
    body = Process().serve(0.1).serve(0.1, status=404).serve(0.1, status=503).body()
    monkeypatch.setattr(metering, "ITEMS", 1)  # a part each
    with monkeypatch.context() as patched:
        patched.setattr(metering, "receive", once(metering.receive))
        assert (await send(site, key, body)).code == 503
    assert (await send(site, key, body)).code == 200
    assert counted(database_url) == [("shop", 200, 1, 0), ("shop", 404, 1, 0), ("shop", 503, 1, 1)]


def once(receive: Callable[..., Any]) -> Callable[..., Any]:
    """It as long as it was called once; from then on it fails."""
    calls = iter((True,))

    async def called(*given: Any) -> Any:
        if next(calls, False):
            return await receive(*given)
        raise ApiError("UNAVAILABLE", "The database does not answer.", retry_after=1)

    return called


def away(_: Database) -> Any:
    raise OSError("the database is away")
