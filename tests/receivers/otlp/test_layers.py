"""Requests that several SERVER spans tell: two layers of one process, copies, and a service that calls itself."""

from __future__ import annotations

from collections import Counter

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import SpanKind

from tests.receivers.otlp.making import Spans, another_process, as_json, http, outcomes


@pytest.mark.parametrize("in_json", [False, True])
def test_a_request_that_two_layers_tell_is_one_and_knows_what_both_know(in_json: bool) -> None:
    spans, middleware = Spans(), SpanKind.INTERNAL
    told = {"http.request.method": "GET", "url.path": "/orders/x", "http.response.status_code": 500}
    with spans.within(told), spans.within(None, kind=middleware):  # Node's http around Hono's
        spans.add(http(500, **{"http.route": "/orders/:id"}), error=True, raised=KeyError("no"))
        with another_process():
            spans.add(http(200))
    with spans.within(told | {"http.response.status_code": 200}):
        spans.add(http(None))  # nobody told how this layer ended
    with spans.within(None, kind=middleware):
        spans.add(http(200, **{"http.route": "/job"}))  # a job of its own began it
    found = outcomes(as_json(spans.message) if in_json else spans.body(), json=in_json)
    assert Counter((one.route, one.status, one.error_class) for one in found.outcomes) == {
        ("/pay", 200, None): 1,
        ("/orders/:id", 500, "KeyError"): 1,
        ("/orders/x", 200, None): 1,
        ("/job", 200, None): 1,
    }
    assert (found.repeated, sum(found.abandoned.values()), len(found.item_claims)) == (2, 0, 64)


def test_copies_of_an_inner_layer_are_left_out_too() -> None:
    spans = Spans()
    for status in (200, None):
        with spans.within(http(200)):
            spans.add(http(status))
    message = spans.message
    for scope in message.resource_spans[0].scope_spans:
        scope.spans.extend([*scope.spans])
    found = outcomes(message.SerializeToString())
    assert len({bytes(found.item_claims[at : at + 16]) for at in range(0, len(found.item_claims), 16)}) == 2
    assert (found.repeated, sum(found.abandoned.values())) == (4, 0)


@pytest.mark.parametrize("outer", [200, None])
def test_a_service_that_calls_itself_is_called_also_where_sdks_say_nothing_of_parents(outer: int | None) -> None:
    spans = Spans()
    with spans.within(http(outer)), another_process():
        spans.add(http(200), scope="outside")  # of the same framework
        spans.add(http(200), scope="mux")
    message = spans.message
    for scope in message.resource_spans[0].scope_spans:
        for span in scope.spans:
            span.flags = 0
    found = outcomes(message.SerializeToString())
    assert (len(found.outcomes), found.repeated) == (1 if outer is None else 2, 1)


def test_an_inner_layer_repeats_also_where_the_outer_one_comes_later() -> None:
    spans = Spans(service_name="streams")
    with spans.within(http(200)):
        spans.add(http(200))
    message = spans.message
    alone = ExportTraceServiceRequest.FromString(spans.body())
    del alone.resource_spans[0].scope_spans[1:]  # what ended first
    assert len(outcomes(alone.SerializeToString()).outcomes) == 1, "nobody has seen that it is an inner one"
    assert len(outcomes(spans.body()).outcomes) == 1
    assert len(outcomes(alone.SerializeToString()).outcomes) == 0
    for one in (alone, message):
        for scope in one.resource_spans[0].scope_spans:
            scope.spans[0].flags = 0  # as older SDKs send it
    assert [len(outcomes(one.SerializeToString()).outcomes) for one in (alone, message)] == [1, 1]


def test_so_many_spans_are_looked_through_for_what_stands_between(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = Spans()
    spans.add(http(500), error=True, calls=[{"server.address": "db"}])
    first = [one.dependency for one in outcomes(spans.body()).outcomes]
    monkeypatch.setattr("server.receivers.otlp.spans.LOOKED_THROUGH", 0)
    assert (first, [one.dependency for one in outcomes(spans.body()).outcomes]) == (["db"], [None])
