"""The clock that goes only while the loop turns: others are not slow by what we held up ourselves."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.kernel.loop_clock import LEAST, STEP_S, LoopClock, TurningTime
from tests.waiting import NEVER_S

steps = st.lists(st.floats(0, 60), min_size=1, max_size=50)


@given(steps)
def test_it_goes_no_faster_than_the_wall_and_at_least_a_quarter_as_fast(passed: list[float]) -> None:
    turning, now = TurningTime(0.0), 0.0
    before = 0.0
    for one in passed:
        now += one
        read = turning.at(now)
        assert before <= read
        assert LEAST * now * 0.999 <= read <= now * 1.001
        before = read


@given(st.lists(st.floats(0, STEP_S), min_size=1, max_size=50), st.floats(2 * STEP_S, 600))
def test_what_is_looked_at_in_time_counts_in_full_and_a_hold_up_a_quarter(quick: list[float], held_up: float) -> None:
    turning, now = TurningTime(0.0), 0.0
    for one in quick:
        now += one
        turning.at(now)
    assert turning.at(now) == pytest.approx(sum(quick))
    assert turning.at(now + held_up) - sum(quick) == pytest.approx(max(STEP_S, LEAST * held_up))


@pytest.mark.gen_test
async def test_a_timeout_ends_what_waits_and_a_hold_up_of_ours_does_not() -> None:
    clock = LoopClock()
    with pytest.raises(TimeoutError):
        async with clock.timeout(0.05):
            await asyncio.sleep(NEVER_S)
    answered = asyncio.get_running_loop().create_future()
    async with clock.timeout(0.2):
        asyncio.get_running_loop().call_later(0.25, answered.set_result, None)
        await asyncio.sleep(0)
        time.sleep(0.3)  # nobody looks meanwhile
        await answered
    async with clock.timeout(None):
        await asyncio.sleep(0)
    assert not clock._alarms
    assert clock._ticking is None
