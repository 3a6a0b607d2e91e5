"""From counts to a state: the rules, as a table.

The Site Reliability Workbook, chapter 5, section 6, "Multiwindow, Multi-Burn-Rate
Alerts": the two tiers that page are table 5-8's; the third is the ticket tier of
that section's configuration. Both windows must burn: the long one says that it
matters, the short one that it still goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from server.slo.budget import budget_left
from server.slo.counts import Counts
from server.slo.status import State

M5, M30, H1, H2, H6, H24 = 300, 1800, 3600, 7200, 21_600, 86_400
WINDOWS_S = (M5, M30, H1, H2, H6, H24)


@dataclass(frozen=True, slots=True)
class Tier:
    """A state, the burn rate from which it holds, and the two windows (seconds) that must have it."""

    state: State
    burn: Fraction
    long_s: int
    short_s: int


TIERS: tuple[Tier, ...] = (
    Tier("burning", Fraction("14.4"), H1, M5),
    Tier("burning", Fraction(6), H6, M30),
    Tier("at_risk", Fraction(3), H24, H2),
)

# Below this many failures in the long window a rate says nothing: one of 100 requests
# is a burn rate of 10. A budget that allows fewer is not judged either.
HANDFUL = 5

LOW_BUDGET = 0.25

# Worst first. A known burn outranks what is not known; what is not known outranks every better state.
SEVERITY: tuple[State, ...] = ("burning", "blind", "partial", "at_risk", "ok", "no_traffic", "no_objective")


def tier_holds(tier: Tier, counts: Mapping[int, Counts], allowed: Fraction) -> bool:
    """Whether both windows of a tier burn at its rate, on at least a handful of failures."""
    if counts[tier.long_s].bad < HANDFUL:
        return False
    return all(burns(counts[window], tier.burn * allowed) for window in (tier.long_s, tier.short_s))


def burns(counts: Counts, ratio: Fraction) -> bool:
    """Whether the bad ratio is at least `ratio`; of nothing it is not."""
    return counts.total > 0 and Fraction(counts.bad, counts.total) >= ratio


def deciding(counts: Mapping[int, Counts], allowed: Fraction) -> Tier | None:
    """The worst tier that holds."""
    return next((tier for tier in TIERS if tier_holds(tier, counts, allowed)), None)


def judged(whole: Counts, allowed: Fraction) -> bool:
    """Whether the objective's window has enough outcomes to judge its budget: so many that a handful may fail."""
    return whole.total * allowed >= HANDFUL


def budget_low(whole: Counts, allowed: Fraction) -> bool:
    """Whether too little is left of a budget that can be judged, on at least a handful of failures."""
    left = budget_left(whole, allowed)
    return judged(whole, allowed) and whole.bad >= HANDFUL and left is not None and left < LOW_BUDGET


def state_of(counts: Mapping[int, Counts], whole: Counts, allowed: Fraction, senders: State | None) -> State:
    """The state of an objective.

    `counts` by window in seconds, for all of WINDOWS_S; `whole` over its own window;
    `senders` is blind or partial where its service's outcomes do not all arrive.
    """
    tier = deciding(counts, allowed)
    found: set[State] = {tier.state} if tier else set()
    if budget_low(whole, allowed):
        found.add("at_risk")
    if senders is not None:
        found.add(senders)
    found.add("ok" if counts[H1].total else "no_traffic")
    return worst(found)


def worst(states: set[State]) -> State:
    """The state that comes first in SEVERITY; of none, `no_objective`."""
    return next((state for state in SEVERITY if state in states), "no_objective")
