"""Backtest: what a policy would have done, by the live rules over a past that is known exactly."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest

from server.alerts.backtest import Columns, Holding, Minutes, PastAlert, Run, backtest, minutes_of
from server.slo.model.budget_policy import BudgetPolicy, PagingPolicy
from server.slo.model.counts import Counts
from server.slo.model.sequential import Fast
from server.slo.model.tiers import Tier
from tests.slo.judging import objective

START = 1_790_000_040  # a whole minute
DAY = 1440
WARM = 3 * DAY  # the longest window of the default tiers
POLICY = BudgetPolicy()
PAGE = Tier(Fraction("14.4"), 3600, 300, "page")
ONE_DAY = objective(window_days=1, own_tiers=(PAGE,))


def line_of(minutes: int, counted: Callable[[int], tuple[int, int]]) -> Minutes:
    """Minutes of which `counted` says how many were good and bad."""
    end = START + minutes * 60
    good, bad = zip(*map(counted, range(minutes)), strict=True)
    return minutes_of(START, end, [Columns(range(START, end, 60), good, bad)])


def outage(n: int) -> tuple[int, int]:
    """3,000 requests a minute; from the minute 1000 on all fail for 20 minutes."""
    return (0, 3000) if 1000 <= n < 1020 else (3000, 0)


def at(minute: int) -> float:
    return float(START + 60 * minute)


def test_an_outage_has_its_onset_detection_reset_and_cost() -> None:
    (found,) = backtest(ONE_DAY, POLICY, line_of(DAY, outage), START)
    assert found == PastAlert(
        objective="shop-works",
        tier="1h/5m",
        urgency="page",
        severity=1,
        onset=at(1000),
        detected_at=at(1001),  # 3000 of 180,000 in the hour is a burn rate of 16.7
        fired_at=at(1001),
        reset_at=found.reset_at,
        times=1,
        bad=60_000,
        total=63_000,  # with the good minute after which it is surely over
        spent=found.spent,
    )
    assert found.reset_at is not None
    # Surely over after a good minute, then the minute of clearness.
    assert at(1020) < found.reset_at <= at(1023)
    assert found.spent == pytest.approx(60_000 / (0.001 * 3000 * 1021))


def test_an_outage_that_is_over_leaves_no_ticket_and_what_goes_on_slowly_does() -> None:
    ticket = Tier(Fraction(3), 86_400, 7200, "ticket")
    both = replace(ONE_DAY, own_tiers=(PAGE, ticket))
    (page,) = backtest(both, POLICY, line_of(2 * DAY, outage), START)
    assert [page] == backtest(ONE_DAY, POLICY, line_of(2 * DAY, outage), START)

    def lingering(n: int) -> tuple[int, int]:
        """After the outage a burn rate of 4, which the fast test of a laxer objective does not see."""
        return (2988, 12) if n >= 1020 else outage(n)

    quiet = replace(POLICY, paging=PagingPolicy(Fraction(10_000), Fraction(1)))
    found = backtest(both, quiet, line_of(2 * DAY, lingering), START)
    assert [(one.tier, one.urgency, one.reset_at is None) for one in found] == [
        ("1h/5m", "page", False),
        ("1d/2h", "ticket", True),
    ]
    assert found[0].severity == 1


def test_what_goes_on_has_no_reset_and_healthy_traffic_no_alert() -> None:
    (found,) = backtest(ONE_DAY, POLICY, line_of(1010, outage), START)
    assert found.reset_at is None
    assert backtest(ONE_DAY, POLICY, line_of(DAY, lambda n: (3000, 1 if n % 2 else 0)), START) == []
    assert backtest(ONE_DAY, POLICY, line_of(DAY, lambda n: (0, 0)), START) == []


def test_only_what_begins_within_the_days_asked_for_counts() -> None:
    assert backtest(ONE_DAY, POLICY, line_of(DAY, outage), START + 1200 * 60) == []


def test_what_the_fast_test_finds_is_shown_and_tells_nobody_until_it_is_worth_it() -> None:
    # 0.8 % of 3000 a minute: a burn rate of 8, under the tier.
    slow = replace(ONE_DAY, window_days=28)
    line = line_of(600, lambda n: (2976, 24) if 100 <= n < 160 else (3000, 0))
    (found,) = backtest(slow, replace(POLICY, paging=PagingPolicy(Fraction(10), Fraction(1))), line, START)
    assert (found.tier, found.fired_at) == ("fast", None)
    (told,) = backtest(slow, replace(POLICY, paging=PagingPolicy(Fraction(1, 10_000), Fraction(1))), line, START)
    assert (told.tier, told.detected_at) == ("fast", found.detected_at)
    assert told.fired_at is not None


@pytest.mark.parametrize("second", [0, 1, 17, 30, 45, 59])
@pytest.mark.parametrize(("per_second", "ratio"), [(1, 1.0), (10, 1.0), (50, 1.0), (10, 0.5), (50, 0.5), (50, 0.2)])
def test_an_outage_of_two_minutes_alerts_as_it_does_live(second: int, per_second: int, ratio: float) -> None:
    begins = 600 * 60 + second
    chance = random.Random(second)
    traffic = [
        (per_second, sum(chance.random() < ratio for _ in range(per_second)) if begins <= at < begins + 120 else 0)
        for at in range(610 * 60)
    ]
    alarm = live(traffic)
    assert alarm is not None
    (found,) = backtest(ONE_DAY, POLICY, by_minute(traffic), START)
    assert found.fired_at is not None
    assert abs(found.fired_at - START - alarm) <= 90  # the end of a minute, and a block or two
    assert abs(found.onset - START - begins) <= 60


def test_a_burst_within_a_second_alerts_neither_here_nor_live() -> None:
    traffic = [(50, 40 if at == 600 * 60 + 7 else 0) for at in range(610 * 60)]
    slow = replace(ONE_DAY, window_days=28)
    assert live(traffic) is None
    assert backtest(slow, POLICY, by_minute(traffic), START) == []


def live(traffic: list[tuple[int, int]]) -> int | None:
    """The second in which the fast test alarms, as it hears seconds."""
    fast = Fast(float(ONE_DAY.allowed))
    for second, (n, bad) in enumerate(traffic):
        if bad or not fast.idle:
            fast.second(second, n, bad)
        else:
            fast.block_n = 0
        if fast.on:
            return second
    return None


def by_minute(traffic: list[tuple[int, int]]) -> Minutes:
    def counted(n: int) -> tuple[int, int]:
        seconds = traffic[n * 60 : n * 60 + 60]
        bad = sum(failed for _, failed in seconds)
        return sum(total for total, _ in seconds) - bad, bad

    return line_of(len(traffic) // 60, counted)


class Every(Run):
    """The same with every minute judged in full: no minute is passed over."""

    def _goes_on(self, holding: Holding, end: int) -> bool:
        return False


@pytest.mark.parametrize("seed", range(6))
def test_passing_over_minutes_changes_nothing(seed: int) -> None:
    chance = random.Random(seed)
    usual = chance.choice([1, 7, 60, 900])
    ratios = [0.0, 0.0005, 0.002, 0.01, 0.05, 1.0]
    ratio = 0.0

    def counted(n: int) -> tuple[int, int]:
        nonlocal ratio
        if n % 45 == 0:
            ratio = chance.choice(ratios)
        total = chance.randrange(2 * usual)
        bad = sum(chance.random() < ratio for _ in range(total))
        return total - bad, bad

    one = objective(window_days=chance.choice([1, 7]), target=Fraction(chance.choice([95, 99]), 100))
    line = line_of(WARM + DAY, counted)
    plain = Every(one, POLICY, line)
    plain.near = {tier: set(range(WARM + DAY + 1)) for tier in one.tiers}
    for minute in range(WARM, WARM + DAY):
        plain.minute(minute)
    expected = [replayed.past_alert(line, one) for replayed in plain.found.values()]
    assert backtest(one, POLICY, line, START + WARM * 60) == expected
    assert expected


def test_windows_are_the_sums_of_their_minutes() -> None:
    chance = random.Random(1)
    minutes = [(chance.randrange(50), chance.randrange(3)) for _ in range(300)]
    line = line_of(300, lambda n: minutes[n])
    for end in range(0, 301, 7):
        for width in (1, 5, 60, 1000):
            inside = minutes[max(0, end - width) : end]
            expected = Counts(sum(good for good, _ in inside), sum(bad for _, bad in inside))
            assert line.before(end, width * 60) == expected
    burning = {end for end in range(5, 301) if (c := line.before(end, 300)).bad and c.bad >= 0.05 * c.total}
    assert line.burning(300, 0.05) == burning


def test_the_change_point_is_the_beginning_of_what_is_bad() -> None:
    line = line_of(200, lambda n: (90, 10) if n >= 150 else (100, 0))
    assert line.change_point(160, 3600, 0.01) == 150
