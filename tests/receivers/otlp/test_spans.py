"""Spans to outcomes: bodies of the real SDK, and what real frameworks sent, with the truth of each request."""

from __future__ import annotations

import json
import linecache
from collections import Counter
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from opentelemetry.trace import SpanKind

from server.ingest.outcome import DURATION_MAX_MS
from server.kernel.errors import ApiError
from server.receivers.otlp.spans import ReadSpans
from server.receivers.otlp.wire import PARTS_MAX
from tests.receivers.otlp.making import DATA, Spans, as_json, http, outcomes, recorded, route_of

# What nobody can tell from spans: requests whose client had nothing, which the framework took for 200, and those of
# which it told nothing at all.
ABANDONED = {"djangoasgi-old": 1, "tornado-abort-stream-http": 20}
UNTOLD = {"djangoasgi-http": 1}
ASGI, WSGI, STARLETTE, AIOHTTP, LAMBDA = (
    f"opentelemetry.instrumentation.{name}" for name in ("asgi", "wsgi", "starlette", "aiohttp_server", "aws_lambda")
)
TRUTHS = sorted(DATA.glob("*.truth.json"))


class StreamClosedError(Exception):
    """As Tornado's."""


def closed_at(line: str) -> StreamClosedError:
    """One that was raised in a line of a handler, which need not be able to run."""
    given, error = f"handler of {line}", StreamClosedError()
    linecache.cache[given] = (len(line), None, [line], given)
    try:
        exec(compile("raise error", given, "exec"), {"error": error})
    except StreamClosedError as raised:
        return raised
    raise AssertionError


@pytest.mark.parametrize("path", TRUTHS, ids=lambda path: path.name.removesuffix(".truth.json"))
def test_what_frameworks_sent_is_what_was_true(path: Any) -> None:
    truth = json.loads(path.read_text())
    names = [one for one in truth["payloads"] if "-traces" in one["file"] and (DATA / one["file"]).exists()]
    if not names:
        pytest.skip("its spans were not recorded")
    found, case = ReadSpans(route_of), truth["case"]
    for one in names:
        body, in_json = recorded(one["file"])
        outcomes(body, found, json=in_json)
    requests = truth["requests"]
    abandoned = ABANDONED.get(case, 0)
    assert len(found.outcomes) == len(requests) - abandoned - UNTOLD.get(case, 0)
    assert sum(found.abandoned.values()) == abandoned
    assert sum(one["server_spans"] for one in names) == len(found.outcomes) + abandoned + found.repeated
    known = Counter((one["method"], one["status"]) for one in requests if isinstance(one["status"], int))
    told = Counter((one.method, one.status) for one in found.outcomes)
    left = [one for one in requests if not isinstance(one["status"], int)]
    assert (known - told, sum((told - known).values())) == (Counter(), len(left) - abandoned - UNTOLD.get(case, 0))
    assert sum(one.status >= 500 for one in found.outcomes) == sum(
        one.get("error", False) and isinstance(one["status"], int) for one in requests
    )
    routes = {one["route"] for one in requests if one["route"]}
    assert all(one.route[:1] in "/^(" for one in found.outcomes)
    if not case.startswith(("asgi", "wsgi", "node-http", "tornado")):
        assert {one.route for one in found.outcomes} <= routes | {"(not found)"}
    assert {one.service for one in found.outcomes} <= {
        f"shop-{case.split('-')[0]}@staging",
        f"shop-{case.split('-')[1]}@staging",
    }


def test_a_request_is_told_whole() -> None:
    spans = Spans(service_version="1.4", service_instance_id="pod-3", deployment_environment="Staging")
    header = {"http.request.header.x_request_id": ["from-the-client", "more"]}
    spans.add(
        http(503, **header, **{"error.type": "503"}),
        error=True,
        raised=KeyError("no"),
        calls=[
            {"db.system.name": "postgresql", "server.address": "10.0.0.5"},
            {"server.address": "later"},
        ],
    )
    spans.add(http(200))
    spans.add(http(200, **header))
    found = outcomes(spans.body())
    failed, good, named = found.outcomes
    assert named.request_id == "from-the-client"
    assert (failed.service, failed.version, failed.instance) == ("shop@Staging", "1.4", "pod-3")
    assert (failed.route, failed.method, failed.status, failed.duration_ms) == ("/pay", "GET", 503, 12.0)
    assert (failed.error_class, failed.dependency, failed.request_id) == ("KeyError", "postgresql", "from-the-client")
    assert (good.error_class, good.dependency, good.request_id) == (None, None, good.trace_id)
    assert len(good.trace_id or "") == 32
    assert good.timestamp == (spans.memory.get_finished_spans()[-2].end_time or 0) / 1_000_000
    assert len(found.item_claims) == 48
    for text in (True, False):
        in_json = outcomes(as_json(spans.message, text=text), json=True)
        assert (in_json.outcomes, in_json.item_claims) == (found.outcomes, found.item_claims)


