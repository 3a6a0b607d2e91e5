"""Whether few observations say enough: the lower confidence bound of a bad ratio.

Chernoff's bound in Hoeffding's form (W. Hoeffding, "Probability Inequalities for Sums of
Bounded Random Variables", 1963, theorem 1): where the true ratio is `q`, the chance
that at least `bad` of `total` are bad is at most exp(-total * KL(bad/total, q)). It
holds for every number of outcomes, so the lower bound needs no minimum of traffic.
"""

from __future__ import annotations

import math

# One window in a hundred, at most, in which a service that burns just below a tier's rate seems to burn at it.
ERROR = 0.01
Z = 1.96
FEWEST = 3  # failures: two may be one person trying again


def divergence(seen: float, true: float) -> float:
    """Kullback and Leibler's divergence of two coins, in nats; both ratios from 0 to 1, `true` between them."""
    bad = seen * math.log(seen / true) if seen > 0 else 0.0
    good = (1 - seen) * math.log((1 - seen) / (1 - true)) if seen < 1 else 0.0
    return bad + good


def surely_exceeds(bad: int, total: int, ratio: float) -> bool:
    """Whether the lower confidence bound of bad/total, at 1 - ERROR, is above `ratio`; never of fewer than 3 bad."""
    if bad < FEWEST or not 0 < ratio < 1 or bad <= ratio * total:
        return False
    return total * divergence(bad / total, ratio) > math.log(1 / ERROR)


def at_least(bad: int, total: int) -> float:
    """The lower bound of bad/total that orders what is worst: Wilson's of 1927, at 97.5 %. 0 of nothing."""
    if not bad:
        return 0.0
    seen, z2 = bad / total, Z * Z / total
    return (seen + z2 / 2 - math.sqrt(z2 * (seen * (1 - seen) + z2 / 4))) / (1 + z2)


def surely_below(bad: int, total: int, ratio: float) -> bool:
    """Whether the upper confidence bound of bad/total, at 1 - ERROR / 10, is below `ratio`."""
    if not 0 < ratio < 1 or bad >= ratio * total:
        return False
    return total * divergence(bad / total, ratio) > math.log(10 / ERROR)
