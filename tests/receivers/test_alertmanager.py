"""The body of a webhook as it may come: what is refused names the field, what is too long is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.kernel.errors import ApiError
from server.receivers.alertmanager import LABELS_MAX, VALUE_MAX, read
from tests.signals.told import START, alert, group


def body(**changed: Any) -> bytes:
    return json.dumps(group(alert() | changed)).encode()


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (b"[]", "body"),
        (b'{"text": "HighErr is firing"}', "version"),
        (json.dumps(group() | {"version": "5"}).encode(), "version"),
        (json.dumps(group() | {"version": 4}).encode(), "version"),
        (json.dumps(group() | {"alerts": {}}).encode(), "alerts"),
        (json.dumps(group() | {"truncatedAlerts": -1}).encode(), "truncatedAlerts"),
        (body(status="pending"), "alerts[0].status"),
        (body(labels={"a": 1}), "alerts[0].labels[...]"),
        (body(startsAt="yesterday"), "alerts[0].startsAt"),
        (body(startsAt="2026-11-29T17:10:53"), "alerts[0].startsAt"),
        (body(startsAt=1_790_000_000), "alerts[0].startsAt"),
        (body(fingerprint=""), "alerts[0].fingerprint"),
        (body(fingerprint="f" * 65), "alerts[0].fingerprint"),
    ],
)
def test_what_is_no_payload_of_alertmanager_is_told_so(sent: bytes, field: str) -> None:
    with pytest.raises(ApiError, match="Alertmanager's own payload") as refused:
        read(sent)
    assert (refused.value.status, refused.value.extra["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize("sent", [b"", b"HighErr is firing", b"\xff", b'{"a": "\\ud800"}'])
def test_what_is_no_json_is_told_so(sent: bytes) -> None:
    with pytest.raises(ApiError, match="Alertmanager's own payload") as refused:
        read(sent)
    assert refused.value.status == 400


def test_no_end_is_no_end() -> None:
    assert read(body(status="resolved", endsAt="0001-01-01T00:00:00Z")).signals[0].ended_at is None
    assert read(body(status="resolved", endsAt="0001-01-01T00:00:00+05:00")).signals[0].ended_at is None
    assert read(body(status="firing", endsAt="2026-11-29T17:10:53Z")).signals[0].ended_at is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-29T17:10:53.987982123Z", 1795972253.987982),
        ("2026-11-29T18:10:53.5+01:00", 1795972253.5),
        ("0001-01-01T00:00:00+14:00", 0),
        ("9999-12-31T23:59:59-12:00", 253_370_764_799),
    ],
)
def test_times_are_within_what_can_be_told(text: str, seconds: float) -> None:
    assert read(body(startsAt=text)).signals[0].starts_at == seconds


def test_what_is_too_much_is_cut() -> None:
    labels = {f"l{number:04}": "x" * 10_000 for number in range(1000)} | {"service": "checkout\0", "a\u202eb": "c\nd"}
    (one,) = read(body(labels=labels, annotations=None, generatorURL="h" * 9999)).signals
    assert len(one.labels) == LABELS_MAX
    assert one.labels["service"] == "checkout", "what tells it comes before what is many"
    assert one.labels["a b"] == "c d"
    assert {len(value) for name, value in one.labels.items() if name.startswith("l")} == {VALUE_MAX}
    assert (one.summary, len(one.link)) == ("", 2000)


def test_a_fingerprint_that_is_told_twice_is_told_once() -> None:
    (one,) = read(json.dumps(group(alert(), alert(start=5.0), alert(start=9e9, end=9.1e9))).encode()).signals
    assert (one.firing, one.starts_at) == (True, START)
