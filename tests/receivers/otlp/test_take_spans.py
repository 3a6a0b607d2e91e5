"""Spans by the compiled part against the Python code, and what is known of a span against what it says itself."""

from __future__ import annotations

import gc
import sys
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from server.ingest.native import compiled
from server.kernel.errors import ApiError
from server.receivers.otlp import spans as reading
from server.receivers.otlp.routes import PYTHON
from server.receivers.otlp.told import PATH_BEGINS, TELLING, KnownRequest, ToldRequest, begin_of_key, key_of, known
from tests.examples import examples
from tests.receivers.otlp.making import outcomes

OK = Status(code=Status.STATUS_CODE_OK)
built = pytest.mark.skipif(compiled is None, reason="nothing is compiled here")

TIME = 1_796_000_000_000_000_000
DAY = 86_400 * 10**9
NAMES = ("http.route", "http.request.method", "http.response.status_code", "url.scheme", "error.type", "x", "", "ä")
RARE = (
    "url.path",
    "http.target",
    "url.full",
    "http.url",
    "rpc.system",
    "rpc.method",
    "grpc.status_code",
    "http.status_code",
    "http.request.header.x_request_id",
)
numbers = st.sampled_from([200, 204, 404, 500, 503, 0, -1]).map(lambda n: AnyValue(int_value=n))
texts = st.sampled_from(
    ["GET", "/pay", "pay", "/v1/pay?x=/", "https://x/a/b", "ws", "500", "GeneratorExit", "", "ä\0", "/"]
).map(lambda t: AnyValue(string_value=t))
attributes = st.builds(KeyValue, key=st.sampled_from(NAMES + RARE), value=numbers | texts)
routes = st.sampled_from(["/pay", "/buy", "", "/", "/:id", "http:/", "pay:", "GET /pay", "/*", "/v1"])
paths = st.sampled_from(
    [
        "/pay",
        "/v1/pay",
        "//pay/",
        "/pay?a=/b",
        "",
        "/",
        "/a/b/c",
        "pay",
        "/pay/7?/",
        "pay:///7",
        "/http://x/pay/1/2",
        "http://pay/a/b",
    ]
)
moments = st.sampled_from([0, 1, 2**53 + 1, 2**64 - 1, TIME - DAY, TIME - DAY + 1]) | st.integers(0, 2**64 - 1)


def usual(route: str, status: int, path: str = "/pay") -> list[KeyValue]:
    """As most spans have them."""
    named = {"http.request.method": "GET", "url.path": path, "http.route": route}
    return [
        *(KeyValue(key=name, value=AnyValue(string_value=value)) for name, value in named.items()),
        KeyValue(key="http.response.status_code", value=AnyValue(int_value=status)),
    ]


SCOPES = ("x", "", *(f"{PYTHON}{name}" for name in ("flask", "fastapi", "asgi", "wsgi", "tornado")), "fastapi")
USUAL: dict[str, Any] = {
    "trace_id": bytes(range(16)),
    "span_id": bytes(range(8)),
    "name": "GET /pay",
    "kind": 2,
    "start_time_unix_nano": TIME - 12_345_678,
    "end_time_unix_nano": TIME,
    "attributes": usual("/pay", 200),
}
OTHERS: dict[str, Any] = {
    "trace_id": st.sampled_from([b"", b"\1" * 15, b"\2" * 300]),
    "span_id": st.sampled_from([b"", b"\1" * 12, b"\xff" * 8]),
    "parent_span_id": st.sampled_from([b"\3" * 8, USUAL["span_id"]]),
    "trace_state": st.sampled_from(["ot=th:c", "a=b"]),
    "name": st.sampled_from(["GET", "", "é" * 70, "\U0001f600", "GET /v1/pay", "GET /?/", "a b /c"]),
    "kind": st.sampled_from([0, 1, 3, 5]),
    "start_time_unix_nano": moments,
    "end_time_unix_nano": moments | st.integers(TIME, TIME + DAY),
    "attributes": st.one_of(
        st.builds(
            usual,
            st.sampled_from(["/pay", "/buy", "", "/", "/:id", "http:/", "pay:", "GET /pay", "/*", "/v1"]),
            st.sampled_from([200, 404, 503]),
            paths,
        ),
        st.builds(usual, st.just("/pay"), st.just(200), paths),
        st.lists(attributes, max_size=3),
        st.lists(attributes, min_size=1, max_size=2).map(lambda more: usual("/pay", 200) + more),
    ),
    "dropped_attributes_count": st.just(3),
    "events": st.just([Span.Event(name="exception")]),
    "links": st.just([Span.Link(trace_id=b"\4" * 16)]),
    "status": st.sampled_from([Status(), OK, Status(code=Status.STATUS_CODE_ERROR, message="no")]),
    "flags": st.sampled_from([1, 0x100, 0x300]),
}
other = st.sampled_from(sorted(OTHERS)).flatmap(lambda name: st.tuples(st.just(name), OTHERS[name]))
spans = st.lists(other, max_size=2).map(lambda others: Span(**{**USUAL, **dict(others)}))


