"""The compiled part against the Python code, byte for byte; where nothing is compiled there is nothing to compare."""

from __future__ import annotations

import gc
import json
import random
import sys
from array import array
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from server.ingest import count as counting
from server.ingest.count import count_in_python, delta_rows_in_python
from server.ingest.counted import Counted, Unnumbered
from server.ingest.decode import Decoded, census_in_python, decode
from server.ingest.native import compiled
from server.ingest.outcome import Outcome, TakenSpan
from server.ingest.rows import DELTAS, OUTCOMES
from server.ingest.series import Name, Series, Spelling
from server.live.sketch import bucket, value_us
from tests.examples import examples
from tests.ingest.making import outcome

pytestmark = pytest.mark.skipif(compiled is None, reason="nothing is compiled here")

NOW = 1_764_470_000_000_000
ALWAYS = TakenSpan(NOW, -(2**63), 2**63)
RANDOM = bytes(range(246, 256))
THRESHOLDS = {"a": (300_000, 10_000, 10_000), "ä": (), "(other)": (2**31 - 1, 0)}

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
hostile = st.sampled_from(['"\\/\b\f\n\r\t\x01\x1f\x7f', "\x80\u2028\U0001f600", "'; DROP TABLE", "é" * 200, "(other)"])
words = st.one_of(st.sampled_from(["a", "b"]), texts, hostile).filter(lambda text: len(text) <= 200)
times = st.one_of(
    st.integers(NOW // 1000 - 3000, NOW // 1000),
    st.integers(0, 2**47),
    st.floats(0, 2**47),
    st.sampled_from([0, 1, 999, 1000, 946_684_800_000, 0.0015]),
    st.sampled_from(["2025-11-30T04:00:00.123456Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]),
    st.sampled_from(["2024-02-29T23:59:59+05:30", "2000-03-01T00:00:00-23:59", "1972-02-28T12:00:00+00:00"]),
)
sendable = st.fixed_dictionaries(
    {
        "service": st.sampled_from(["a", "ä", "other"]),
        "route": st.one_of(st.sampled_from(["/", "/a", "/b"]), words),
        "method": st.sampled_from(["GET", "get", "POST", "Ü"]),
        "status": st.sampled_from([100, 200, 404, 499, 500, 599]),
        "duration_ms": st.one_of(
            st.floats(0, 86_400_000), st.integers(0, 3), st.sampled_from([0.0005, 0.0004999, 86_400_000])
        ),
    },
    optional={
        "timestamp": times,
        "version": st.one_of(st.none(), st.just(""), words),
        "request_id": st.one_of(st.none(), words.filter(lambda text: len(text) <= 128)),
        "error": st.sampled_from([True, False, None]),
        "error_class": words,
        "dependency": st.one_of(st.none(), words),
        "client": words,
        "instance": words,
        "trace_id": words,
    },
)


class Book:
    """Numbers series as they come; upper and lower case of a method are one series."""

    def __init__(self) -> None:
        self.known: dict[Name, Series] = {}

    def find(self, spelling: Spelling) -> Series:
        service = spelling[0] if spelling[0] != "other" else "(other)"
        name = Name(service, spelling[1] or "", spelling[2], spelling[3].upper(), spelling[4])
        return self.known.setdefault(name, Series(len(self.known) + 1, name))


def batch_of(sent: list[dict[str, Any]]) -> Decoded:
    found = decode(json.dumps(sent).encode(), "array", ALWAYS, 10**6)
    assert not found.faults
    return found


def fields(counted: Counted | None) -> tuple[Any, ...]:
    assert counted is not None, "the compiled part does not know this"
    return tuple(getattr(counted, name) for name in Counted.__slots__)


def both(batch: Decoded, book: Book, random: bytes | None, *, timed: bool) -> Counted:
    """Counted by both, and the same."""
    compared = compiled.count(batch.outcomes, batch.times, {}, book.find, random, timed, OUTCOMES.columns)
    counted = count_in_python(batch.outcomes, batch.times, book.find, random, timed=timed)
    assert fields(compared) == fields(counted)
    return counted


def thresholds(service: str) -> tuple[int, ...]:
    return THRESHOLDS[service]


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(st.lists(sendable, max_size=40), max_size=4), st.booleans(), st.booleans())
@example([], True, True)
@example([[]], True, True)
def test_both_count_and_encode_the_same(sent: list[list[dict[str, Any]]], timed: bool, keep: bool) -> None:
    book = Book()
    batches = []
    for some in sent:
        batch = batch_of(some)
        censused = compiled.census(batch.outcomes, NOW)
        assert censused == tuple(census_in_python(batch.outcomes, NOW))
        batches.append(both(batch, book, RANDOM if keep else None, timed=timed))
    rows = compiled.delta_rows(7, 2**40, batches, thresholds, DELTAS.columns)
    assert rows is not None
    assert rows == delta_rows_in_python(7, 2**40, batches, thresholds)


def test_both_do_the_same_with_a_batch_of_a_size_that_is_not_sent() -> None:
    chance, book = random.Random(5), Book()
    sent = [
        outcome(
            service=chance.choice(["a", "ä", "other"]),
            route=f"/{chance.randrange(3000)}",
            status=chance.choice([200, 500]),
            duration_ms=chance.lognormvariate(3, 2),
            timestamp=NOW // 1000 - chance.randrange(100_000),
        )
        for _ in range(20_000)
    ]
    batches = [both(batch_of(some), book, RANDOM, timed=True) for some in (sent, sent[:100] * 50)]
    rows = compiled.delta_rows(1, 1, batches, thresholds, DELTAS.columns)
    assert rows == delta_rows_in_python(1, 1, batches, thresholds)


def test_both_put_durations_at_the_borders_of_buckets_into_the_same() -> None:
    borders = sorted({max(0, round(value_us(n)) + near) for n in range(1270) for near in (-1, 0, 1)})
    assert bucket(borders[-1]) > 1260
    series = Book().find(("a", None, "/", "GET", 200))
    counted = Counted([(series, 1)], array("i", [0, 1] * len(borders)), array("q", borders * 2), {"a": 2})
    rows = compiled.delta_rows(1, 1, [counted], thresholds, DELTAS.columns)
    assert rows == delta_rows_in_python(1, 1, [counted], thresholds)


def test_both_name_what_has_no_number_with_its_first_second() -> None:
    batch = batch_of([outcome(route=route, timestamp=at) for route, at in (("/a", 9000), ("/b", 5000), ("/a", 2000))])
    found = []
    for way in (counting.count, count_in_python):
        with pytest.raises(Unnumbered) as raised:
            way(batch.outcomes, batch.times, lambda spelling: None, RANDOM)
        found.append(raised.value.spellings)
    assert found[0] == found[1] == {("checkout", None, "/a", "GET", 200): 2, ("checkout", None, "/b", "GET", 200): 5}


def test_what_is_known_is_not_asked_for() -> None:
    batch, book, asked = batch_of([outcome(route="/a"), outcome(route="/b"), outcome(route="/a")]), Book(), []

    def find(spelling: Spelling) -> Series:
        asked.append(spelling[2])
        return book.find(spelling)

    known = {("checkout", None, "/a", "GET", 200): book.find(("checkout", None, "/a", "GET", 200))}
    counted = counting.count(batch.outcomes, batch.times, find, RANDOM, known)
    assert asked == ["/b"]
    assert fields(counted) == fields(count_in_python(batch.outcomes, batch.times, book.find, RANDOM))
    assert compiled.count(batch.outcomes, batch.times, [], find, RANDOM, True, OUTCOMES.columns) is None  # type: ignore[arg-type]


class Text(str):
    """A text that is more than one."""

    __slots__ = ()


def plain(**given: Any) -> Outcome:
    return Outcome(**outcome(**given))


STRANGE: dict[str, Outcome] = {
    "a number too large": plain(status=2**70),
    "a status that is none": plain(status=40_000),
    "a duration that is whole": plain(duration_ms=3),
    "a duration that is infinite": plain(duration_ms=float("inf")),
    "a duration that is none": plain(duration_ms=float("nan")),
    "a duration before its beginning": plain(duration_ms=-5.0),
    "no duration": plain(duration_ms=None),
    "half a character": plain(request_id="\ud800"),
    "half a character in the detail": plain(client="\udfff"),
    "a text of another type": plain(service=Text("a")),
    "an id of another type": plain(request_id=Text("a")),
    "a detail that is no text": plain(instance=5),
    "bytes": plain(route=b"/"),
    "an error that is no bool": plain(error=1),
    "what stands for several requests": plain(weight=2),
    "what is known to a bucket": plain(within_ms=(1.0, 2.0)),
}


@pytest.mark.parametrize("strange", STRANGE)
def test_what_is_strange_is_left_to_the_python_code(strange: str) -> None:
    outcomes, book = [plain(), STRANGE[strange], plain()], Book()
    compared = compiled.count(outcomes, [NOW] * 3, {}, book.find, RANDOM, True, OUTCOMES.columns)
    assert compared is None

    def outcome_of(way: Callable[..., Counted]) -> Any:
        try:
            return fields(way(outcomes, [NOW] * 3, book.find, RANDOM))
        except Exception as error:
            return type(error), str(error)

    assert outcome_of(counting.count) == outcome_of(count_in_python)


def test_what_the_compiled_part_does_not_know_it_says() -> None:
    book = Book()
    columns = OUTCOMES.columns
    for outcomes, given_times, kept in (
        ([plain()], [2**63], columns),
        ([plain()], [NOW, NOW], columns),
        ([plain()], ["now"], columns),
        ([object()], [NOW], columns),
        ((plain(),), (NOW,), columns),
        ([plain()], [NOW], (*columns, ("shade", "i"))),
        ([plain()], [NOW], (("series_id", ""),)),
        ([plain()], [NOW], (("at", "h"),)),
        ([plain()], [NOW], "columns"),
    ):
        assert compiled.count(outcomes, given_times, {}, book.find, RANDOM, True, kept) is None  # type: ignore[arg-type]
    assert compiled.count([plain()], [NOW], {}, lambda spelling: 5, RANDOM, True, columns) is None  # type: ignore[arg-type, return-value]
    assert compiled.census([plain(timestamp=datetime.now(timezone(timedelta(hours=1)))), object()], NOW) is None  # type: ignore[list-item]
    assert compiled.census([plain(timestamp="now")], NOW) is None
    one = array("i", [0])
    series = book.find(("a", None, "/", "GET", 200))
    for cells, places, durations in (
        ([(series, 1)], array("i", [2]), array("q", [1])),
        ([(series, 1)], array("i", [-1]), array("q", [1])),
        ([], one, array("q", [1])),
        ([(series, 1)], one, array("q", [1, 2])),
        ([(series, 1)], array("q", [0]), array("q", [1])),
        ([(series, 1)], [0], array("q", [1])),
        ([(series, 2**62)], one, array("q", [1])),
        ([(Series(2**40, series.name), 1)], one, array("q", [1])),
        ([series], one, array("q", [1])),
        ([(series, 1)], array("i", [0, 0]), array("q", [2**62, 2**62])),
    ):
        counted = Counted(cells, places, durations, {})  # type: ignore[arg-type]
        assert compiled.delta_rows(1, 1, [counted], thresholds, DELTAS.columns) is None
    for more in ({"weights": array("i", [2])}, {"within": {0: (1, 2)}}):
        weighted = Counted([(series, 1)], one, array("q", [1]), {}, **more)  # type: ignore[arg-type]
        assert compiled.delta_rows(1, 1, [weighted], thresholds, DELTAS.columns) is None
    whole = Counted([(series, 1)], one, array("q", [1]), {})
    assert compiled.delta_rows(2**63, 1, [whole], thresholds, DELTAS.columns) is None
    assert compiled.delta_rows(1, 1, [whole], lambda service: (2**31,), DELTAS.columns) is None
    assert compiled.delta_rows(1, 1, [object()], thresholds, DELTAS.columns) is None  # type: ignore[list-item]


def test_what_is_asked_may_fail_or_change_what_is_counted() -> None:
    batch, book = batch_of([outcome(route=f"/{n}") for n in range(50)]), Book()

    def failing(*_: object) -> Any:
        raise LookupError

    def changing(spelling: Spelling) -> Series:
        if batch.outcomes:
            batch.outcomes.clear()
            batch.times.clear()
            gc.collect()
        return book.find(spelling)

    with pytest.raises(LookupError):
        counting.count(batch.outcomes, batch.times, failing, RANDOM)
    expected = count_in_python(list(batch.outcomes), list(batch.times), book.find, RANDOM)
    counted = compiled.count(batch.outcomes, batch.times, {}, changing, RANDOM, True, OUTCOMES.columns)
    assert fields(counted) == fields(expected)
    assert batch.outcomes == []

    def emptying(service: str) -> tuple[int, ...]:
        expected.cells.clear()
        del expected.places[:]
        del expected.durations[:]
        gc.collect()
        return (10_000,)

    rows = delta_rows_in_python(1, 1, [expected], lambda service: (10_000,))
    assert compiled.delta_rows(1, 1, [expected], emptying, DELTAS.columns) == rows
    with pytest.raises(LookupError):
        counting.delta_rows(1, 1, [counted], failing)  # type: ignore[list-item]


def test_nothing_is_held_longer_than_it_is_needed() -> None:
    book = Book()
    sent = [outcome(route=f"/{n % 7}", client="web", request_id=f"id-{n}") for n in range(100)]
    held = Series(1, Name("a", "", "/", "GET", 200))

    def once() -> None:
        batch = batch_of(sent)
        batch.outcomes[-1].error = "strange"  # type: ignore[assignment]
        compiled.count(batch.outcomes, batch.times, {}, book.find, RANDOM, True, OUTCOMES.columns)
        batch.outcomes[-1].error = None
        counted = compiled.count(batch.outcomes, batch.times, {}, lambda spelling: held, RANDOM, True, OUTCOMES.columns)
        with pytest.raises(Unnumbered):
            compiled.count(batch.outcomes, batch.times, {}, lambda spelling: None, RANDOM, True, OUTCOMES.columns)
        assert counted is not None
        compiled.delta_rows(1, 1, [counted], lambda service: (1, 2), DELTAS.columns)
        compiled.census(batch.outcomes, NOW)

    once()
    gc.collect()
    before, references = sys.getallocatedblocks(), sys.getrefcount(held)
    for _ in range(20):
        once()
    gc.collect()
    assert sys.getrefcount(held) == references
    assert sys.getallocatedblocks() - before < 200  # one object kept of each would be 2,000


def test_a_moment_is_the_same_in_every_zone() -> None:
    moments = [
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=days, microseconds=days) for days in range(0, 60_000, 7)
    ]
    outcomes = [plain(timestamp=at) for at in moments]
    outcomes += [plain(timestamp=at.astimezone(timezone(timedelta(hours=-7, minutes=3)))) for at in moments[::50]]
    outcomes += [
        plain(timestamp=at) for at in (0, 2**53, 0.0, float(2**53), 0.9999999, 1e-9, datetime.min.replace(tzinfo=UTC))
    ]
    assert compiled.census(outcomes, NOW) == tuple(census_in_python(outcomes, NOW))
