from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ingest.decode import Form, decode, decode_each, faults_error
from server.ingest.outcome import span
from server.kernel.errors import ApiError
from tests.ingest.making import body, outcome

NOW = 1_795_442_504.0
TAKEN = span(NOW, 7)


def test_an_outcome_without_timestamp_is_of_now() -> None:
    result = decode(body(outcome()), "array", TAKEN)
    assert result.times == [TAKEN.now]
    assert result.outcomes[0].service == "checkout"
    assert not result.faults


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        (1_795_442_000_123, 1_795_442_000_123_000),
        (1_795_442_000_123.5, 1_795_442_000_123_500),
        ("2026-11-23T14:00:00Z", 1_795_442_400_000_000),
        ("2026-11-23T16:00:00.000007+02:00", 1_795_442_400_000_007),
        ("2026-11-23T14:00:00.1234567Z", 1_795_442_400_123_457),
    ],
)
def test_timestamps(stamp: object, at: int) -> None:
    assert decode(body(outcome(timestamp=stamp)), "array", TAKEN).times == [at]


@pytest.mark.parametrize(
    ("seconds", "taken"),
    [(300, True), (300.001, False), (-7 * 86400, True), (-7 * 86400 - 0.001, False)],
)
def test_the_edges_of_what_is_taken(seconds: float, taken: bool) -> None:
    result = decode(body(outcome(timestamp=round((NOW + seconds) * 1000))), "array", TAKEN)
    assert bool(result.outcomes) is taken
    assert [fault.field for fault in result.faults] == ([] if taken else ["timestamp"])


def test_epoch_seconds_are_recognised() -> None:
    result = decode(body(outcome(timestamp=int(NOW))), "array", TAKEN)
    assert "milliseconds, not seconds" in result.faults[0].reason


@pytest.mark.parametrize(
    ("wrong", "field", "reason"),
    [
        ({"status": 99}, "status", "from 100 to 599"),
        ({"status": "200"}, "status", "give a whole number from"),
        ({"status": 600}, "status", "from 100 to 599"),
        ({"duration_ms": -1}, "duration_ms", "from 0 to 86400000"),
        ({"duration_ms": 86_400_001}, "duration_ms", "from 0 to 86400000"),
        ({"service": ""}, "service", "1 to 200 characters"),
        ({"service": "x" * 201}, "service", "1 to 200 characters"),
        ({"route": "/a\0b"}, "route", "NUL"),
        ({"request_id": "x" * 129}, "request_id", "1 to 128 characters"),
        ({"error": 1}, "error", "give true or false"),
        ({"timestamp": "yesterday"}, "timestamp", "give RFC 3339 with its zone, as 2"),
        ({"timestamp": "2026-11-23T14:00:00"}, "timestamp", "give RFC 3339 with its zone"),
        ({"durationms": 3}, "durationms", "is an unknown field; known are service, route"),
    ],
)
def test_a_fault_names_index_field_and_reason(wrong: dict[str, object], field: str, reason: str) -> None:
    result = decode(body(outcome(), outcome(**wrong), outcome()), "array", TAKEN)
    assert len(result.outcomes) == 2
    assert result.items == 3
    (fault,) = result.faults
    assert (fault.index, fault.field) == (1, field)
    assert reason in fault.reason


def test_a_missing_field_is_named() -> None:
    (fault,) = decode(b'[{"service":"a","route":"/","method":"GET","status":200}]', "array", TAKEN).faults
    assert (fault.field, fault.reason) == ("duration_ms", "is missing")


def test_at_most_twenty_faults_are_named_and_all_are_counted() -> None:
    result = decode(body(*[outcome(status=0)] * 30), "array", TAKEN)
    error = faults_error(result.faults, result.items)
    assert error.status == 422
    assert [fault["index"] for fault in error.extra["errors"]] == list(range(20))
    assert error.extra["faults"] == 30


def test_lines_skip_empty_ones_and_name_the_broken_one() -> None:
    good = json.dumps(outcome()).encode()
    result = decode(good + b"\n\n" + b'{"service"' + b"\r\n" + good + b"\r\n", "lines", TAKEN)
    assert len(result.outcomes) == 2
    assert [(fault.index, fault.field) for fault in result.faults] == [(1, "")]
    assert "not JSON" in result.faults[0].reason


