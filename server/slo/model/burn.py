"""The burn rate: how fast a budget goes, relative to using it up exactly at the window's end.

The Site Reliability Workbook, chapter 5, "Alerting on SLOs", section 4: burn rate = error
ratio / (1 - target). At 1 the budget lasts the window; at 14.4 an hour takes 2 %
of 30 days' budget.
"""

from __future__ import annotations

from fractions import Fraction

from server.slo.model.counts import Counts


def burn_rate(counts: Counts, allowed: Fraction) -> float | None:
    """(bad / total) / allowed, at least 0. None: no traffic."""
    if counts.total == 0:
        return None
    return float(Fraction(counts.bad, counts.total) / allowed)


def spent(burn: float, seconds: float, window_s: int) -> float:
    """The share of the whole budget that `seconds` at this burn rate take: burn * seconds / window (section 4)."""
    return burn * seconds / window_s
