"""Bodies of logs and metrics record by record: many and empty ones take no more than a turn, and are bounded."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from server.kernel.errors import ApiError
from server.receivers.drained import LINES_MAX
from server.receivers.otlp import records
from server.receivers.otlp.lines import LOGS, read_lines
from server.receivers.otlp.metric_wire import METRICS
from server.receivers.otlp.points import NEW, read_points
from server.receivers.otlp.records import sent_resources
from server.receivers.otlp.spans import ReadSpans, read_spans
from server.receivers.otlp.wire import TRACES
from server.receivers.otlp.wire import read as read_body
from tests.receivers.otlp.making import outcomes

KINDS = [(LOGS, read_lines), (METRICS, read_points)]
MIB = 1024 * 1024
PARTS_MAX = 1000  # in the place of many more


def sized(number: int, data: bytes) -> bytes:
    """A field of protobuf with these bytes."""
    size, packed = len(data), b""
    while size > 127:
        packed, size = packed + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + packed + bytes([size]) + data


def of_scope(data: bytes) -> bytes:
    """A body with one scope of these fields."""
    return sized(1, sized(2, data))


def pauses(reading: Iterator[None]) -> int:
    return sum(1 for _ in reading)


@pytest.mark.parametrize(("asked", "read"), KINDS)
def test_empty_records_are_read_a_few_at_a_time_in_little_memory(asked: Any, read: Any) -> None:
    empty = 4_000
    for body, json in ((of_scope(b"\x12\0" * empty), False), (in_json(asked, b"{}" + b",{}" * (empty - 1)), True)):
        tracemalloc.start()
        assert pauses(read(sent_resources(body, asked, json=json), Forgotten())) >= empty // 512
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < (MIB // 4 if not json else 100 * empty)


class Forgotten(list[Any]):
    """What is read is not kept, but counted."""

    n = 0

    def append(self, _: Any) -> None:
        self.n += 1

    def __len__(self) -> int:
        return self.n


def in_json(asked: Any, sent: bytes) -> bytes:
    names = (b"Logs", b"logRecords") if asked is LOGS else (b"Metrics", b"metrics")
    return b'{"resource%b":[{"scope%b":[{"%b":[%b]}]}]}' % (names[0], *names, sent)


@pytest.mark.parametrize("sent", [b"0", b"[]", b"null"])
def test_a_list_of_what_is_no_object_takes_no_memory(sent: bytes) -> None:
    many = sent + b",%b" % sent * 100_000
    for refused in (
        lambda: pauses(read_lines(sent_resources(in_json(LOGS, many), LOGS, json=True), [])),
        lambda: outcomes(b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b]}]}]}' % many, json=True),
    ):
        tracemalloc.start()
        with pytest.raises(ApiError, match="The body is not OTLP in JSON"):
            refused()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3 * MIB


def test_spans_in_json_are_read_one_by_one_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = 4_000
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{}%b]}]}]}' % (b",{}" * (empty - 1))
    tracemalloc.start()
    found = ReadSpans(lambda service, path, status: path)
    assert pauses(read_spans(read_body(body, TRACES, json=True), found)) >= empty // 256
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.spans, peak < 100 * empty) == (empty, True)
    monkeypatch.setattr("server.receivers.otlp.wire.OBJECTS_MAX", empty)
    with pytest.raises(ApiError, match="The body has more records"):
        outcomes(body, json=True)


@pytest.mark.parametrize(("asked", "read"), KINDS)
def test_what_holds_them_is_bounded_too(asked: Any, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.receivers.otlp.wire.PARTS_MAX", PARTS_MAX)
    monkeypatch.setattr(records, "FIELDS_MAX", 3 * PARTS_MAX)
    monkeypatch.setattr("server.receivers.otlp.wire.OBJECTS_MAX", 3 * PARTS_MAX)
    name = b"resourceLogs" if asked is LOGS else b"resourceMetrics"
    for body, json in (
        (b"\n\0" * (PARTS_MAX + 1), False),
        (sized(1, b"\x12\0" * PARTS_MAX), False),
        (sized(1, b"\x1a\0" * (3 * PARTS_MAX)), False),  # fields that nobody knows
        (b'{"%b":[%b{}]}' % (name, b"{}," * PARTS_MAX), True),
        (in_json(asked, b"{}" + b",{}" * (3 * PARTS_MAX)), True),
    ):
        with pytest.raises(ApiError, match="The body has more") as raised:
            pauses(read(sent_resources(body, asked, json=json), []))
        assert raised.value.code == "BAD_REQUEST"


def test_more_lines_than_are_read_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.receivers.drained.LINES_MAX", 1000)
    with pytest.raises(ApiError, match="more than 1000 lines") as raised:
        pauses(read_lines(sent_resources(of_scope(b"\x12\0" * 2000), LOGS, json=False), []))
    assert raised.value.code == "PAYLOAD_TOO_LARGE"
    assert LINES_MAX * 68 > 64 * MIB


@pytest.mark.parametrize(("asked", "read"), KINDS)
@pytest.mark.parametrize(
    "broken",
    [
        b"\xff" * 9,
        b"\x0a\x02\x12\xff",
        b"\x0a\x05",
        b"\x0b",
        b"\x08",
        of_scope(b"\x12\x02\x0a"),
        of_scope(b"\x12\x05\x0a\x01\xff\x4a\x01"),
        of_scope(sized(2, sized(1, NEW.encode()) + sized(9, b"\x10"))) + b"\x0a\x09",
    ],
)
def test_what_is_broken_is_said(asked: Any, read: Any, broken: bytes) -> None:
    with pytest.raises(ApiError, match="The body is not OTLP in protobuf") as raised:
        pauses(read(sent_resources(broken, asked, json=False), []))
    assert raised.value.code == "BAD_REQUEST"
    for text in (b"{", b"[]", in_json(asked, b'{"a":'), in_json(asked, b"1"), b"\xc3\x28"):
        with pytest.raises(ApiError, match="The body is not OTLP in JSON"):
            pauses(read(sent_resources(text, asked, json=True), []))


def test_fields_that_nobody_knows_are_passed_over() -> None:
    known = ExportLogsServiceRequest()
    known.resource_logs.add().scope_logs.add().log_records.add().severity_text = "x"
    metrics = ExportMetricsServiceRequest()
    metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name=NEW)
    metric.histogram.aggregation_temporality = 1
    metric.histogram.data_points.add(time_unix_nano=5, count=3, start_time_unix_nano=4)
    strange = b"\x78\x96\x01" + b"\x79" + bytes(8) + b"\x7d" + bytes(4) + sized(15, b"what")
    lines: list[Any] = []
    pauses(read_lines(sent_resources(strange + known.SerializeToString() + strange, LOGS, json=False), lines))
    assert [line.level for line in lines] == ["x"]
    found: list[Any] = []
    pauses(read_points(sent_resources(strange + metrics.SerializeToString(), METRICS, json=False), found))
    assert [point.histogram.counts for point in found] == [(3,)]
