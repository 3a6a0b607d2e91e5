"""The fast test: how soon it alarms, how rarely it is wrong, and when it says that it is over."""

from __future__ import annotations

import math
import random
from bisect import bisect
from collections.abc import Iterable, Iterator
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.slo.judge.detection import fast_s, smallest_burn
from server.slo.model.sequential import ALARM, BETS, Fast, gain, null_ratio, over_ratio
from tests.examples import examples
from tests.slo.judging import objective

P = 0.001


def first_alarm(seconds: Iterable[tuple[int, int]], tolerated: float = P) -> int | None:
    """After how many seconds it alarms."""
    fast = Fast(tolerated)
    for second, (n, bad) in enumerate(seconds):
        fast.second(second, n, bad)
        if fast.on:
            return second + 1
    return None


def steady(n: int, ratio: float, seconds: int, seed: int) -> Iterator[tuple[int, int]]:
    """(n, bad) of each second; each request fails with the chance `ratio`."""
    chance = random.Random(seed)
    upto = list(accumulate(math.comb(n, bad) * ratio**bad * (1 - ratio) ** (n - bad) for bad in range(n + 1)))
    for _ in range(seconds):
        yield n, min(n, bisect(upto, chance.random()))


def episodes(tolerated: float, seconds: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """(first, end) of each time that the test is on, in seconds; one that goes on ends with the stream."""
    fast, found, second = Fast(tolerated), list[tuple[int, int]](), 0
    for second, (n, bad) in enumerate(seconds):
        was_on = fast.on
        fast.second(second, n, bad)
        if fast.on and not was_on:
            found.append((second, second + 1))
        elif fast.on:
            found[-1] = (found[-1][0], second + 1)
    return found


@given(st.floats(1e-7, 0.9), st.integers(1, 200), st.data())
def test_no_bet_gains_on_average_whatever_hangs_together_in_a_block(
    tolerated: float, n: int, data: st.DataObject
) -> None:
    """A block fails whole, in part or not: with the chance that makes the tolerated ratio."""
    bad = data.draw(st.integers(1, n))
    chance = tolerated / (bad / n)
    if chance <= 1:
        for bet in BETS:
            fails, succeeds = (math.exp(gain(bet, n, k, tolerated)) for k in (bad, 0))
            assert chance * fails + (1 - chance) * succeeds <= 1 + 1e-9
    assert sum(bet.weight for bet in BETS) == pytest.approx(1)
    assert sum(math.exp(-bet.threshold) for bet in BETS) == pytest.approx(math.exp(-ALARM))


@pytest.mark.parametrize(("ratio", "limit_s"), [(1.0, 3), (0.1, 15), (0.01, 180)])
def test_what_the_issue_asks_at_50_a_second(ratio: float, limit_s: int) -> None:
    found = []
    for seed in range(40):
        chance = random.Random(seed)
        stream = ((50, sum(chance.random() < ratio for _ in range(50))) for _ in range(4 * limit_s))
        after = first_alarm(stream)
        assert after is not None
        found.append(after)
    assert sorted(found)[20] <= limit_s
    computed = fast_s(objective("0.999"), 50, ratio)
    assert computed is not None
    assert sorted(found)[20] == pytest.approx(computed, rel=0.35)


def test_a_burst_of_one_or_two_seconds_is_no_outage() -> None:
    for burst in (1, 2):
        assert first_alarm([(50, 50)] * burst + [(50, 0)] * 600) is None
    assert first_alarm([(50, 0)] * 600 + [(50, 50)] * 3) == 603


def test_at_night_one_failure_in_ten_says_nothing_and_three_outages_in_a_row_do() -> None:
    minute = [(0, 0)] * 59
    one_in_ten = [*minute, (1, 1), *[*minute, (1, 0)] * 9]
    assert first_alarm(one_in_ten * 3) is None
    assert first_alarm([*minute, (1, 0)] * 5 + [*minute, (1, 1)] * 3 + [(0, 0)] * 60) == 9 * 60 - 1  # its block ends
    retries = [(1, 1), (1, 1), (0, 0), (1, 1), (0, 0), (0, 0), (0, 0), (1, 1)]  # one person, after 1, 2, 4 s
    assert first_alarm([*minute, (1, 0)] * 5 + retries + [*minute, (1, 0)] * 5) is None


def test_one_client_that_tries_again_is_no_failure_of_the_service() -> None:
    """Twenty failures in half a minute, unless they are half of all that is asked in it."""
    for rate, gap in ((0, 1), (0, 2), (1, 2), (3, 1), (10, 1), (50, 1), (50, 2)):
        tries = {300 + gap * number for number in range(20)}
        stream = ((rate + (second in tries), int(second in tries)) for second in range(900))
        assert first_alarm(stream) is None, (rate, gap)
    alike = {300 + number for number in range(20)}
    assert first_alarm((1 + (second in alike), int(second in alike)) for second in range(900)) is not None


def test_it_is_over_soon_after_it_is_over_and_knows_when_it_began() -> None:
    fast = Fast(P)
    for second in range(1000):
        fast.second(second, 50, 50 if 300 <= second < 400 else 0)
        if second == 399:
            assert (fast.on, fast.onset, fast.bad, fast.total) == (True, 300, 5000, 5000)
        if second >= 410:
            assert not fast.on
    chance = random.Random(1)
    slow = Fast(P)
    for second in range(3000):
        bad = sum(chance.random() < 0.01 for _ in range(50)) if 500 <= second < 1500 else 0
        slow.second(second, 50, bad)
        if second == 1499:
            assert slow.on
            assert 480 <= slow.onset <= 560
    assert not slow.on


@pytest.mark.parametrize(
    ("tolerated", "burn", "most"), [(0.05, 1.3, 0), (0.1, 1.3, 0), (0.05, 2.0, 0), (0.05, 2.6, 1), (0.01, 3.0, 1)]
)
def test_a_steady_burn_does_not_flap(tolerated: float, burn: float, most: int) -> None:
    """Six hours at 50/s: what is below twice the tolerated ratio never alarms, and what is above alarms once."""
    found = episodes(tolerated, steady(50, tolerated * burn, 6 * 3600, seed=1))
    assert len(found) <= most
    assert most == 0 or found[0][1] == 6 * 3600, "it goes on to the end"


@given(st.floats(1e-6, 0.4), st.floats(1, 1000))
def test_the_evidence_for_an_end_falls_while_it_burns_as_it_was_seen(tolerated: float, burn: float) -> None:
    seen = min(1.0, max(null_ratio(tolerated), burn * tolerated))
    ratio = over_ratio(tolerated, seen)

    def drift(bad: float) -> float:
        return (1 - bad) * (math.log1p(-tolerated) - math.log1p(-ratio)) - bad * math.log(ratio / tolerated)

    assert tolerated < ratio < 1
    assert drift(seen) < 0 < drift(tolerated)


def test_what_the_fast_test_can_never_see_is_told() -> None:
    held = objective("0.999")
    least = smallest_burn(held, 10)
    assert least is not None
    assert 15 < least < 18
    for burn in (0.8 * least, 1.3 * least):
        found = episodes(0.001, steady(10, 0.001 * burn, 6 * 3600, seed=2))
        assert bool(found) == (burn > least)
    assert smallest_burn(objective("0.5"), 0.01) == pytest.approx(1.5, rel=0.1)


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.floats(0, 1)), max_size=200))
def test_any_stream_keeps_its_bounds(seconds: list[tuple[int, float]]) -> None:
    fast = Fast(P)
    for second, (n, share) in enumerate(seconds):
        fast.second(second, n, round(n * share))
        assert 0 <= fast.suspicion <= 1
        assert 0 <= fast.bad <= fast.total or not fast.on