def framed(parts: list[bytes], name: str = "x") -> bytes:
    """A body of the bytes of spans, whatever they are, of a scope of this name."""
    scope = b"\x0a" + sized(b"\x0a" + sized(name.encode())) + b"".join(b"\x12" + sized(part) for part in parts)
    return b"\x0a" + sized(b"\x12" + sized(scope))


def sized(data: bytes) -> bytes:
    n, length = len(data), bytearray()
    while n > 127:
        length.append(n & 127 | 128)
        n >>= 7
    return bytes([*length, n]) + data


def said(body: bytes, **instead: Any) -> Any:
    """What a body says, read twice: the second time what it says is known."""
    with patch.dict(known, clear=True), patch.multiple(reading, **{"compiled": compiled, **instead}):
        try:
            outcomes(body)
            found = outcomes(body)
        except ApiError as error:
            return error.code, error.detail
    return found.outcomes, bytes(found.item_claims), found.abandoned, found.sampled, found.spans, found.repeated


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(spans, min_size=3, max_size=12), st.sampled_from(SCOPES))
@example([Span(**USUAL), Span(**USUAL | {"parent_span_id": USUAL["span_id"], "span_id": b""})], "x")
@example([Span(**USUAL), Span(**USUAL | {"attributes": usual("/pay", 200, ""), "name": "GET /v1/pay"})], "x")
def test_what_is_known_of_spans_is_what_they_say(sent: list[Span], scope: str) -> None:
    body = framed([one.SerializeToString() for one in sent], scope)
    alone = said(body, compiled=None, told_before=lambda span, scope: None)
    assert said(body, compiled=None) == alone
    assert said(body) == alone


