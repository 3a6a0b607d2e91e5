"""The database's clock on a machine whose own is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.kernel.shared_clock import Offset


def test_a_clock_that_may_be_right_is_left_alone() -> None:
    offset = Offset()
    offset.measure(1000.0, 1000.2, 1000.1)
    assert offset.ahead_s == 0


def test_one_that_cannot_be_right_is_corrected() -> None:
    offset = Offset()
    offset.measure(1900.0, 1900.2, 1000.0)
    assert offset.ahead_s == pytest.approx(900.1)
    offset.measure(2000.0, 2000.002, 1099.95)  # a quicker answer knows better
    assert offset.ahead_s == pytest.approx(900.051)


@given(st.floats(-1e4, 1e4), st.lists(st.tuples(st.floats(0, 30), st.floats(0, 30)), min_size=1, max_size=20))
def test_it_is_never_further_off_than_the_answer_took(ahead: float, answers: list[tuple[float, float]]) -> None:
    offset, database = Offset(), 1e9
    for there, back in answers:
        asked = database + ahead
        offset.measure(asked, asked + there + back, database + there)
        assert abs(offset.ahead_s - ahead) <= there + back + 1e-3
