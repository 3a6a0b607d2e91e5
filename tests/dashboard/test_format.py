"""Values as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.shared import format as told
from dashboard.shared.rendering import ends, zoned


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (0.0412, "0.041"),
        (0.999, "1"),
        (5.23, "5.2"),
        (9.97, "10"),
        (41.3, "41"),
        (1204.4, "1,204"),
    ],
)
def test_numbers_have_two_to_three_digits(value: float | None, text: str) -> None:
    assert told.number(value) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (None, "–"),
        (0, "0 %"),
        (0.00001, "<0.01 %"),
        (1 - 0.9999, "0.01 %"),  # as the budget of an objective is computed
        (0.0012, "0.12 %"),
        (0.041, "4.1 %"),
        (0.31, "31 %"),
        (0.9951, "99.5 %"),
        (0.999999, "99.9 %"),
        (1, "100 %"),
        (-0.79, "-79 %"),
    ],
)
def test_percent(ratio: float | None, text: str) -> None:
    assert told.percent(ratio) == text


@given(st.integers(1, 10**9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_some_is_never_none_and_not_all_is_never_all(counts: tuple[int, int]) -> None:
    bad, n = counts
    text = told.percent(bad / n)
    assert (text == "0 %") == (bad == 0)
    assert (text == "100 %") == (bad == n)


def test_a_share_of_few_is_told_as_counts() -> None:
    assert told.share(12, 312) == "12 of 312"
    assert told.share(12, 999) == "12 of 999"
    assert told.share(41, 1000) == "4.1 %"
    assert told.share(0, 0) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.41, "0.41 ms"),
        (4.12, "4.1 ms"),
        (9.97, "10 ms"),
        (412, "412 ms"),
        (999.6, "1 s"),
        (1243, "1.24 s"),
    ],
)
def test_milliseconds(value: float | None, text: str) -> None:
    assert told.ms(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.83, "0.8 s"),
        (3, "3 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (192, "3 min 12 s"),
        (3599.9, "1 h"),
        (18600, "5 h 10 min"),
        (187200, "2 d 4 h"),
        (-1, "0 s"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert told.span(seconds) == text


@given(st.floats(0, 1e9))
def test_spans_have_at_most_two_parts_and_no_sixty(seconds: float) -> None:
    text = told.span(seconds)
    assert len(text.split()) in (2, 4)
    assert "60 s" not in text
    assert "60 min" not in text
    assert "24 h" not in text


def test_a_budget_that_is_not_known_exactly_is_a_range() -> None:
    assert told.budget(0.31) == "31 %"
    assert told.budget(0.2, 0.12, 0.31) == "12-31 %"
    assert told.budget(0.31, 0.31, 0.31) == "31 %"
    assert told.budget(-0.54) == "-54 %"
    assert told.budget(0, -0.54, 0.12) == "-54 to 12 %"
    assert told.budget(-9.99) == "-999 %"
    assert told.budget(-37) == "-3,700 %"
    assert told.budget(-20, -37, -0.5) == "-3,700 to -50 %"
    assert told.budget(-20, -37, -20) == "-3,700 to -2,000 %"
    assert told.budget(None) == "–"


def test_a_moment_is_utc_whatever_it_came_as() -> None:
    assert told.moment(0) == told.moment(datetime(1970, 1, 1, tzinfo=UTC)) == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_time_within_a_text_is_in_the_viewers_zone() -> None:
    at = datetime(2026, 3, 2, 0, 1, 5, tzinfo=UTC)
    shown = str(zoned("<b> since 23:59:58 UTC, over 00:01:06 UTC; 99:00:00 UTC", at))
    assert 'datetime="2026-03-01T23:59:58.000000Z"' in shown, "of the day before"
    assert 'datetime="2026-03-02T00:01:06.000000Z"' in shown
    assert shown.startswith("&lt;b&gt; since <time ")
    assert shown.endswith("; 99:00:00 UTC"), "no time"


def test_what_lies_ahead_of_a_text_keeps_its_date() -> None:
    at = datetime(2026, 11, 30, 2, 43, 29, tzinfo=UTC)
    for text in ("until 03:13:29 UTC by mira", "revision 2, until 2026-11-30 03:13:29 UTC"):
        shown = str(zoned(text, at))
        assert shown.count("<time ") == shown.count('datetime="2026-11-30T03:13:29.000000Z"') == 1, text
        assert "until <time " in shown, "the date is in the time, not beside it"
    assert "2026-12-01T00:10:00" in str(zoned("Silenced until 00:10:00 UTC", at)), "tomorrow"
    assert str(zoned("on 2026-02-30 03:13:29 UTC", at)) == "on 2026-02-30 03:13:29 UTC", "no day"


def test_of_a_traceback_its_first_and_its_last_line_are_shown() -> None:
    assert ends("Traceback (most recent call last):\n  File a\n    b()\nKeyError: 'x'\n\n") == (
        "Traceback (most recent call last):",
        2,
        "KeyError: 'x'",
    )
    assert [ends(""), ends("one"), ends("one\ntwo")] == [("", 0, ""), ("one", 0, ""), ("one", 0, "two")]
