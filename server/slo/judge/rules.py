"""From counts to a state: which tier holds, and what that makes of an objective.

A tier of server/slo/model/tiers.py holds where both of its windows burn at its rate, and where the
long one surely does: its lower confidence bound is above burn rate * (1 - target).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from server.slo.model.confidence import surely_exceeds
from server.slo.model.counts import Counts
from server.slo.model.memory import Memory
from server.slo.model.status import State, TierState, worst
from server.slo.model.tiers import H1, M5, Tier

SHOWN_S = (M5, H1)  # windows that the pages show whatever the tiers are


def burns(counts: Counts, ratio: Fraction) -> bool:
    """Whether the bad ratio is at least `ratio`; of nothing it is not."""
    return counts.total > 0 and Fraction(counts.bad, counts.total) >= ratio


def deciding(
    tiers: Iterable[Tier], counts: Mapping[int, Counts], allowed: Fraction, memory: Memory, end: float
) -> Tier | None:
    """The most urgent tier that holds on more than one client's failures, and still goes on."""
    return next((tier for tier in tiers if tier_state(tier, counts, allowed, memory, end) == "holds"), None)


def tier_states(
    tiers: Iterable[Tier], counts: Mapping[int, Counts], allowed: Fraction, memory: Memory, end: float
) -> dict[str, TierState]:
    """By name, how each tier stands whose windows both burn at its rate."""
    found = {tier.name: tier_state(tier, counts, allowed, memory, end) for tier in tiers}
    return {name: one for name, one in found.items() if one is not None}


def holding(tiers: Iterable[Tier], states: Mapping[str, TierState]) -> Tier | None:
    """The most urgent tier that holds, of the states that `tier_states` returns."""
    return next((tier for tier in tiers if states.get(tier.name) == "holds"), None)


def tier_state(
    tier: Tier, counts: Mapping[int, Counts], allowed: Fraction, memory: Memory, end: float
) -> TierState | None:
    """Whether a tier holds, or why not although both of its windows burn at its rate; None: they do not."""
    long, short, ratio = counts[tier.long_s], counts[tier.short_s], tier.burn * allowed
    if not (burns(long, ratio) and burns(short, ratio)):
        return None
    if not burns(memory.short(short, tier.short_s, end, ratio), ratio):
        return "over"
    if not surely_exceeds(long.bad, long.total, float(ratio)):
        return "unsure"
    return "holds" if memory.several(long.bad, tier.long_s, end) else "one_client"


def spans(tiers: Iterable[Tier]) -> tuple[int, ...]:
    """The windows, in seconds, that these tiers and the pages need, shortest first."""
    return tuple(sorted({*SHOWN_S, *(each for tier in tiers for each in (tier.long_s, tier.short_s))}))


def state_of(tier: Tier | None, fast: bool, low: bool, traffic: bool, senders: State | None) -> State:
    """The state of an objective.

    `tier` is the one that holds, `fast` whether the fast test is on, `low` whether the
    budget is; `traffic` whether there was any within the last hour; `senders` is blind
    or partial where its service's outcomes do not all arrive.
    """
    found: set[State] = set()
    if fast or (tier is not None and tier.urgency == "page"):
        found.add("burning")
    if low or tier is not None:
        found.add("at_risk")
    if senders is not None:
        found.add(senders)
    found.add("ok" if traffic else "no_traffic")
    return worst(found)
