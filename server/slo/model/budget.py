"""The error budget: how much of what may be bad is left.

The Site Reliability Workbook, chapter 2 and chapter 5: an objective of `target`
over a window allows `(1 - target) * total` bad events in it.
"""

from __future__ import annotations

from fractions import Fraction

from server.slo.model.counts import Counts


def budget_left(counts: Counts, allowed: Fraction) -> float | None:
    """1 - bad / (allowed * total): 1 is untouched, 0 is used up, below is overspent. None: no traffic."""
    if counts.total == 0:
        return None
    return float(1 - Fraction(counts.bad) / (allowed * counts.total))


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
