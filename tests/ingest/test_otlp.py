"""/v1/traces: what real SDKs send is counted once, and every answer is one that they bear."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
import zlib
from dataclasses import replace
from http.client import HTTPConnection
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace.export import SpanExportResult

from server.http.body import TELEMETRY_BYTES
from server.ingest.telemetry import otlp_handlers
from server.ingest.telemetry.otlp_handlers import unquoted
from server.kernel.errors import ApiError
from tests.ingest.making import rows
from tests.receivers.otlp.making import DATA, Spans, as_json, http, moved, recorded
from tests.site import answer
from tests.waiting import until

PROTOBUF = {"Content-Type": "application/x-protobuf"}


def made(count: int = 1, **resource: str) -> Spans:
    spans = Spans(**resource)
    for _ in range(count):
        spans.add(http(200))
    return spans


def counted(url: str) -> list[tuple[Any, ...]]:
    """The requests and the failures of each service; Evenkeel's own come when they like."""
    return rows(
        url,
        "SELECT service, sum(n), sum(bad) FROM deltas JOIN series s ON s.id = series_id"
        " WHERE service <> 'evenkeel' GROUP BY 1 ORDER BY 1",
    )


async def send(site: Any, key: str | None, body: bytes, path: str = "/v1/traces", **headers: str) -> Any:
    given = PROTOBUF | {name.replace("_", "-"): text for name, text in headers.items()}
    return await site.fetch(path, method="POST", key=key, body=body, headers=given)


