"""A new watch goes on where the one before it was: nothing that burns is forgotten, nothing is counted twice."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from server.live.tail import Tail, first_slice
from server.slo.judge.streams import LATE_S, Streams, Verdict
from server.slo.model.memory import Memory
from tests.examples import examples
from tests.live.writing import Sample, Writer, database
from tests.slo.judging import START, delta, objective

WORKS = objective()


def handed_on(streams: Streams) -> Streams:
    """Another watch, from what is published."""
    (kept,) = streams.for_next_watch().values()
    again = Streams()
    again.recall(1, float(WORKS.allowed), msgspec.json.decode(msgspec.json.encode(kept), type=Memory))
    return again


def fields_of(verdict: Verdict) -> tuple[object, ...]:
    memory = verdict.memory
    remembered = (memory.minutes, memory.since, memory.bad, memory.total)
    return verdict.onset, verdict.bad, verdict.total, verdict.suspicion, verdict.minute, remembered


@settings(max_examples=examples(40), deadline=None)
@given(st.integers(0, 2**32), st.integers(200, 560), st.integers(0, 800))
@example(seed=0, taken_over=450, gap_s=60)
def test_it_is_as_if_there_had_been_one(seed: int, taken_over: int, gap_s: int) -> None:
    chance = random.Random(seed)
    ratio, heard = 0.0, []
    one, streams = Streams(), Streams()
    for number in range(600 + gap_s):
        if number % 100 == 0:
            ratio = chance.choice([0.0, 0.001, 0.01, 0.1, 1.0])
        n = chance.randrange(30)
        each = delta(START + number, n, sum(chance.random() < ratio for _ in range(n)))
        heard.append(each)
        one.hear([each])
        expected = one.verdicts([WORKS], START + number + 1)[1]
        if taken_over <= number < taken_over + gap_s:
            continue  # nobody looks
        if number == taken_over + gap_s:
            streams = handed_on(streams)
            streams.hear((), anew=True)
            streams.hear(heard[max(0, first_slice(number + 1, taken_over - LATE_S)) :])
        else:
            streams.hear([each])
        found = streams.verdicts([WORKS], START + number + 1)[1]
        if gap_s == 0 or number < taken_over:
            assert fields_of(found) == fields_of(expected)
        else:  # the end of an alarm is noticed when somebody looks
            assert fields_of(found)[:5] == fields_of(expected)[:5]


@pytest.mark.gen_test
async def test_a_slow_burn_outlives_a_failed_tick_and_a_new_watch(database_url: str) -> None:
    """Ten minutes of 2 %, of which a rebuild reads the last two."""
    chance = random.Random(5)
    writer = Writer(database_url)
    for at in range(START, START + 600):
        writer.flush([Sample(at, bad=chance.random() < 0.02) for _ in range(20)])
    streams = Streams()
    async with database(database_url) as db:
        for end in (START + 100, START + 200, START + 300, START + 400, START + 500, START + 600):
            async with db.ask() as connection:
                await Tail(streams.hear).rebuild(connection, end, ())
            before = streams.verdicts([WORKS], end)[1]
        assert before.onset is not None
        other = handed_on(streams)
        async with db.ask() as connection:
            await Tail(other.hear).rebuild(connection, START + 601, ())
        after = other.verdicts([WORKS], START + 601)[1]
    assert (after.onset, after.bad) == (before.onset, before.bad)
    writer.close()
