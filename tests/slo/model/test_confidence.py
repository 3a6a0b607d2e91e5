"""The lower bound, against the exact binomial tail."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.slo.model.confidence import ERROR, FEWEST, at_least, surely_exceeds


def tail(bad: int, total: int, ratio: Fraction) -> Fraction:
    """The chance of `bad` or more of `total`, exactly."""
    return sum(
        (math.comb(total, k) * ratio**k * (1 - ratio) ** (total - k) for k in range(bad, total + 1)), Fraction(0)
    )


@given(st.integers(1, 60), st.data())
def test_what_is_sure_is_as_rare_as_it_says(total: int, data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, total))
    ratio = data.draw(st.fractions(Fraction(1, 1000), Fraction(9, 10), max_denominator=1000))
    if surely_exceeds(bad, total, float(ratio)):
        assert bad >= FEWEST
        assert tail(bad, total, ratio) <= Fraction(ERROR) * Fraction(1_000_001, 1_000_000)


@given(st.integers(1, 10_000), st.integers(0, 10_000), st.floats(1e-6, 0.9))
def test_another_failure_never_makes_it_less_sure(total: int, bad: int, ratio: float) -> None:
    bad = min(bad, total - 1)
    if surely_exceeds(bad, total, ratio):
        assert surely_exceeds(bad + 1, total, ratio)


@pytest.mark.parametrize(
    ("bad", "total", "sure"),
    [
        (1, 10, False),  # one failure in ten requests at night
        (2, 2, False),
        (3, 3, True),  # three outages in a row
        (0, 0, False),
        (1_000_000, 1_000_000, True),
        (14_400, 1_000_000, False),  # exactly at the rate
    ],
)
def test_at_the_first_tier_of_99_9(bad: int, total: int, sure: bool) -> None:
    assert surely_exceeds(bad, total, 0.0144) == sure


def test_what_is_worst_is_what_surely_fails_most() -> None:
    rows = [(0, 10), (100, 100_000), (1, 1), (900, 9_000), (50, 100), (0, 0)]
    assert sorted(rows, key=lambda row: -at_least(*row))[:4] == [(50, 100), (1, 1), (900, 9_000), (100, 100_000)]
    assert at_least(50, 100) == pytest.approx(0.404, abs=1e-3)