@pytest.mark.parametrize(
    ("attributes", "given", "status"),
    [
        (http(404), {"error": True}, 404),
        (http(444), {}, None),  # restify: the connection was closed
        (http(499), {}, None),
        (http(200), {"error": True}, 200),
        (http(None), {"error": True, "raised": ValueError()}, 500),
        (http(None), {}, None),
        (http(200), {"raised": StreamClosedError()}, None),
        (http(500), {"error": True, "raised": StreamClosedError()}, None),
        (http(500), {"error": True, "raised": closed_at("await self.flush()")}, None),
        (http(500), {"error": True, "raised": closed_at("await upstream.read_until(b'.')")}, 500),
        (http(200), {"error": True, "raised": ConnectionResetError()}, None),
        (http(None), {"error": True, "raised": ConnectionResetError(), "scope": WSGI}, 500),
        (http(None, **{"error.type": "ClientConnectionResetError"}), {"error": True}, None),
        (http(200), {"raised": ConnectionResetError()}, 200),  # of another server, and answered all the same
        (http(502), {"error": True, "raised": ConnectionResetError()}, 502),
        ({"http.method": "GET", "http.target": "/pay", "http.status_code": 418}, {}, 418),
        ({"http.scheme": "ws", "http.target": "/ws", "http.status_code": 200}, {"name": "HTTP /ws"}, 101),
        ({"rpc.system": "grpc", "rpc.grpc.status_code": 0}, {}, 200),
        ({"rpc.system": "grpc", "rpc.grpc.status_code": 0}, {"error": True, "raised": ValueError()}, 500),
        ({"rpc.system": "grpc", "rpc.grpc.status_code": 5}, {"error": True}, 404),
        ({"rpc.system": "grpc", "rpc.grpc.status_code": 1}, {"error": True}, None),
        ({"rpc.system.name": "grpc", "rpc.response.status_code": "CANCELLED"}, {}, None),
        ({"rpc.system.name": "grpc", "rpc.response.status_code": "UNAVAILABLE"}, {"error": True}, 503),
        ({"rpc.system": "grpc"}, {}, 200),
        ({"rpc.system": "grpc"}, {"error": True}, 500),
        ({"messaging.system": "celery"}, {"kind": SpanKind.CONSUMER}, 200),
        ({"messaging.system": "celery"}, {"kind": SpanKind.CONSUMER, "error": True}, 500),
        ({"messaging.system": "rabbitmq", "messaging.operation": "receive"}, {"kind": SpanKind.CONSUMER}, 200),
        ({"messaging.system": "aws.sqs", "messaging.operation": "receive"}, {"kind": SpanKind.CONSUMER}, "no request"),
        (
            {"messaging.operation.type": "receive", "messaging.batch.message_count": 3},
            {"kind": SpanKind.CONSUMER},
            "no request",
        ),
        (
            {"messaging.operation.type": "process", "messaging.batch.message_count": 3},
            {"kind": SpanKind.CONSUMER},
            200,
        ),
        (None, {"kind": SpanKind.CONSUMER, "scope": "opentelemetry.instrumentation.confluent_kafka"}, "no request"),
        (None, {"kind": SpanKind.CONSUMER}, 200),
        (None, {}, 200),
        (http(500), {"kind": SpanKind.INTERNAL}, "no request"),
        (http(500), {"kind": SpanKind.CLIENT}, "no request"),
    ],
)
def test_how_it_ended(attributes: Any, given: dict[str, Any], status: Any) -> None:
    spans = Spans()
    spans.add(attributes, **given)
    found = outcomes(spans.body())
    ended = [one.status for one in found.outcomes] or ([None] if found.abandoned else ["no request"])
    assert ended == [status]


