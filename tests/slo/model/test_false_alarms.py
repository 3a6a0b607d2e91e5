"""Ninety healthy days through the real evaluator: how often it would have been wrong."""

from __future__ import annotations

import pytest

from server.slo.model.sequential import YEAR_S
from tests.slo.judging import alarms, objective
from tests.slo.traffic import DAY_S, healthy

DAYS = 90


@pytest.mark.soak
def test_healthy_days_alarm_no_more_than_stated() -> None:
    """Twice ninety days: the fast test at most once in 365, the tiers at most once in 180."""
    found = [each for seed in (1, 2) for each in alarms(objective("0.999"), healthy(seed, DAYS))]
    fast = [each for each in found if each[1] == "fast"]
    assert len(fast) <= max(1, round(2 * DAYS * DAY_S / YEAR_S)), found
    assert len(found) - len(fast) <= 1, found


def test_a_healthy_day_alarms_nobody() -> None:
    assert list(alarms(objective("0.999"), healthy(7, 1))) == []
