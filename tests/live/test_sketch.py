"""The sketch: within 1 %, nearest rank, mergeable."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.live.sketch import bucket, quantile_us, rank, value_us
from server.live.sliding import milliseconds

durations = st.integers(0, 2**62) | st.integers(0, 5_000_000)


@given(durations)
def test_a_bucket_stands_for_its_durations_within_1_percent(us: int) -> None:
    assert abs(value_us(bucket(us)) - us) <= 0.01 * us


@given(st.integers(1, 5_000) | durations)
def test_a_percentile_is_shown_within_1_percent_however_short(us: int) -> None:
    shown = milliseconds(value_us(bucket(us)))
    assert shown is not None
    assert abs(shown * 1000 - us) <= 0.01 * us


@given(durations, durations)
def test_buckets_keep_the_order(a: int, b: int) -> None:
    assert bucket(min(a, b)) <= bucket(max(a, b))


@given(st.lists(durations, min_size=1, max_size=300), st.floats(0, 1))
def test_a_quantile_is_the_nearest_rank_within_1_percent(values: list[int], q: float) -> None:
    true = sorted(values)[rank(len(values), q) - 1]
    answered = quantile_us(Counter(map(bucket, values)), q)
    assert answered is not None
    assert abs(answered - true) <= 0.01 * true


@given(st.lists(durations), st.lists(durations))
def test_merging_is_adding(a: list[int], b: list[int]) -> None:
    merged = Counter(map(bucket, a)) + Counter(map(bucket, b))
    assert merged == Counter(map(bucket, a + b))


@pytest.mark.parametrize(
    ("n", "q", "expected"),
    [(1, 0.0, 1), (1, 1.0, 1), (100, 0.07, 7), (100, 0.95, 95), (101, 0.95, 96), (3, 0.5, 2), (20, 0.95, 19)],
)
def test_ranks(n: int, q: float, expected: int) -> None:
    assert rank(n, q) == expected


def test_zero_is_exact_and_nothing_has_no_quantile() -> None:
    assert bucket(0) == 0
    assert value_us(0) == 0.0
    assert quantile_us({}, 0.5) is None
    assert quantile_us({7: 0}, 0.5) is None


def test_an_hour_needs_few_buckets() -> None:
    assert bucket(3_600_000_000) < 1200
    assert math.isclose(value_us(bucket(1)), 1, rel_tol=0.01)