@pytest.mark.gen_test
async def test_what_the_real_exporter_sends_is_counted_once(web: Any, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest", "read")
    spans = made(5, deployment_environment_name="staging")
    finished = spans.memory.get_finished_spans()
    for compression in Compression:  # the same spans each time
        exporter = OTLPSpanExporter(
            f"{site.url}/otlp/v1/traces", headers={"authorization": f'Bearer "{key}"'}, compression=compression
        )
        assert await asyncio.to_thread(exporter.export, finished) is SpanExportResult.SUCCESS
        exporter.shutdown()
    later = made(2)
    message = later.message
    message.resource_spans.extend(spans.message.resource_spans)  # as a collector puts them together
    assert (await send(site, key, message.SerializeToString())).code == 200
    assert (await send(site, key, as_json(message), Content_Type="application/json")).code == 200
    found = counted(database_url)
    assert found == [("shop", 2, 0), ("shop@staging", 5, 0)]
    trace_id = f"{finished[0].context.trace_id:032x}"
    looked = answer(await site.fetch(f"/api/v1/outcomes?request_id={trace_id}", key=key))
    assert [(one["service"], one["route"], one["trace_id"]) for one in looked["outcomes"]] == [
        ("shop@staging", "/pay", trace_id)
    ]
    assert answer(await site.fetch("/api/v1/outcomes?request_id=%3D", key=key))["outcomes"] == []  # how it is stored


@pytest.mark.gen_test
async def test_each_answer_is_one_that_senders_bear(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site = await web()
    key, reader, body = await site.key("ingest"), await site.key("read", name="reader"), made().body()

    async def told(**given: Any) -> tuple[int, str]:
        found = await send(site, given.pop("key", key), given.pop("body", body), **given)
        if found.code == 503:
            assert 1 <= int(found.headers["Retry-After"]) <= 4
        return found.code, found.headers["Content-Type"]

    good, bad = "application/x-protobuf", "application/problem+json"
    assert await told() == (200, good)
    assert await told(body=b"") == (200, good)
    assert await told(body=b"", Content_Type="application/json") == (200, "application/json")
    assert await told(body=b"{}", Content_Type="application/json; charset=utf-8") == (200, "application/json")
    assert await told(body=b"{", Content_Type="application/json") == (400, bad)
    assert await told(body=b"\xff" * 9) == (400, good)
    assert await told(Content_Type="text/plain") == (400, bad)
    assert await told(Content_Encoding="br") == (400, good)
    assert await told(Content_Encoding="gzip") == (400, good)
    assert await told(key=None) == (401, good)
    assert await told(key="nobody") == (401, good)
    assert await told(key=reader) == (401, good)
    assert await told(path="/v1/traces/") == (200, good)
    assert await told(path="/any/thing/v1/traces?x=1") == (200, good)
    assert await asyncio.to_thread(chunked, site, key, gzip.compress(body)) == 200  # as Node sends it
    for packed in (zlib.compress(body), zlib.compress(body)[2:-4]):
        assert await told(body=packed, Content_Encoding="deflate") == (200, good)
    for path, said in (("/v1/traces/v1/traces", b"twice"), ("/?k=v/v1/traces", b"without a query")):
        found = await send(site, key, body, path)
        assert (found.code, said in found.body) == (404, True)
    asked = await site.fetch("/api/v1/outcomes?service=nobody&route=/v1/traces", key=reader)
    assert b"without a query" not in asked.body  # a question may end so
    for error in (ApiError("IN_FLIGHT", "x"), ApiError("THROTTLED", "x", retry_after=90), RuntimeError("x")):
        with monkeypatch.context() as patched:
            patched.setattr(otlp_handlers, "receive", failing(error))
            assert await told() == (503, good)
    reasons = [(await send(site, one, body)).reason for one in (None, "nobody", reader)]
    assert [one.partition(":")[0] for one in reasons] == [
        "No key was sent",
        "This key is not known",
        "reader lacks the scope ingest",
    ]
    refused = await send(site, key, b"\xff" * 9)
    assert Status.FromString(refused.body).message.startswith("The body is not OTLP in protobuf")


def failing(error: Exception) -> Any:
    async def receive(*_: Any) -> None:
        raise error

    return receive


@pytest.mark.gen_test
async def test_it_has_limits_of_its_own_and_one_that_was_lowered_can_be_borne(
    web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await web(INGEST_MAX_BATCH_ITEMS="100")
    key = await site.key("ingest")
    spans = Spans()
    spans.add(http(200, note="x" * 2**21))
    large = spans.body()
    assert (await send(site, key, made(250).body())).code == 200
    assert (await send(site, key, large)).code == 200
    too_large = await asyncio.to_thread(head_only, site, key, TELEMETRY_BYTES + 1)
    assert too_large.startswith(b"HTTP/1.1 413")
    with monkeypatch.context() as patched:
        patched.setattr(otlp_handlers, "TELEMETRY_BYTES", 100_000)
        bomb = await send(site, key, gzip.compress(b"\0" * 200_000), Content_Encoding="gzip")
        assert bomb.code == 413
    settings = site.parts.settings
    settings._all = replace(settings._all, max_request_body_bytes=2048)
    lowered = await send(site, key, large)
    assert (lowered.code, lowered.headers["Retry-After"]) == (503, "1")
    assert (await send(site, key, made(2).body())).code == 200
    assert site.parts.telemetry.taken == 0


def chunked(site: Any, key: str, body: bytes) -> int:
    """The status for a gzip body that is sent in chunks, without a length."""
    connection = HTTPConnection("127.0.0.1", site.env.port, timeout=20)
    headers = PROTOBUF | {"Authorization": f"Bearer {key}", "Content-Encoding": "gzip"}
    connection.request("POST", "/v1/traces", iter([body[:50], body[50:]]), headers, encode_chunked=True)
    return connection.getresponse().status


def head_only(site: Any, key: str, length: int) -> bytes:
    """What is answered to a head that says that so much follows."""
    with socket.create_connection(("127.0.0.1", site.env.port), timeout=20) as connection:
        connection.sendall(
            f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/x-protobuf\r\nContent-Length: {length}\r\n\r\n".encode()
        )
        return connection.recv(1000)


@pytest.mark.gen_test
async def test_what_is_refused_is_said_and_counted_and_the_rest_kept(web: Any, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest", services=["shop"])
    message = made(2).message
    message.resource_spans.extend(made(3, service_name="other").message.resource_spans)
    message.resource_spans.extend(made(1, deployment_environment_name="test").message.resource_spans)
    old = made().message
    old.resource_spans[0].scope_spans[0].spans[0].end_time_unix_nano = 1
    message.resource_spans.extend(old.resource_spans)
    for service in ("shop", "third"):
        spans = Spans(service_name=service)
        spans.add(http(None))  # no answer
        message.resource_spans.extend(spans.message.resource_spans)
    partial = ExportTraceServiceResponse.FromString((await send(site, key, message.SerializeToString())).body)
    assert partial.partial_success.rejected_spans == 4
    assert "may not send it" in partial.partial_success.error_message
    in_json = answer(await send(site, key, as_json(old), Content_Type="application/json"))
    assert in_json["partialSuccess"]["rejectedSpans"] == "1"
    await site.parts.intake.lane.write()
    noted = "SELECT service FROM telemetry_services ORDER BY 1"  # of others the histograms would no longer count
    assert rows(database_url, noted) == [("shop",), ("shop@test",)]
    counts = "SELECT service, reason, sum(items) FROM intake WHERE key_id <> 0 GROUP BY 1, 2 ORDER BY 1, 2"
    assert rows(database_url, counts) == [
        ("", "INVALID", 5),
        ("", "accepted", 0),
        ("shop", "ABANDONED", 1),
        ("shop", "accepted", 2),
        ("shop@test", "accepted", 1),
    ]


@pytest.mark.gen_test
async def test_a_slow_commit_is_answered_in_time_and_counted_once(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await web(SPOOL="off")
    key, body = await site.key("ingest"), made(3).body()
    go, stored = asyncio.Event(), site.parts.intake.store

    async def slowly(*given: Any) -> Any:
        await go.wait()
        return await stored(*given)

    monkeypatch.setattr(site.parts.intake, "store", slowly)
    monkeypatch.setattr(otlp_handlers, "ANSWER_S", 0.05)
    assert (await send(site, key, body)).code == 503
    monkeypatch.undo()
    waits = asyncio.create_task(send(site, key, body))  # as an SDK does, while the first is still being stored
    await until(lambda: len(site.parts.in_flight) == 1, "it to come again")
    go.set()
    assert (await waits).code == 200
    assert (await send(site, key, body)).code == 200
    assert counted(database_url) == [("shop", 3, 0)]
    await site.parts.intake.lane.write()
    assert rows(database_url, "SELECT reason FROM intake WHERE key_id <> 0") == [("accepted",)]


@pytest.mark.gen_test
async def test_recorded_bodies_are_kept_whole(web: Any, database_url: str) -> None:
    bodies = sorted(path.name for path in DATA.glob("*-traces*") if path.suffix != ".headers")
    if not bodies:
        pytest.skip("no recordings here")
    site = await web(ROUTES_MAX="500")
    key, now = await site.key("ingest"), time.time_ns()
    for _ in range(2):
        for name in bodies:
            body, in_json = recorded(name)
            media = "application/json" if in_json else "application/x-protobuf"
            sent = moved(body, now, json_sent=in_json)
            found = await send(site, key, sent, Content_Type=media)
            assert (found.code, found.body) == (200, b"{}" if in_json else b""), name
    truths = [json.loads(path.read_text()) for path in DATA.glob("*.truth.json")]
    told = [one for one in truths if any(f"{one['case']}-traces" in name for name in bodies)]
    requests = sum(len(one["requests"]) for one in told) - 22  # abandoned or untold: tests/receivers/otlp/test_spans.py
    failed = sum(
        one.get("error", False) and isinstance(one["status"], int) for all_ in told for one in all_["requests"]
    )
    found = counted(database_url)
    assert (sum(n for _, n, _ in found), sum(bad for *_, bad in found)) == (requests, failed)


def test_a_key_may_stand_in_quotes() -> None:
    for given in ("Bearer k", '"Bearer k"', 'Bearer "k"', "Bearer%20k", "'Bearer  k '", "Bearer 'k'"):
        assert unquoted(given) == "Bearer k", given
