"""One client that tries again is not the service, and an outage that is over is over."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from server.slo.model.counts import Counts
from server.slo.model.memory import Memory
from server.slo.model.sequential import Fast
from tests.slo.judging import alarms, judgements, objective

HOUR_S = 3600


@given(st.lists(st.integers(0, 20_000), max_size=60), st.integers(60, 10_000))
def test_it_knows_as_much_as_all_failures_say(seconds: list[int], long_s: int) -> None:
    end = 20_001
    memory = Memory()
    for second in seconds:
        memory.failed(second)
    minutes = {second // 60 for second in seconds if second // 60 * 60 + 60 > end - long_s}
    assert memory.several(29, long_s, end) == (len(minutes) >= 3)
    assert memory.several(30, long_s, end)


def night(failing: set[int]) -> Iterator[tuple[int, int]]:
    """Six hours with a request each 20 s, and failures besides."""
    for second in range(6 * HOUR_S):
        bad = int(second in failing)
        yield int(second % 20 == 0) + bad, bad


def test_a_client_wakes_nobody_at_night_and_a_failing_service_does() -> None:
    start = 5 * HOUR_S
    client = {start + 2 * number for number in range(20)}
    assert list(alarms(objective(), night(client))) == []
    service = {start + 90 * number for number in range(20)}
    assert [tier for _, tier, due in alarms(objective(), night(service)) if due] != []


def test_an_outage_that_is_over_burns_no_longer_and_the_next_one_does() -> None:
    """Seven minutes in which all fails, at 50/s, and again half an hour later: 6h/30m reaches back into both."""

    def traffic() -> Iterator[tuple[int, int]]:
        for second in range(8 * HOUR_S):
            at = second - 7 * HOUR_S
            yield 50, 50 if 0 <= at < 420 or 1800 <= at < 1830 else 0

    began: list[int] = []
    over: list[int] = []
    burning = False
    for number, evidence in judgements(objective(), traffic()):
        if (evidence.tier is not None and evidence.urgency == "page") != burning:
            burning = not burning
            (began if burning else over).append(number - 7 * HOUR_S)
    assert began == [2, 1802]
    assert [420 <= over[0] < 480, 1830 <= over[1] < 1920] == [True, True]


def test_what_comes_after_an_alarm_is_the_short_window_once_it_is_surely_below() -> None:
    burning, tenth = Counts(1000, 900), Fraction(1, 10)
    memory = Memory(since=200, bad=0, total=50)
    assert memory.short(burning, 300, 250, tenth) == burning  # 50 say too little
    memory.count(210, 50, 1)
    assert memory.short(burning, 300, 250, tenth) == Counts(99, 1)
    assert memory.short(burning, 300, 620, tenth) == burning  # the window has left the alarm behind
    memory.count(220, 50, 20)
    assert memory.short(burning, 300, 250, tenth) == burning
    memory.alarm(Fast(0.001, on=True), was_on=False, end=260)
    assert memory.short(burning, 300, 250, tenth) == burning


def test_what_only_partly_recovers_burns_on() -> None:
    """Ten minutes in which all fails, then a tenth for hours, at a request every four seconds."""
    chance = random.Random(3)

    def traffic() -> Iterator[tuple[int, int]]:
        for second in range(10 * HOUR_S):
            at = second - 7 * HOUR_S
            n = int(second % 4 == 0)
            yield n, int(n and (0 <= at < 600 or (at >= 600 and chance.random() < 0.1)))

    burning = [e.urgency == "page" for number, e in judgements(objective(), traffic()) if number > 7 * HOUR_S + 600]
    assert all(burning)
