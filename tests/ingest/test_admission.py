"""How many outcomes a flush takes follows how long commits take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ingest.admission import LEAST, MOST, QUICK_S, STEP, Admission
from server.ingest.batch import FORESEEN_MAX_S, Batch, Queue
from server.ingest.counted import counted_of
from server.ingest.series import Name, Series
from server.kernel.errors import ApiError
from server.kernel.loop_clock import LoopClock

flushes = st.lists(st.tuples(st.integers(0, 2 * MOST), st.floats(0, 10), st.booleans()), max_size=60)


@given(flushes)
def test_it_stays_within_its_bounds_whatever_is_seen(seen: list[tuple[int, float, bool]]) -> None:
    admission = Admission()
    for items, seconds, stored in seen:
        before = admission.items
        admission.saw(items, seconds, stored=stored)
        assert LEAST <= admission.items <= MOST
        if not stored or seconds > QUICK_S:
            assert admission.items <= max(LEAST, before // 2)
        else:
            assert before <= admission.items <= before + STEP


@given(st.floats(1_000, 40_000), st.floats(100_000, 1_000_000))
def test_it_falls_to_what_a_slow_database_stores_in_time_and_recovers(slow: float, quick: float) -> None:
    """Rates in outcomes a second; each flush is full."""
    admission = Admission()
    for _ in range(40):
        admission.saw(admission.items, admission.items / slow, stored=admission.items / slow < 2 * QUICK_S)
    assert admission.items / slow <= QUICK_S + STEP / slow + 1e-9
    assert admission.items >= min(MOST, slow * QUICK_S) / 2 - STEP
    for _ in range(MOST // STEP):
        admission.saw(admission.items, admission.items / quick, stored=True)
    assert admission.items == MOST


def test_small_quick_flushes_leave_it_as_it_is() -> None:
    admission = Admission()
    admission.saw(MOST, 10.0, stored=False)
    before = admission.items
    admission.saw(3, 0.001, stored=True)
    assert admission.items == before


def batch(items: int, *, timed: bool = True) -> Batch:
    series = Series(1, Name("s", "", "/", "GET", 200))
    return Batch(counted_of({(series, 1): ([1] * items, [])}, timed=timed), b"", None)


@pytest.mark.gen_test
async def test_a_queue_takes_what_will_be_stored_in_time_and_a_flush_no_more_than_is_admitted() -> None:
    queue = Queue(LoopClock())
    for _ in range(30):
        queue.admission.saw(1, 1.0, stored=True)
    assert queue.admission.items == LEAST
    queue.put(batch(LEAST // 2))
    queue.put(batch(LEAST // 2 + 1))
    queue.put(batch(2 * LEAST))
    assert [one.items for one in await queue.take()] == [LEAST // 2]
    while queue.admission.wait_s(queue.items) <= FORESEEN_MAX_S:
        queue.put(batch(LEAST))
    with pytest.raises(ApiError, match="More waits"):
        queue.put(batch(1))
    assert [one.items for one in await queue.take()] == [LEAST // 2 + 1]
    assert [one.items for one in await queue.take()] == [2 * LEAST], "a batch that is larger goes alone"


@pytest.mark.gen_test
async def test_what_nobody_timed_is_in_a_flush_of_its_own() -> None:
    """One delta has the counts of a series in a second: it cannot say of which of them the latency is known."""
    queue = Queue(LoopClock())
    for timed in (True, True, False, True):
        queue.put(batch(1, timed=timed))
    flushes = [[one.counted.timed for one in await queue.take()] for _ in range(3)]
    assert flushes == [[True, True], [False], [True]]
