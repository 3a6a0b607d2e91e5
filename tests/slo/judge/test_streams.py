"""The live streams: late and early outcomes, take-overs, thresholds that are not measured."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from server.slo.judge.streams import FORGOTTEN_S, LATE_S, Stream, Streams
from server.slo.model.sequential import Fast
from tests.examples import examples
from tests.slo.judging import START, delta, objective

P = 0.001


def straight(seconds: dict[int, tuple[int, int]], end: int) -> Fast:
    """The test over whole seconds in order, from the first failure on."""
    fast = Fast(P)
    for second in range(START, end):
        n, bad = seconds.get(second, (0, 0))
        if bad or not fast.idle:
            fast.second(second, n, bad)
        else:
            fast.block_n = 0
    return fast


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 90), st.integers(0, LATE_S - 2), st.integers(1, 40), st.booleans()), max_size=120
    ),
)
def test_what_comes_late_is_as_if_it_had_come_in_time(arrivals: list[tuple[int, int, int, bool]]) -> None:
    stream, seconds = Stream(P), dict[int, tuple[int, int]]()
    by_arrival = sorted(arrivals, key=lambda each: each[0] + each[1])
    for end in range(START + 1, START + 125):
        for at, late, n, failed in by_arrival:
            if START + at + late == end - 1:
                stream.add(START + at, n, n if failed else 0)
                known = seconds.get(START + at, (0, 0))
                seconds[START + at] = (known[0] + n, known[1] + (n if failed else 0))
        verdict = stream.verdict(end)
        fast = straight(seconds, end)
        assert (verdict.onset is not None) == fast.on
        if fast.on:
            assert (verdict.onset, verdict.bad, verdict.total) == (fast.onset, fast.bad, fast.total)


def test_what_is_too_late_counts_in_the_oldest_open_second_or_not_at_all() -> None:
    stream = Stream(P)
    stream.add(START, 1, 0)
    stream.verdict(START + 100)
    for minute in range(3):
        stream.add(START + 100 - FORGOTTEN_S - LATE_S - 50, 1000, 1000)  # of long ago
        assert stream.verdict(START + 101 + minute).onset is None
    for step in range(3):
        stream.add(START + 110 + step, 1000, 1000)
        last = stream.verdict(START + 160 + step)
    assert last.onset is not None


def test_imports_exclusions_and_unmeasured_thresholds_say_nothing() -> None:
    works, fast = objective(), objective("0.99", id=2, kind="latency", threshold_us=300_000)
    streams = Streams()
    seconds = range(START, START + 5)
    streams.hear([delta(s, 50, 50, imported=True) for s in seconds])
    streams.hear([delta(s, 50, 50, excluded=True) for s in seconds])
    streams.hear([delta(s, 50, 0) for s in seconds])  # nobody measured the threshold
    verdicts = streams.verdicts([works, fast], START + 5)
    assert all(verdict.onset is None for verdict in verdicts.values())
    assert verdicts[2].minute == (0, 0)
    streams.hear([delta(s, 50, 0, fast={300_000: 0}) for s in seconds])
    verdicts = streams.verdicts([works, fast], START + 5)
    assert (verdicts[1].onset, verdicts[2].onset) == (None, START)
    assert verdicts[2].minute == (250, 250)


def test_a_new_watch_hears_it_all_again() -> None:
    streams, again = Streams(), Streams()
    deltas = [delta(START + s, 50, 50 if s > 60 else 0) for s in range(120)]
    for each in deltas:
        streams.hear([each])
        streams.verdicts([objective()], each.second + 1)
    again.hear([delta(START - 5, 50, 50)])
    again.hear((), anew=True)
    again.hear(deltas)
    ours, theirs = (each.verdicts([objective()], START + 120)[1] for each in (streams, again))
    assert (ours.onset, ours.bad) == (theirs.onset, theirs.bad) == (START + 61, 59 * 50)


def test_an_objective_with_another_target_begins_anew() -> None:
    streams = Streams()
    streams.hear([delta(START + s, 50, 50) for s in range(10)])
    assert streams.verdicts([objective()], START + 10)[1].onset == START
    assert streams.verdicts([objective("0.99")], START + 11)[1].onset is None
