"""The error budget: how much of what may be bad is left, and how fast it goes.

The Site Reliability Workbook, chapters 2 and 5: an objective of `target` over a window
allows `(1 - target) * total` bad events in it; burn rate = error ratio / (1 - target).
At a burn rate of 1 the budget lasts the window; at 14.4 an hour takes 2 % of 30 days' budget.
"""

from __future__ import annotations

from fractions import Fraction

from server.slo.model.counts import Counts

# A budget that allows fewer failures than this is not judged: one of 100 requests is a burn rate of 10.
HANDFUL = 5
LOW_BUDGET = 0.25  # of the whole, exact as a float; with less left an objective is at risk


def exactly_left(counts: Counts, allowed: Fraction) -> Fraction | None:
    """The budget left as thresholds are compared with it; None: no traffic."""
    if counts.total == 0:
        return None
    return 1 - Fraction(counts.bad) / (allowed * counts.total)


def budget_left(counts: Counts, allowed: Fraction) -> float | None:
    """1 - bad / (allowed * total): 1 is untouched, 0 is used up, below is overspent. To be shown; None: no traffic."""
    left = exactly_left(counts, allowed)
    return None if left is None else float(left)


def budget_range(counts: Counts, unseen: int, allowed: Fraction) -> tuple[float, float] | None:
    """The budget left if all of `unseen` events were bad, and if all were good. None: nothing either way.

    Unseen are the events that were refused by a limit, or expected and not sent.
    """
    worst = budget_left(counts.plus(Counts(bad=unseen)), allowed)
    best = budget_left(counts.plus(Counts(good=unseen)), allowed)
    return None if worst is None or best is None else (worst, best)


def exhausted_in_s(left: float | None, burn: float | None, window_s: int) -> float | None:
    """Seconds until nothing is left at this burn rate: left * window / burn.

    The Workbook, chapter 5, section 4, gives it for left = 1.
    0 when it is used up. None when it is not being used up: at a burn rate of 1 or
    less a rolling window gives back at least as much as it takes.
    """
    if left is None:
        return None
    if left <= 0:
        return 0.0
    return left * window_s / burn if burn is not None and burn > 1 else None


def exhausted_in_period_s(left: float | None, burn: float | None, passed_s: float, rest_s: float) -> float | None:
    """The same of a calendar's period, of which `passed_s` have passed and `rest_s` are left.

    What is left is of the traffic so far, and more traffic allows more failures: left * passed / (burn - 1).
    None also where the period ends before.
    """
    if left is None:
        return None
    if left <= 0:
        return 0.0
    found = left * passed_s / (burn - 1) if burn is not None and burn > 1 else None
    return found if found is not None and found < rest_s else None


def burn_rate(counts: Counts, allowed: Fraction) -> float | None:
    """(bad / total) / allowed, at least 0. None: no traffic."""
    if counts.total == 0:
        return None
    return float(Fraction(counts.bad, counts.total) / allowed)


def spent(burn: float, seconds: float, window_s: int) -> float:
    """The share of the whole budget that `seconds` at this burn rate take: burn * seconds / window (section 4)."""
    return burn * seconds / window_s


def judged(whole: Counts, allowed: Fraction) -> bool:
    """Whether the objective's window has enough outcomes to judge its budget: so many that a handful may fail."""
    return whole.total * allowed >= HANDFUL


def budget_low(whole: Counts, allowed: Fraction) -> bool:
    """Whether too little is left of a budget that can be judged, on at least a handful of failures."""
    left = exactly_left(whole, allowed)
    return judged(whole, allowed) and whole.bad >= HANDFUL and left is not None and left < LOW_BUDGET
