"""How fast an objective would see a failure: computed, not measured.

The fast test by the mean of what a block adds to each bet (server/slo/model/sequential.py); the
burn tiers by The Site Reliability Workbook, chapter 5, section 4: detection time =
burn rate * (1 - target) / failing ratio * window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from server.slo.model.objective import Objective
from server.slo.model.sequential import BETS, BLOCK_N, BLOCK_S, Bet, gain
from server.slo.model.tiers import Tier

FAILING = (1.0, 0.1, 0.01)
EXACT_UP_TO = 400  # requests in a block; above it the mean is as good
NEGLIGIBLE = 1e-12  # of the chance
HALVINGS = 16  # to five digits of a burn rate


class Expected(Struct):
    """When a failing share of 1 is expected to be detected, seconds after the first bad one; None: never."""

    ratio: float
    fast_s: float | None
    tier_s: float | None  # by the first burn tier that pages
    tier: str | None


class Detection(Struct):
    """What an objective can see at this much traffic."""

    per_second: float
    expected: list[Expected]
    smallest_outage_s: float | None  # the shortest total outage that is detected while it lasts
    smallest_outage_requests: int | None
    smallest_outage_share: float | None  # of the whole budget, at this much traffic
    smallest_burn: float | None  # burning slower, the fast test never alarms; None: it never alarms at all


def detection(objective: Objective, per_second: float) -> Detection:
    """At `per_second` requests, above 0, of which none failed before."""
    expected = [expected_at(objective, per_second, ratio) for ratio in FAILING]
    outage_s = fast_s(objective, per_second, 1.0)
    requests = None if outage_s is None else max(1, round(outage_s * per_second))
    allowed = float(objective.allowed) * per_second * objective.window_s
    share = None if requests is None else requests / allowed
    return Detection(per_second, expected, outage_s, requests, share, smallest_burn(objective, per_second))


def smallest_burn(objective: Objective, per_second: float) -> float | None:
    """The burn rate from which on a bet of the fast test gains; None where even a total outage gains nothing."""
    tolerated, (n, _) = float(objective.allowed), block(per_second)

    def alarms(ratio: float) -> bool:
        return any(mean_gain(bet, n, ratio, tolerated) > 0 for bet in BETS)

    if not alarms(1.0):
        return None
    never, does = tolerated, 1.0
    for _ in range(HALVINGS):
        middle = math.sqrt(never * does)
        never, does = (never, middle) if alarms(middle) else (middle, does)
    return does / tolerated


def expected_at(objective: Objective, per_second: float, ratio: float) -> Expected:
    """When this share fails."""
    tier, after_s = first_tier(objective.tiers, float(objective.allowed), ratio)
    return Expected(ratio, fast_s(objective, per_second, ratio), after_s, tier.name if tier else None)


def first_tier(tiers: Sequence[Tier], allowed: float, ratio: float) -> tuple[Tier | None, float | None]:
    """The paging tier that holds first, and after how many seconds."""
    found = [(tier_s(tier, allowed, ratio), tier) for tier in tiers if tier.urgency == "page"]
    reached = [(seconds, tier) for seconds, tier in found if seconds is not None]
    if not reached:
        return None, None
    seconds, tier = min(reached, key=lambda each: each[0])
    return tier, seconds


def tier_s(tier: Tier, allowed: float, ratio: float) -> float | None:
    """The Workbook's detection time of one tier; None where this ratio burns too slowly for it."""
    needed = float(tier.burn) * allowed
    return needed / ratio * tier.long_s if ratio >= needed else None


def fast_s(objective: Objective, per_second: float, ratio: float) -> float | None:
    """The mean time to the alarm of the fast test; None where no bet gains."""
    n, seconds = block(per_second)
    tolerated = float(objective.allowed)
    blocks = [math.ceil(bet.threshold / drift) for bet in BETS if (drift := mean_gain(bet, n, ratio, tolerated)) > 0]
    return min(blocks) * seconds if blocks else None


def block(per_second: float) -> tuple[int, float]:
    """The requests and the seconds of a usual block."""
    if per_second >= BLOCK_N:
        return round(per_second), 1.0
    seconds = min(BLOCK_S, math.ceil(BLOCK_N / per_second))
    n = max(1, round(per_second * seconds))
    return n, max(seconds, n / per_second)


def mean_gain(bet: Bet, n: int, ratio: float, tolerated: float) -> float:
    """What a block of `n` requests adds on average while each fails with the chance `ratio`."""
    if n > EXACT_UP_TO or ratio >= 1:
        return gain(bet, n, n * ratio, tolerated)
    chance, total = (1 - ratio) ** n, 0.0
    for bad in range(n + 1):
        total += chance * gain(bet, n, bad, tolerated)
        chance *= (n - bad) / (bad + 1) * ratio / (1 - ratio)
        if chance < NEGLIGIBLE and bad > n * ratio:
            break
    return total
