"""The cap of exclusions, against a count minute by minute."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from server.slo.ledger.exclusion import MINUTE_S, most_used, union, within

spans = st.builds(
    lambda start, length: (start * MINUTE_S, (start + length) * MINUTE_S), st.integers(0, 60), st.integers(1, 12)
)


@given(st.lists(spans, max_size=6), spans, st.integers(1, 40))
def test_it_finds_the_fullest_window_that_touches_what_is_asked(
    others: list[tuple[int, int]], asked: tuple[int, int], minutes: int
) -> None:
    window_s = minutes * MINUTE_S
    taken = {at for start, stop in (*others, asked) for at in range(start, stop, MINUTE_S)}
    before = {at for start, stop in others for at in range(start, stop, MINUTE_S)}

    def used(minutes_taken: set[int], start: int) -> int:
        return sum(start <= at < start + window_s for at in minutes_taken) * MINUTE_S

    touching = range(asked[0] - window_s + MINUTE_S, asked[1], MINUTE_S)
    found = most_used(others, asked, window_s)
    assert found.wanted == max(used(taken, start) for start in touching)
    assert (found.used, found.wanted) == (used(before, found.start), used(taken, found.start))
    assert found.stop - found.start == window_s


@given(st.lists(spans, max_size=8))
def test_a_union_has_no_overlaps_and_loses_nothing(given_: list[tuple[int, int]]) -> None:
    found = union(given_)
    assert all(one[1] < two[0] for one, two in itertools.pairwise(found))
    minutes = {at for start, stop in given_ for at in range(start, stop, MINUTE_S)}
    assert within(found, 0, 10**6) == len(minutes) * MINUTE_S
