from __future__ import annotations

import struct
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.ingest.count import count, delta_rows, delta_rows_in_python, fast, merged
from server.ingest.counted import Counted, Unnumbered
from server.ingest.rows import request_ids
from server.ingest.series import Name, Series, Spelling
from server.tables.binary import rows_in
from tests.examples import examples
from tests.ingest.making import decoded, outcome

sendable = st.fixed_dictionaries(
    {
        "service": st.sampled_from(["a", "b"]),
        "status": st.sampled_from([200, 404, 500]),
        "duration_ms": st.floats(0, 10_000),
        "timestamp": st.integers(0, 3000).map(lambda back: int(time.time() * 1000) - back),
    },
    optional={
        "error": st.booleans(),
        "request_id": st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9),
        "client": st.sampled_from(["web", "app"]),
        "version": st.sampled_from(["v1", None]),
    },
)


class Book:
    """Numbers series as they come."""

    def __init__(self) -> None:
        self.known: dict[Spelling, Series] = {}

    def find(self, spelling: Spelling) -> Series:
        name = Name(spelling[0], spelling[1] or "", *spelling[2:])
        return self.known.setdefault(spelling, Series(len(self.known) + 1, name))


def rows_of(counted: Counted) -> list[tuple[int, int, bool, str, bytes | None]]:
    """Series, duration, bad, request id and detail of each encoded row."""
    found, at, data = [], 0, counted.rows
    while at < len(data):
        fields = []
        (n,) = struct.unpack_from(">h", data, at)
        assert n == 6
        at += 2
        for _ in range(6):
            (length,) = struct.unpack_from(">i", data, at)
            fields.append(data[at + 4 : at + 4 + length] if length >= 0 else None)
            at += 4 + max(0, length)
        number, duration, bad, request_id = fields[1:5]
        assert number is not None
        assert duration is not None
        assert request_id is not None
        row = (int.from_bytes(number, "big"), int.from_bytes(duration, "big"), bad == b"\1", request_id.decode())
        found.append((*row, fields[5]))
    return found


@given(st.lists(sendable, max_size=30))
def test_cells_and_rows_count_the_same_outcomes(sent: list[dict[str, Any]]) -> None:
    batch = decoded(*[outcome(**one) for one in sent])
    counted = count(batch.outcomes, batch.times, Book().find, bytes(10))
    rows = rows_of(counted)
    assert len(rows) == len(sent) == counted.items
    assert sum(counted.services.values()) == len(sent)
    in_deltas = Counter(
        (delta.series.id, duration, bad)
        for delta in merged([counted])
        for bad, durations in ((False, delta.good), (True, delta.bad))
        for duration in durations
    )
    assert in_deltas == Counter(row[:3] for row in rows)
    for one, row in zip(sent, rows, strict=True):
        assert row[2] is one.get("error", one["status"] >= 500)
        assert row[3] == one.get("request_id", row[3])
        assert (row[4] is None) is ("client" not in one)
    assert len({row[3] for row, one in zip(rows, sent, strict=True) if "request_id" not in one}) == sum(
        "request_id" not in one for one in sent
    )


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.lists(st.tuples(sendable, st.sampled_from([1, 1, 2, 7])), max_size=12), max_size=3), st.booleans())
def test_a_weighted_outcome_counts_as_so_many(batches: list[list[tuple[dict[str, Any], int]]], timed: bool) -> None:
    book, found = Book(), []
    for weigh in (True, False):
        counted = []
        for batch in batches:
            times = [(one, 1 if weigh else weight, weight if weigh else 1) for one, weight in batch]
            sent = decoded(*[outcome(**one, weight=weight) for one, n, weight in times for _ in range(n)])
            counted.append(count(sent.outcomes, sent.times, book.find, bytes(10), timed=timed))
            assert sum(counted[-1].services.values()) == counted[-1].items == len(sent.outcomes)
            if weigh and timed:
                kept = [b"" if row[4] is None else row[4] for row in rows_of(counted[-1])]
                assert [b'"weight":%d' % weight in row for (_, weight), row in zip(batch, kept, strict=True)] == [
                    weight > 1 for _, weight in batch
                ]
        for way in (delta_rows, delta_rows_in_python):
            found.append(sorted(rows_in(way(7, 1, counted, lambda service: (5_000, 9_000_000)))))
    assert found == [found[-1]] * 4


def test_a_threshold_within_a_bucket_is_not_measured() -> None:
    sent = decoded(outcome(duration_ms=330, within_ms=[250, 500], weight=3), outcome(), outcome(status=500, weight=2))
    counted = count(sent.outcomes, sent.times, Book().find, None)
    good, bad = merged([counted])
    thresholds = (100_000, 250_000, 300_000, 500_000)
    assert fast(good, thresholds) == {100_000: 1, 250_000: 1, 500_000: 4}
    assert fast(bad, thresholds) == dict.fromkeys(thresholds, 0)
    (alone,) = merged([counted.without({0, 2})])
    assert fast(alone, (300_000,)) == {300_000: 1}


@given(st.lists(sendable, max_size=30))
def test_without_rows_the_counts_are_the_same(sent: list[dict[str, Any]]) -> None:
    batch, book = decoded(*[outcome(**one) for one in sent]), Book()
    kept, dropped = (count(batch.outcomes, batch.times, book.find, random) for random in (bytes(10), None))
    assert dropped.rows == b""
    assert (kept.cells, kept.places, kept.durations) == (dropped.cells, dropped.places, dropped.durations)


def test_every_series_without_a_number_is_named_at_once() -> None:
    batch = decoded(outcome(route="/a"), outcome(route="/b"), outcome(route="/a"))
    with pytest.raises(Unnumbered) as raised:
        count(batch.outcomes, batch.times, lambda spelling: None, None)
    assert {spelling[2] for spelling in raised.value.spellings} == {"/a", "/b"}


@given(st.lists(st.lists(sendable, max_size=8), max_size=5))
def test_merging_loses_nothing_and_leaves_the_parts_alone(batches: list[list[dict[str, Any]]]) -> None:
    book = Book()
    parts = [decoded(*[outcome(**one) for one in sent]) for sent in batches]
    counted = [count(part.outcomes, part.times, book.find, None) for part in parts]
    whole = merged(counted)
    assert sum(len(delta.good) + len(delta.bad) for delta in whole) == sum(map(len, batches))
    assert [one.items for one in counted] == list(map(len, batches))
    keys = [(delta.series.id, delta.second) for delta in whole]
    assert keys == sorted(set(keys))


@given(st.integers(0, 2**47), st.binary(min_size=10, max_size=10))
def test_made_request_ids_are_uuids_of_version_7_with_the_time(milliseconds: int, random: bytes) -> None:
    prefix, number = request_ids(milliseconds * 1000, random)
    text = (b"%b%012x" % (prefix, number + 20_000)).decode()
    assert len(text) == 36
    assert int(text.replace("-", "")[:12], 16) == milliseconds
    assert text[14] == "7"
    assert text[19] in "89ab"
