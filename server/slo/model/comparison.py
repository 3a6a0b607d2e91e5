"""Whether one version fails more than another on the same routes: an exact, stratified test.

The conditional test of Cochran, Mantel and Haenszel (Mantel, Haenszel, "Statistical aspects
of the analysis of data from retrospective studies of disease", 1959; exact form: Agresti,
"Categorical Data Analysis", 7.3.5). In each stratum (a route) the failures that both had
together are given; if the version made no difference, those that fell to it would be
hypergeometric. Their sum over the strata tells. A version that serves the worse route is
so no worse than one that does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

SURE = 1e-4  # looked at again every few seconds, so stricter than a test that is made once
LEAST_RATIO = 2.0  # times as many: less is no reason to act
FEWEST = 3  # failures
ENOUGH = 100  # outcomes of each on common routes: of fewer it is not said that there is no difference
NEGLIGIBLE = 1e-18  # of a probability
LARGE = 400.0  # a variance from which on the normal distribution is as good

Finding = Literal["worse", "better", "no_difference", "too_few"]


class Stratum(NamedTuple):
    """One route: bad and all of the version, bad and all of the other one."""

    bad: int
    n: int
    other_bad: int
    other_n: int


class Comparison(Struct):
    """Over the routes that both served. `ratio` is Mantel and Haenszel's: how many times as often it fails on the same
    route; None: the other never fails there. `p` is the chance of a difference at least as large, to that side, where
    there is none."""

    finding: Finding
    bad: int
    n: int
    other_bad: int
    other_n: int
    ratio: float | None
    p: float


def compare(strata: Iterable[Stratum]) -> Comparison:
    """The version against the other one."""
    common = [each for each in strata if each.n and each.other_n]
    bad, n, other_bad, other_n = (sum(column) for column in zip(*common, strict=True)) if common else (0, 0, 0, 0)
    more, fewer = tails(common)
    own = sum(each.bad * each.other_n / (each.n + each.other_n) for each in common)
    others = sum(each.other_bad * each.n / (each.n + each.other_n) for each in common)
    ratio = own / others if others else None
    finding: Finding = "no_difference" if min(n, other_n) >= ENOUGH else "too_few"
    if more <= SURE and bad >= FEWEST and own >= LEAST_RATIO * others:
        finding = "worse"
    elif fewer <= SURE and other_bad >= FEWEST and others >= LEAST_RATIO * own:
        finding = "better"
    return Comparison(finding, bad, n, other_bad, other_n, ratio, min(more, fewer))


def tails(strata: Sequence[Stratum]) -> tuple[float, float]:
    """The chances of at least as many failures of the version, and of at most as many, where it makes no difference."""
    telling = [each for each in strata if each.bad + each.other_bad and each.n and each.other_n]
    seen = sum(each.bad for each in telling)
    mean = sum((each.bad + each.other_bad) * each.n / (each.n + each.other_n) for each in telling)
    variance = sum(map(variance_of, telling))
    if variance > LARGE:
        scale = math.sqrt(2 * variance)
        return math.erfc((seen - 0.5 - mean) / scale) / 2, math.erfc((mean - seen - 0.5) / scale) / 2
    first, chances = 0, [1.0]
    for each in telling:
        least, own = hypergeometric(each)
        first, chances = first + least, convolved(chances, own)
    more = math.fsum(chance for bad, chance in enumerate(chances, first) if bad >= seen)
    fewer = math.fsum(chance for bad, chance in enumerate(chances, first) if bad <= seen)
    return min(1.0, more), min(1.0, fewer)


def variance_of(stratum: Stratum) -> float:
    """The variance of the failures that fall to the version."""
    n, other, bad = stratum.n, stratum.other_n, stratum.bad + stratum.other_bad
    total = n + other
    return n * other * bad * (total - bad) / (total * total * (total - 1)) if total > 1 else 0.0


def hypergeometric(stratum: Stratum) -> tuple[int, list[float]]:
    """The fewest failures that may fall to the version, and the chances of so many and of each one more.

    From the most likely on outwards, as far as the chances are not negligible.
    """
    n, other, bad = stratum.n, stratum.other_n, stratum.bad + stratum.other_bad
    lowest, highest = max(0, bad - other), min(n, bad)
    mode = min(highest, max(lowest, (n + 1) * (bad + 1) // (n + other + 2)))
    top = combinations(n, mode) + combinations(other, bad - mode) - combinations(n + other, bad)
    up, down = [math.exp(top)], list[float]()
    for k in range(mode, highest):
        up.append(up[-1] * (n - k) * (bad - k) / ((k + 1) * (other - bad + k + 1)))
        if up[-1] < NEGLIGIBLE:
            break
    chance = up[0]
    for k in range(mode, lowest, -1):
        chance *= k * (other - bad + k) / ((n - k + 1) * (bad - k + 1))
        down.append(chance)
        if chance < NEGLIGIBLE:
            break
    return mode - len(down), down[::-1] + up


def combinations(n: int, k: int) -> float:
    """The logarithm of n over k."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def convolved(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """The chances of each sum of two independent numbers."""
    found = [0.0] * (len(one) + len(other) - 1)
    for i, a in enumerate(one):
        for j, b in enumerate(other, i):
            found[j] += a * b
    return found