@pytest.mark.parametrize(
    ("attributes", "name", "scope", "route"),
    [
        ({"http.route": "orders/<int:pk>"}, "GET", "x", "/orders/<int:pk>"),
        ({"http.route": ""}, "GET", "x", "/"),
        ({"http.route": r"^old/(\d+)$"}, "GET", "x", r"^old/(\d+)$"),
        # hapi leaves out the prefix of a plugin; Express 4 says / of what nobody serves, and of its middleware.
        ({"http.route": "/items/{id}", "url.path": "/v1/items/9"}, "GET", "x", "/v1/items/{id}"),
        ({"http.route": "/items/:id", "http.target": "/shops/7/items/9/?x=/"}, "GET", "x", "/shops/:id/items/:id"),
        ({"http.route": "/", "url.path": "/nope/7", "http.response.status_code": 404}, "GET /", "x", "(not found)"),
        ({"http.route": "/**", "url.path": "/nope", "http.response.status_code": 404}, "GET /**", "x", "(not found)"),
        ({"http.route": "/*", "url.path": "/app/x"}, "GET /*", "x", "/*"),
        ({"http.route": "/", "url.path": "/files/12"}, "GET /", "x", "/files/:id"),
        ({"http.route": "/", "url.path": "/"}, "GET /", "x", "/"),
        ({"http.route": "/items/{id}", "url.path": "/items/9/"}, "GET", "x", "/items/{id}"),
        ({"http.route": "/api", "url.path": "/api/users/7"}, "GET", "x", "/api"),  # a mount alone
        ({"http.route": "/{rest}", "url.path": "/a/b/c"}, "GET", "x", "/{rest}"),
        ({"http.route": "/a/{p:path}", "url.path": "/x/a/b"}, "GET", "x", "/a/{p:path}"),
        ({}, "GET /orders/{id}", "opentelemetry.instrumentation.tornado", "/orders/{id}"),
        ({}, "GET /orders/7?x=1", "opentelemetry.instrumentation.asgi", "/orders/:id"),
        ({"http.route": "", "url.path": "/a/7"}, "GET", AIOHTTP, "/a/:id"),
        (
            {"http.route": "order", "http.target": "/a/7"},
            "/a/7",
            "opentelemetry.instrumentation.aiohttp_server",
            "/a/:id",
        ),
        ({"http.route": "Not Found", "http.url": "http://x/a/7", "http.status_code": 404}, "", "x", "(not found)"),
        ({"http.route": "GET /a/7", "url.path": "/a/7"}, "GET /a/7", ASGI, "/a/:id"),
        ({"http.route": "GET /a/7", "http.target": "/a/7?x=/y"}, "GET /a/7", ASGI, "/a/:id"),
        ({"http.route": "/a/7", "url.path": "/a/7"}, "/a/7", ASGI, "/a/:id"),
        ({"http.route": "/a/7", "http.target": "/a/7?x=1"}, "shop", LAMBDA, "/a/:id"),
        ({"http.route": "/a/{id}", "http.target": "/a/{id}"}, "shop", LAMBDA, "/a/{id}"),
        ({"http.route": "GET /a/{id}", "url.path": "/a/7"}, "GET /a/{id}", "go", "/a/{id}"),
        ({"http.target": "/a/7;v=1?x=2"}, "GET", "x", "/a/:id"),
        ({"http.url": "https://shop.example/b/9f3c2d1e0a"}, "GET", "x", "/b/:id"),
        ({}, "GET", "x", "(unknown)"),
        ({"http.response.status_code": 404, "url.path": "/.env"}, "GET", "x", "(not found)"),
        ({"rpc.system": "grpc", "rpc.service": "shop.Cart", "rpc.method": "Add"}, "x", "x", "/shop.Cart/Add"),
        ({"rpc.system.name": "grpc", "rpc.method": "shop.Cart/Add"}, "x", "x", "/shop.Cart/Add"),
    ],
)
def test_the_route(attributes: Any, name: str, scope: str, route: str) -> None:
    spans = Spans()
    spans.add(
        {"http.request.method": "GET"}
        | ({} if "http.status_code" in attributes else {"http.response.status_code": 200})
        | attributes
        if "rpc.method" not in attributes
        else attributes,
        name=name,
        scope=scope,
    )
    assert [one.route for one in outcomes(spans.body()).outcomes] == [route]


