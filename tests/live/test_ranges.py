"""Which tables answer a range: every second of it exactly once."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.live.ranges import SECONDS_KEPT_S, SKETCHES_KEPT_S, Cover, by_service, default_step, plan, step_for

NOW = 1_790_000_123.4


@given(st.floats(0, 30 * 86400), st.floats(0.001, 30 * 86400), st.sampled_from([1, 7, 60, 90, 600, 3600, 7200]))
def test_spans_tile_the_range_in_whole_units(age: float, length: float, step: int) -> None:
    wanted_step = step_for(NOW - age, NOW, step)
    pieces = plan(NOW - age, min(NOW - age + length, NOW + 1), NOW, wanted_step)
    spans = sorted(pieces.seconds + pieces.minutes + pieces.hours)
    assert spans[0][0] == pieces.start <= NOW - age
    assert spans[-1][1] == pieces.stop >= min(NOW - age + length, NOW + 1)
    assert all(left[1] == right[0] for left, right in itertools.pairwise(spans))
    assert all(second % 60 == 0 for span in pieces.minutes for second in span)
    assert all(second % 3600 == 0 for span in pieces.hours for second in span)
    assert not pieces.minutes or wanted_step % 60 == 0
    assert not pieces.hours or wanted_step % 3600 == 0
    whole = pieces.minutes + pieces.hours
    assert sum(b - a for a, b in pieces.unfolded) == sum(b - a for a, b in whole)


@given(
    st.floats(0, 30 * 86400), st.sampled_from([0, 60, 600, 3600, 43_200]), st.integers(0, 30 * 144), st.integers(0, 720)
)
def test_what_is_covered_by_service_stands_for_the_same_spans(age: float, step: int, tens: int, hours: int) -> None:
    pieces = plan(NOW - age, NOW, NOW, step or 3600)
    cover = Cover(NOW // 600 * 600 - tens * 600, NOW // 3600 * 3600 - hours * 3600, NOW // 43_200 * 43_200)
    found = by_service(pieces, cover, step, minutes=True)
    spans = sorted(found.minutes + found.hours + tuple(span for _, span in found.services))
    whole = sorted(pieces.minutes + pieces.hours)
    assert sum(b - a for a, b in spans) == sum(b - a for a, b in whole)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(spans))
    assert [span[0] for span in spans[:1]] == [span[0] for span in whole[:1]]
    for span_s, (start, stop) in found.services:
        assert (start % span_s, stop % span_s, step % span_s) == (0, 0, 0)
        assert span_s < 43_200 or stop <= cover.halves_until  # type: ignore[operator]
        assert start >= (cover.minutes_since if span_s <= 600 else cover.hours_since)  # type: ignore[operator]


@given(st.floats(0, 30 * 86400), st.floats(0.001, 30 * 86400))
def test_nothing_is_read_that_is_no_longer_kept(age: float, length: float) -> None:
    pieces = plan(NOW - age, min(NOW - age + length, NOW + 1), NOW)
    assert all(start >= NOW - SECONDS_KEPT_S - 61 for start, _ in pieces.seconds)
    assert all(start >= NOW - SKETCHES_KEPT_S - 3661 for start, _ in pieces.minutes)


def test_a_short_range_is_exact_to_the_second() -> None:
    pieces = plan(NOW - 300, NOW, NOW)
    assert (pieces.start, pieces.stop) == (1_789_999_823, 1_790_000_124)


@pytest.mark.parametrize(
    ("span", "step"),
    [(60, 1), (900, 5), (3600, 60), (6 * 3600, 300), (86400, 600), (604800, 3600), (30 * 86400, 6 * 3600)],
)
def test_default_steps(span: float, step: int) -> None:
    assert default_step(span) == step
