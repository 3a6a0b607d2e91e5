"""How long to wait before the next attempt to sign in: the more failures, the longer, never for ever.

Nobody is locked out: an attacker who could lock a commander out at 3 a.m. would
need no password.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WINDOW_S = 900.0  # older failures are forgotten


@dataclass(frozen=True, slots=True)
class Rule:
    """`free` failures cost nothing; each further one doubles the wait, from 1 s up to `longest_s`."""

    free: int
    longest_s: float


ACCOUNT = Rule(free=5, longest_s=60.0)
ADDRESS = Rule(free=20, longest_s=60.0)  # an office shares one


def wait_s(failures: Sequence[float], now: float, rule: Rule) -> float:
    """Seconds to wait, 0 to `longest_s`. `failures` are Unix seconds in any order."""
    counted = [at for at in failures if at > now - WINDOW_S]
    beyond = len(counted) - rule.free
    if beyond < 0:
        return 0.0
    delay = min(rule.longest_s, 2.0 ** min(beyond, 30))
    return min(rule.longest_s, max(0.0, max(counted, default=now - delay) + delay - now))
