"""Ninety healthy days through the real evaluator: how often it would have been wrong."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import pytest

from server.slo.model.sequential import YEAR_S, Fast
from tests.slo.judging import alarms, objective
from tests.slo.traffic import DAY_S, cycling, healthy

DAYS = 90


@pytest.mark.soak
def test_healthy_days_alarm_no_more_than_stated() -> None:
    """Twice ninety days: the fast test at most once in 365, the tiers at most once in 180."""
    found = [each for seed in (1, 2) for each in alarms(objective("0.999"), healthy(seed, DAYS))]
    fast = [each for each in found if each[1] == "fast"]
    assert len(fast) <= max(1, round(2 * DAYS * DAY_S / YEAR_S)), found
    assert len(found) - len(fast) <= 1, found


@pytest.mark.soak
@pytest.mark.parametrize(("target", "per_second"), [("0.95", 50), ("0.9", 20), ("0.999", 500)])
def test_slow_cycles_within_the_budget_alarm_nobody(target: str, per_second: int) -> None:
    """Thirty days that spend 80 % of the budget, the worst hours of each failing with 1.2 times what is tolerated."""
    assert fast_alarms(target, cycling(3, 30, per_second, 0.8 * float(1 - Fraction(target)), 0.5)) == 0


@pytest.mark.soak
@pytest.mark.parametrize("burn", [1.0, 1.1, 1.3, 1.44, 1.7, 2.0, 2.6, 4.0])
@pytest.mark.parametrize(("target", "per_second"), [("0.95", 50), ("0.9", 50), ("0.99", 50)])
def test_a_steady_burn_is_at_most_one_alarm(target: str, per_second: int, burn: float) -> None:
    """Two days; never where no more fails than twice what is tolerated."""
    found = fast_alarms(target, cycling(4, 2, per_second, burn * float(1 - Fraction(target)), 0.0))
    assert found <= (1 if burn > 2 else 0)


def fast_alarms(target: str, traffic: Iterable[tuple[int, int]]) -> int:
    """How often the fast test alarms."""
    fast, count = Fast(float(1 - Fraction(target))), 0
    for second, (n, bad) in enumerate(traffic):
        was_on = fast.on
        fast.second(second, n, bad)
        count += fast.on and not was_on
    return count


def test_a_healthy_day_alarms_nobody() -> None:
    assert list(alarms(objective("0.999"), healthy(7, 1))) == []