@pytest.mark.parametrize(
    ("mount", "path", "status", "inside", "route"),
    [
        ("/mnt", "/mnt/things/7", 200, "/things/{id}", "/mnt/things/{id}"),
        ("/mnt", "/mnt/files/a/b", 200, "/files/{rest:path}", "/mnt/files/{rest:path}"),
        ("/mnt", "/mnt/things/7?x=/1/2", 200, None, "/mnt/things/:id"),
        ("/mnt", "/mnt/nope", 404, None, "(not found)"),
        ("/mnt", "/mnt", 200, None, "/mnt"),
        ("/mnt", "/mnt/deep/things/7", 200, "/deep", "/mnt/deep/things/:id"),  # of a mount in a mount
        ("/{shop}/in", "/berlin/in/things/7", 200, None, "/{shop}/in/things/:id"),
        ("", "/things/7", 200, "/things/{id}", "/things/{id}"),
        ("/files/{rest:path}", "/files/a/b", 200, None, "/files/{rest:path}"),
        ("/{id}", "/prefix/7", 200, None, "/{id}"),  # behind a proxy that leaves its prefix in the path
        ("/orders/{id}", "/prefix/orders/7", 200, None, "/prefix/orders/{id}"),
    ],
)
def test_a_mounted_application_has_its_own_routes(
    mount: str, path: str, status: int, inside: str | None, route: str
) -> None:
    spans = Spans()
    for _ in range(2):  # what was found for one is remembered for others
        spans.add(http(200, **{"http.route": "/mnt", "url.path": "/mnt"}), scope=STARLETTE)
        within = None if inside is None else http(status, **{"http.route": inside, "url.path": path})
        spans.add(http(status, **{"http.route": mount, "url.path": path}), scope=STARLETTE, inside=within)
    assert [one.route for one in outcomes(spans.body()).outcomes] == ["/mnt", route] * 2
    assert [one.route for one in outcomes(as_json(spans.message), json=True).outcomes] == ["/mnt", route] * 2


def test_an_invocation_of_lambda_is_one_however_many_spans_it_has() -> None:
    spans = Spans()
    tracer = spans.provider.get_tracer(LAMBDA)
    with tracer.start_as_current_span("orders", kind=SpanKind.SERVER, attributes={"faas.trigger": "pubsub"}):
        tracer.start_span("process orders", kind=SpanKind.CONSUMER).end()
    tracer.start_span("process orders", kind=SpanKind.CONSUMER).end()  # of older versions, alone
    assert [one.method for one in outcomes(spans.body()).outcomes] == ["CALL", "CONSUME"]


def test_fastapis_own_spans_are_dropped_beside_those_around_them() -> None:
    alone, beside = Spans(), Spans()
    for spans in (alone, beside):
        spans.add(http(200), scope="fastapi")
    beside.add(http(200), scope="opentelemetry.instrumentation.asgi")
    assert (len(outcomes(alone.body()).outcomes), outcomes(alone.body()).repeated) == (1, 0)
    assert (len(outcomes(beside.body()).outcomes), outcomes(beside.body()).repeated) == (1, 1)
    mounted = Spans()
    for _ in range(2):
        mounted.add(http(200, **{"http.route": "/items/{id}", "url.path": "/api/items/7"}), scope="fastapi")
        around = {"http.method": "GET", "http.status_code": 200, "http.route": "/api", "http.target": "/api/items/7?x"}
        mounted.add(around, scope="opentelemetry.instrumentation.fastapi")
    assert [one.route for one in outcomes(mounted.body()).outcomes] == ["/api/items/{id}"] * 2


def test_at_heroku_the_platform_names_what_nobody_else_has() -> None:
    platform = {"heroku_app_name": "cart", "heroku_release_version": "v42", "heroku_dyno_name": "web.1"}
    named = platform | {"service_version": "5f2c1a9"}
    unnamed = platform | {"service_name": "unknown_service:node"}
    for given, told in ((named, ("shop", "5f2c1a9", "web.1")), (unnamed, ("cart", "v42", "web.1"))):
        spans = Spans(**given)
        spans.add(http(200))
        assert [(one.service, one.version, one.instance) for one in outcomes(spans.body()).outcomes] == [told]


def test_environments_of_production_have_the_services_own_name() -> None:
    for environment in ("production", "prod", "live", ""):
        spans = Spans(deployment_environment_name=environment)
        spans.add(http(200))
        assert [one.service for one in outcomes(spans.body()).outcomes] == ["shop"]