@pytest.mark.parametrize("sent", [b"", b"[", b"nonsense", b"[1,]"])
def test_what_is_not_json_is_a_bad_request(sent: bytes) -> None:
    with pytest.raises(ApiError) as raised:
        decode(sent, "array", TAKEN)
    assert raised.value.code == "BAD_REQUEST"


@pytest.mark.parametrize("sent", [b"{}", b"3", b'"x"', b"null"])
def test_what_is_no_array_is_invalid(sent: bytes) -> None:
    with pytest.raises(ApiError) as raised:
        decode(sent, "array", TAKEN)
    assert raised.value.code == "INVALID"


@pytest.mark.parametrize("sent", [b"[1]", b"[[]]", b"[null]", b'["x"]'])
def test_items_that_are_no_objects_are_faults(sent: bytes) -> None:
    (fault,) = decode(sent, "array", TAKEN).faults
    assert fault.index == 0
    assert "object" in fault.reason


sendable = st.fixed_dictionaries(
    {
        "service": st.text(max_size=4),
        "route": st.text(min_size=1, max_size=4),
        "method": st.sampled_from(["GET", "", "x" * 40]),
        "status": st.integers(95, 605),
        "duration_ms": st.floats(-1, 1e8) | st.integers(-1, 10),
    },
    optional={
        "timestamp": st.none()
        | st.integers(int(NOW * 1000) - 10**9, int(NOW * 1000) + 10**9)
        | st.datetimes(datetime(2026, 11, 1), datetime(2026, 12, 1)).map(lambda at: at.replace(tzinfo=UTC).isoformat()),
        "version": st.none() | st.text(max_size=3),
        "error": st.none() | st.booleans(),
    },
)


@given(st.lists(sendable, max_size=6))
def test_the_quick_way_and_the_slow_way_agree(outcomes: list[dict[str, object]]) -> None:
    sent = json.dumps(outcomes).encode()
    quick, slow = decode(sent, "array", TAKEN), decode_each(sent, "array", TAKEN)
    assert quick == slow
    assert len(quick.outcomes) + len(quick.faults) == quick.items == len(outcomes)
    lines = b"\n".join(json.dumps(outcome).encode() for outcome in outcomes)
    assert decode(lines, "lines", TAKEN).outcomes == quick.outcomes


@given(st.datetimes(datetime(2026, 11, 18), datetime(2026, 11, 23)))
def test_both_forms_of_a_time_are_the_same_moment(at: datetime) -> None:
    at = at.replace(tzinfo=UTC, microsecond=at.microsecond // 1000 * 1000)
    milliseconds = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    both = [outcome(timestamp=milliseconds), outcome(timestamp=at.isoformat())]
    first, second = decode(body(*both), "array", TAKEN).times
    assert first == second


@pytest.mark.parametrize(("sent", "form"), [(b"[" + b"1," * 5000 + b"1]", "array"), (b"1\n \n" * 5001, "lines")])
def test_more_items_than_the_limit_are_counted_and_none_is_looked_at(
    sent: bytes, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    monkeypatch.setattr("server.ingest.decode.decode_one", lambda *item: looked.append(item))
    result = decode(sent, form, TAKEN, 5000)
    assert (result.items, result.outcomes, result.faults, looked) == (5001, [], [], [])


def test_too_many_good_items_still_say_whose_they_are() -> None:
    late = outcome(timestamp=1)
    for sent in (body(*[outcome()] * 3), body(outcome(), outcome(), late)):
        result = decode(sent, "array", TAKEN, 2)
        assert result.items == 3
        assert {one.service for one in result.outcomes} == {"checkout"}


@pytest.mark.parametrize("form", ["array", "lines"])
def test_half_a_character_spoils_its_item_alone(form: Form) -> None:
    good = body(outcome())[1:-1]
    sent = [
        good,
        good.replace(b'"checkout"', rb'"a\ud800"'),
        good.replace(b'"checkout"', rb'"\ud83d\ude00 \\ud800"'),
        good,
    ]
    whole = b"[" + b",".join(sent) + b"]" if form == "array" else b"\n".join(sent)
    result = decode(whole, form, TAKEN)
    assert [fault.index for fault in result.faults] == [1]
    assert [one.service for one in result.outcomes] == ["checkout", "\U0001f600 \\ud800", "checkout"]
