"""What a window gives back: an hour of failures leaves one that rolls a window's length later, and a calendar's with
the end of the period.

That is reckoned with traffic as it is and nothing failing meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from msgspec import Struct

from server.gate.answer import SpentHour
from server.slo.model.status import ObjectiveStatus

HOUR_S = 3600
AHEAD_S = 7 * 86_400
NOTABLE = 0.01  # less of a budget coming back is not worth telling


class Return(Struct):
    """`share` of the whole budget comes back at `at`, Unix seconds."""

    share: float
    at: int


def allowance(objective: ObjectiveStatus) -> Fraction:
    """How many failures the window's traffic allows, exactly."""
    return objective.allowed * (objective.good + objective.bad)


def leaves_at(objective: ObjectiveStatus, hour: SpentHour) -> int:
    """When the whole of an hour has left the window; a calendar's is left by all at once."""
    if objective.resets_at is not None:
        return objective.resets_at
    return hour.at + HOUR_S + objective.window_days * 86_400


def reached_at(
    objective: ObjectiveStatus, spending: Sequence[SpentHour], enough: Callable[[Fraction], bool]
) -> int | None:
    """When enough failures have left the window for `enough(share left)` to hold, Unix seconds; None: not known."""
    allowed = allowance(objective)
    if allowed <= 0:
        return None
    if objective.resets_at is not None:
        return objective.resets_at
    bad = objective.bad
    for hour in spending:
        bad -= hour.bad
        if enough(1 - bad / allowed):
            return leaves_at(objective, hour)
    return None


def next_return(objective: ObjectiveStatus, spending: Sequence[SpentHour], now: float) -> Return | None:
    """The hour of most failures of those that leave within a week; None: none that is worth telling."""
    allowed = allowance(objective)
    soon = [hour for hour in spending if now < leaves_at(objective, hour) <= now + AHEAD_S]
    most = max(soon, key=lambda hour: (hour.bad, -hour.at), default=None)
    if most is None or allowed <= 0:
        return None
    bad = most.bad if objective.resets_at is None else objective.bad
    return Return(float(bad / allowed), leaves_at(objective, most)) if bad / allowed >= NOTABLE else None