def test_a_span_that_starts_far_ahead_is_of_the_second_in_which_it_ended() -> None:
    ahead = Span(**USUAL | {"start_time_unix_nano": TIME + 400 * DAY}).SerializeToString()
    without_end = Span(**USUAL | {"end_time_unix_nano": 0}).SerializeToString()
    for read_by in (compiled, None):
        _, claims, *_ = said(framed([Span(**USUAL).SerializeToString(), ahead, without_end]), compiled=read_by)
        seconds = [int.from_bytes(claims[at : at + 4], "big") for at in (0, 16, 32)]
        assert seconds == [TIME // 10**9 - 1, TIME // 10**9, TIME // 10**9 - 1]


def test_what_is_known_is_bounded() -> None:
    long = [KeyValue(key="http.route", value=AnyValue(string_value="/" * 2**16))]
    many = [KeyValue(key="x")] * 1000 + [KeyValue(key="http.route", value=AnyValue(string_value="/pay"))]
    with patch.dict(known, clear=True):
        for attributes in (long, many, many[1:]):
            outcomes(framed([Span(kind=2, status=OK, attributes=attributes).SerializeToString()]))
        assert len(known) == 1
        body = framed([Span(kind=2, status=OK, attributes=many[-1:] * 1001).SerializeToString()] * 2)
        assert said(body) == said(body, compiled=None)


edits = st.lists(
    st.tuples(st.sampled_from(["cut", "flip", "insert", "repeat"]), st.integers(0, 2**16), st.binary(max_size=6)),
    max_size=2,
)
# A status of 503 whose value comes before its key.
HIDDEN = b"\x4a\x20\x12\x03\x18\xf7\x03\x0a\x19http.response.status_code"
# A path that is no text.
UNTOLD = b"\x4a\x0f\x0a\x08url.path\x12\x03\x0a\x01\xff"
FIELDS = (
    HIDDEN, UNTOLD, b"\x30\x02", b"\x30\x82\x00", b"\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x32\x01\x02",
    b"\x7a\x02\x18\x02", b"\x7a\x03\x1a\x01\x02", b"\x7a\x02\x18\x02\x7a\x00", b"\x7a\x04\x18\x01\x18\x02",
    b"\x2a\x01\xff", b"\x1a\x02\xc3\x28", b"\x4a\x00", b"\x4a\x01\x0a", b"\x4a\x02\x0a\xff",
    b"\x4a\x05\x12\x03\x0a\x01x", b"\x5a\x00", b"\x63\x64", b"\x0b", b"\x00", b"\x4a\xff\xff\xff\xff\x0f", b"\x80",
    b"\xca\x00\x00", b"\x39\x01", b"\x38\x01", b"\x85\x01\x01\x02\x03\x04", b"\xf8\xff\xff\xff\x0f\x01", b"\x0a\x00",
)  # fmt: skip


@built
@settings(max_examples=examples(240), deadline=None)
@given(spans, edits, st.lists(st.sampled_from(FIELDS), max_size=2))
def test_hostile_bytes_are_read_or_refused_by_both_alike(
    sent: Span, changes: list[tuple[str, int, bytes]], fields: list[bytes]
) -> None:
    honest = Span(**USUAL).SerializeToString()
    changed = sent.SerializeToString() + b"".join(fields)
    for how, at, data in changes:
        place = at % (len(changed) + 1)
        changed = {
            "cut": changed[:place],
            "flip": changed[:place] + bytes([at & 255]) + changed[place + 1 :],
            "insert": changed[:place] + data + changed[place:],
            "repeat": changed + changed[:place],
        }[how]
    body = framed([honest, changed, honest])
    assert said(body) == said(body, compiled=None)


@built
@pytest.mark.parametrize("field", FIELDS)
def test_fields_that_nobody_writes_are_read_or_refused_by_both_alike(field: bytes) -> None:
    honest = Span(**USUAL).SerializeToString()
    for hostile in (honest + field, field + honest, Span(**USUAL | {"kind": 1}).SerializeToString() + field):
        body = framed([honest, hostile, honest], f"{PYTHON}flask")
        assert said(body) == said(body, compiled=None)


def test_a_span_says_nothing_of_those_that_have_not_its_attributes() -> None:
    def span(*written: bytes) -> bytes:
        return Span(kind=2, status=OK).SerializeToString() + b"".join(b"\x4a" + sized(one) for one in written)

    def one(key: str, value: str) -> tuple[bytes, bytes]:
        return b"\x0a" + sized(key.encode()), b"\x12" + sized(b"\x0a" + sized(value.encode()))

    method, route = b"".join(one("http.method", "GET")), one("http.route", "/theirs")
    hiding = (
        [method, route[1] + route[0]],  # its value first
        [method, b"".join((*one("x", ""), *route))],  # two keys: the last one counts
        [method + b"".join(route)],
    )
    with patch.dict(known, clear=True):
        for attributes in hiding:
            assert {one.route for one in outcomes(framed([span(*attributes)] * 2)).outcomes} <= {"/theirs", "(unknown)"}
        assert [one.route for one in outcomes(framed([span(method)] * 3)).outcomes] == ["(unknown)"] * 3


def test_calls_of_one_route_end_by_their_own_codes() -> None:
    def call(code: int) -> bytes:
        given = {"rpc.system": "grpc", "http.route": "/x", "rpc.service": "Cart", "rpc.method": f"Add{code}"}
        named = [KeyValue(key=name, value=AnyValue(string_value=value)) for name, value in given.items()]
        named.append(KeyValue(key="grpc.status_code", value=AnyValue(int_value=code)))
        return Span(kind=2, attributes=named).SerializeToString()

    with patch.dict(known, clear=True):
        found = outcomes(framed([call(0), call(5)])).outcomes
    assert [(one.route, one.status) for one in found] == [("/Cart/Add0", 200), ("/Cart/Add5", 404)]


@built
def test_nothing_of_what_is_taken_is_held_or_lost() -> None:
    request = KnownRequest(ToldRequest("GET", "/pay", 503, error_class="500"), 1, b"")
    named = [KeyValue(key=name, value=AnyValue(string_value="x" * 200)) for name in ("x", "http.route", "error.type")]
    told = {key_of("x", 0, [one.SerializeToString() for one in named[1:]]): request}
    ids = [{"trace_id": bytes([n]) * 16, "span_id": bytes([n]) * 8} for n in range(100)]
    sent = [Span(kind=2, attributes=named, **each).SerializeToString() for each in ids]
    strange: tuple[Any, ...] = ("x", bytearray(sent[0]), sent[0] + b"\x4a\x00", sent[0] + b"\x80")

    def once() -> None:
        into: list[Any] = []
        claims, failed, inner = bytearray(), dict[bytes, Any](), list[Any]()
        more = (
            (TELLING, PATH_BEGINS, 4),
            (begin_of_key("x"), told),
            ("shop", None, "pod-3"),
            (into, claims, failed, inner),
        )
        assert compiled.take_spans(sent, 40, *more) == 60
        assert compiled.take_spans(sent, 2**40, *more) == compiled.take_spans(sent, -1, *more) == 0
        assert [compiled.take_spans([one], 0, *more) for one in strange] == [0] * len(strange)
        assert (len(into), len(claims), len(failed), into[0].instance) == (60, 960, 60, "pod-3")
        strange_status = ToldRequest("GET", "/", 2**70)
        for odd in (None, (None, 1, b""), (strange_status, 1, b""), (request.told, -1, b""), (request.told, 1, "")):
            assert compiled.take_spans(sent, 0, more[0], (more[1][0], dict.fromkeys(told, odd)), *more[2:]) == 0  # type: ignore[arg-type]
        for begins in (("x",), PATH_BEGINS, 4), (TELLING, ("x",) * 4, 4), (TELLING, TELLING, 4):
            assert compiled.take_spans(sent, 0, begins, *more[1:]) == 0  # type: ignore[arg-type]

    once()
    gc.collect()
    before, references = sys.getallocatedblocks(), sys.getrefcount(request)
    for _ in range(20):
        once()
    gc.collect()
    assert sys.getrefcount(request) == references
    assert sys.getallocatedblocks() - before < 200
