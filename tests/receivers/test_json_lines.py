"""JSON log lines, in the forms in which shippers and loggers write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.receivers.drained import DrainedLine
from server.receivers.environment import named
from server.receivers.json_lines import read, since_1970, written

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
AT = 1_796_040_001_234_567  # 2026-11-30T12:00:01.234567Z
INNER = json.dumps({"level": 50, "time": 1_796_040_001_000, "msg": "boom", "reqId": "r-1", "trace_id": TRACE})


def line(**given: Any) -> DrainedLine:
    usual = {"service": "shop", "at": AT, "text": "", "severity": 0, "level": "", "instance": "", "process": ""}
    return DrainedLine(**(usual | {"request_id": "", "trace_id": "", "cut": False} | given))


SENT: dict[str, tuple[bytes, DrainedLine]] = {
    "Vector, docker_logs of Dokku, a pino line within": (
        json.dumps([{
            "container_id": "9b1c", "container_name": "shop.web.1", "host": "dokku-1", "image": "dokku/shop:latest",
            "label": {"com.dokku.app-name": "shop", "com.dokku.process-type": "web"}, "message": INNER,
            "source_type": "docker_logs", "stream": "stdout", "timestamp": "2026-11-30T12:00:01.234567891Z",
        }]).encode(),
        line(
            text=INNER, severity=17, level="50", instance="dokku-1", process="stdout", request_id="r-1", trace_id=TRACE
        ),
    ),
    "Fluent Bit, json with a date of seconds": (
        b'[{"date":1796040001.234567,"log":"GET / 200\\n","stream":"stderr",'
        b'"kubernetes":{"pod_name":"shop-7d9f","container_name":"web","labels":{"app":"shop"}}}]',
        line(text="GET / 200", instance="shop-7d9f", process="stderr"),
    ),
    "Fluent Bit, java_sql_timestamp, a line in parts": (
        b'{"date":"2026-11-30 12:00:01.234567","log":"half","_partial":true,"app":"shop"}', line(text="half", cut=True)
    ),
    "Logstash and Elastic's common schema": (
        b'{"@timestamp":"2026-11-30T13:00:01,234567+01:00","message":"hi","log":{"level":"warn","logger":"a.b"},'
        b'"service":{"name":"shop"},"trace":{"id":"' + TRACE.encode() + b'"},"host":{"name":"h1"}}',
        line(text="hi", severity=13, level="warn", instance="h1", process="a.b", trace_id=TRACE),
    ),
    "pino, an error": (
        b'{"level":60,"time":1796040001234,"pid":1,"hostname":"h","name":"shop","msg":"died",'
        b'"req":{"id":"r-2"},"err":{"type":"Error","stack":"Error: x\\n  at y"}}',
        line(
            at=1_796_040_001_234_000, text="died\nError: x\n  at y", severity=21, level="60", instance="h",
            request_id="r-2",
        ),
    ),
    "Serilog, compact": (
        b'{"@t":"2026-11-30T12:00:01.234567Z","@m":"Paid 3","@l":"Warning","service":"shop","@tr":"abc"}',
        line(text="Paid 3", severity=13, level="Warning", trace_id="abc"),
    ),
    "Fly's shipper": (
        b'{"event":{"provider":"app"},"fly":{"app":{"instance":"4d89","name":"shop"}},"log":{"level":"info"},'
        b'"message":"hello","timestamp":"2026-11-30T12:00:01.234567Z"}',
        line(text="hello", severity=9, level="info", instance="4d89"),
    ),
    "systemd's journal": (
        b'{"__REALTIME_TIMESTAMP":"1796040001234567","MESSAGE":"m","PRIORITY":"3","SYSLOG_IDENTIFIER":"shop"}',
        line(text="m", severity=17, level="3"),
    ),
    "a trace as W3C writes it, another environment": (
        b'{"service":"shop","env":"staging","ts":1796040001234567,"severity_number":18,"message":"m",'
        b'"traceparent":"00-' + TRACE.encode() + b'-00f067aa0ba902b7-01"}',
        line(service="shop@staging", text="m", severity=18, trace_id=TRACE),
    ),
    "nothing that is known": (b'{"service":"shop","a":1,"time":"yesterday"}', line(
        at=None, text='{"service":"shop","a":1,"time":"yesterday"}')),
}  # fmt: skip


@pytest.mark.parametrize("form", SENT)
def test_each_form_is_read_as_it_was_meant(form: str) -> None:
    body, expected = SENT[form]
    drained = read(body)
    assert drained.lines == [expected]
    assert (drained.messages, drained.left.total()) == (1, 0)


def test_bodies_may_be_arrays_lines_or_one_behind_the_other() -> None:
    one, two = b'{"service":"shop","message":"1"}', b'{"service":"shop","message":"2"}'
    for body in (b"[%b,%b]", b"%b\n%b\n", b"%b%b", b"%b,\r\n%b"):
        assert [each.text for each in read(body % (one, two)).lines] == ["1", "2"], body
    plain = read(b"plain ERROR request_id=abc\n{broken\n\xff\n\n", "shop")
    assert [each.text for each in plain.lines] == ["plain ERROR request_id=abc", "{broken", "\ufffd"]
    assert (plain.lines[0].severity, plain.lines[0].request_id, plain.lines[0].at) == (17, "abc", None)
    left = read(b'[1, null, {"message":"whose?"}, [2]]')
    assert (left.lines, left.left) == ([], {"no object": 3, "no service": 1})
    assert read(b"").messages == 0
    deep = b'{"a":' * 3000 + b"1" + b"}" * 3000
    assert len(read(deep, "shop").lines) == 1


def test_half_a_character_or_an_endless_number_spoils_no_line_without_a_text() -> None:
    (half,) = read(b'{"a\\ud800":"\\udc00"}', "shop").lines
    assert half.text == '{"a\ud800":"\udc00"}'
    (endless,) = read(b'{"a":1' + b"0" * 40 + b"}", "shop").lines
    assert endless.text == '{"a":1' + "0" * 40 + "}"


def test_times_are_told_by_their_size() -> None:
    for value in (AT / 1e6, AT / 1e3, AT, AT * 1000):
        assert abs((since_1970(value) or 0) - AT) < 1000
    assert [since_1970(value) for value in (0, 12.5, -1, float("nan"), float("inf"))] == [None] * 5
    for none in ("2026-02-30T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert written(none) is None


def test_what_is_not_production_is_a_service_of_its_own() -> None:
    assert [named("shop", one) for one in ("", "production", "Prod", "live")] == ["shop"] * 4
    assert named("shop", " staging ") == "shop@staging"
    assert named("", "staging") == ""
    assert len(named("s" * 300, "e" * 300)) == 200