def test_a_body_in_json_may_leave_out_what_it_likes() -> None:
    body = """{"resourceSpans": [{"resource": null, "scopeSpans": [{"spans": [
        {"kind": "SPAN_KIND_SERVER", "traceId": "", "status": {}, "name": null, "startTimeUnixNano": null,
         "attributes": [{"key": "http.method", "value": {"stringValue": "GET"}}, {"key": "x"},
                        {"key": "http.status_code", "value": {"intValue": "200"}}]},
        {"kind": 2, "traceId": "no hexadecimal", "spanId": "0102030405060708", "status": null, "unknown": [{}],
         "attributes": [{"key": "http.method", "value": {"stringValue": "GET"}},
                        {"key": "http.status_code", "value": {"doubleValue": 503.0}}]}]}]}]}"""
    found = outcomes(body.encode(), json=True)
    assert [(one.status, one.service, one.timestamp) for one in found.outcomes] == [
        (200, "unknown_service", None),
        (503, "unknown_service", None),
    ]
    assert len(found.item_claims) == 32
    assert outcomes(b"", json=True).outcomes == outcomes(b"").outcomes == []
    assert not outcomes(b"{}", json=True).outcomes
    for broken, in_json in (
        (b"{", True),
        (b"[]", True),
        (b"\xff" * 9, False),
        (b"\xc3\x28", True),
        (b"\x0a\x02\x12\xff", False),
    ):
        with pytest.raises(ApiError, match="The body is not OTLP") as raised:
            outcomes(broken, json=in_json)
        assert raised.value.code == "BAD_REQUEST"


def test_a_span_is_known_by_its_ids_and_its_start() -> None:
    spans = Spans()
    for _ in range(3):
        spans.add(http(200))
    message = spans.message
    same = ExportTraceServiceRequest.FromString(message.SerializeToString())
    del same.resource_spans[0].scope_spans[0].spans[1:]
    claims = outcomes(message.SerializeToString()).item_claims
    assert outcomes(same.SerializeToString()).item_claims == claims[:16]
    assert len({bytes(claims[at : at + 16]) for at in range(0, 48, 16)}) == 3


def a_span_in_json(status: dict[str, object], end: str) -> bytes:
    attributes = [
        {"key": "http.request.method", "value": {"stringValue": "GET"}},
        {"key": "http.response.status_code", "value": status},
    ]
    span = {"kind": 2, "name": "GET", "startTimeUnixNano": "1", "endTimeUnixNano": end, "attributes": attributes}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


@pytest.mark.parametrize("status", [{"stringValue": "9" * 5000}, {"doubleValue": "NaN"}, {"doubleValue": "-Infinity"}])
def test_a_status_that_is_no_number_is_none(status: dict[str, str]) -> None:
    assert outcomes(a_span_in_json(status, "1"), json=True).abandoned == {"unknown_service": 1}


def test_a_time_that_no_float_holds_spoils_its_span_alone() -> None:
    (outcome,) = outcomes(a_span_in_json({"intValue": 204}, "1" * 400), json=True).outcomes
    assert (outcome.status, outcome.duration_ms) == (204, DURATION_MAX_MS)


def test_half_a_character_is_a_sign_and_spoils_nothing() -> None:
    body = a_span_in_json({"intValue": 200}, "1").replace(b'"GET"}}', rb'"a\ud83d\\\ude00\ud83d\ude00"}}', 1)
    (outcome,) = outcomes(body, json=True).outcomes
    assert outcome.method == "a\ufffd\\\ufffd\U0001f600"


def test_resources_and_scopes_are_bounded_for_they_may_be_empty() -> None:
    scopes = ExportTraceServiceRequest()
    scopes.resource_spans.add().scope_spans.extend([ScopeSpans()] * PARTS_MAX)
    in_json = json.dumps({"resourceSpans": [{"scopeSpans": [{}] * PARTS_MAX}]}).encode()
    for body in (b"\n\0" * (PARTS_MAX + 1), scopes.SerializeToString(), in_json):
        with pytest.raises(ApiError, match="resources and scopes"):
            outcomes(body, json=body == in_json)


def test_a_call_is_named_without_its_password() -> None:
    spans = Spans()
    spans.add(http(503), error=True, calls=[{"url.full": "https://mira:s3cret@api.example/pay"}])
    assert outcomes(spans.body()).outcomes[0].dependency == "api.example"
