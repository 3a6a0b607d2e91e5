"""The burn tiers: how fast, over which windows, and whether that wakes somebody.

The Site Reliability Workbook, chapter 5, section 6, "Multiwindow, Multi-Burn-Rate
Alerts", table 5-8 and its ticket tiers, for an objective over 30 days. Both windows
must burn: the long one says that it matters, the short one that it still goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Literal

M5, M30, H1, H2, H6, H24, D3 = 300, 1800, 3600, 7200, 21_600, 86_400, 259_200
BOOK_S = 30 * 86_400  # the window of the book's table

Urgency = Literal["page", "ticket"]


@dataclass(frozen=True, slots=True)
class Tier:
    """Holds where the burn rate is at least `burn` over both windows (seconds)."""

    burn: Fraction
    long_s: int
    short_s: int
    urgency: Urgency

    @property
    def name(self) -> str:
        """`1h/5m`, its windows."""
        return f"{span(self.long_s)}/{span(self.short_s)}"


# 2 % of the budget in 1 h, 5 % in 6 h, 10 % in 24 h, 10 % in 3 days.
WORKBOOK: tuple[Tier, ...] = (
    Tier(Fraction("14.4"), H1, M5, "page"),
    Tier(Fraction(6), H6, M30, "page"),
    Tier(Fraction(3), H24, H2, "ticket"),
    Tier(Fraction(1), D3, H6, "ticket"),
)


def scaled(window_s: int) -> tuple[Tier, ...]:
    """The book's tiers for another window: each takes the same share of the budget in the same time.

    A burn rate is at least 1: a slower one does not use the budget up.
    """
    return tuple(replace(tier, burn=max(Fraction(1), tier.burn * window_s / BOOK_S)) for tier in WORKBOOK)


def can_fire(tier: Tier, allowed: Fraction) -> bool:
    """Whether even a total outage burns so fast: burn * (1 - target) <= 1."""
    return tier.burn * allowed <= 1


def arithmetic(tier: Tier, allowed: Fraction) -> str:
    """Why a tier cannot fire: `14.4 x (1 - 0.9) = 1.44 > 1: even a total outage burns at 10`."""
    product = f"{float(tier.burn):.10g} x (1 - {float(1 - allowed):.10g}) = {float(tier.burn * allowed):.10g}"
    return f"{product} > 1: even a total outage burns at {float(1 / allowed):.10g}"


@lru_cache(maxsize=4096)  # asked for every objective, several times a second
def tiers_for(window_s: int, allowed: Fraction) -> tuple[Tier, ...]:
    """The default tiers of an objective: those of the book, scaled, that can fire at its target."""
    return tuple(tier for tier in scaled(window_s) if can_fire(tier, allowed))


def span(seconds: int) -> str:
    """`5m`, `1h`, `3d`: a window as it is written."""
    for unit, letter in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds % unit == 0:
            return f"{seconds // unit}{letter}"
    return f"{seconds}s"
