"""One version against another on the same routes: against counting every way in which failures can fall."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import product
from math import comb, prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.slo.model.comparison import SURE, Stratum, compare, tails
from tests.examples import examples


def stratum(n: int, other_n: int, bad: int, other_bad: int) -> Stratum:
    return Stratum(min(bad, n), n, min(other_bad, other_n), other_n)


SMALL = st.builds(stratum, st.integers(1, 12), st.integers(1, 12), st.integers(0, 6), st.integers(0, 6))


def enumerated(strata: list[Stratum]) -> tuple[Fraction, Fraction]:
    """Every way in which the failures of each route can fall to the two, exactly."""
    seen, more, fewer = sum(each.bad for each in strata), Fraction(0), Fraction(0)
    ways = [range(min(each.n, each.bad + each.other_bad) + 1) for each in strata]
    for fallen in product(*ways):
        chance = prod(
            (
                Fraction(
                    comb(each.n, k) * comb(each.other_n, each.bad + each.other_bad - k),
                    comb(each.n + each.other_n, each.bad + each.other_bad),
                )
                for each, k in zip(strata, fallen, strict=True)
            ),
            start=Fraction(1),
        )
        more += chance if sum(fallen) >= seen else 0
        fewer += chance if sum(fallen) <= seen else 0
    return more, fewer


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(SMALL, max_size=3))
def test_the_chance_is_the_share_of_all_ways(strata: list[Stratum]) -> None:
    found, exact = tails(strata), enumerated(strata)
    assert found == pytest.approx((float(exact[0]), float(exact[1])), abs=1e-12)


def test_a_version_that_serves_the_worse_route_is_not_the_worse_version() -> None:
    """v1 serves /pay, which fails with a tenth for it, and v2 fails all of the little that it serves there."""
    pay, home = Stratum(900, 9_000, 100, 100), Stratum(10, 1_000, 99, 9_900)
    assert compare([pay, home]).finding == "better", "v1 against v2"
    other = compare([Stratum(100, 100, 900, 9_000), Stratum(99, 9_900, 10, 1_000)])
    assert (other.finding, other.p < 1e-50) == ("worse", True)
    alike = compare([Stratum(900, 9_000, 10, 100), Stratum(10, 1_000, 99, 9_900)])
    assert alike.finding == "no_difference"


def test_what_the_issue_asks() -> None:
    worse = compare([Stratum(12, 458, 1, 1_830)])
    assert (worse.finding, worse.bad, worse.n, worse.other_bad, worse.other_n) == ("worse", 12, 458, 1, 1_830)
    assert worse.ratio == pytest.approx(12 / 458 * 1_830)
    assert worse.p == pytest.approx(float(enumerated([Stratum(12, 458, 1, 1_830)])[0]), rel=1e-6)
    assert compare([Stratum(2, 40, 0, 400)]).finding == "too_few"
    assert compare([Stratum(0, 500, 1, 400)]).finding == "no_difference"
    assert compare([Stratum(50, 50, 0, 0)]).finding == "too_few", "on no common route"
    assert compare([Stratum(3, 1_000, 0, 100_000)]).ratio is None


def test_of_many_failures_the_normal_tail_is_as_good() -> None:
    near = [Stratum(1_000, 10_000, 1_000, 10_000)]
    assert tails(near) == pytest.approx((0.5, 0.5), abs=0.02)
    assert compare([Stratum(2_600, 10_000, 1_000, 10_000)]).finding == "worse"
    assert compare([Stratum(1_200, 10_000, 1_000, 10_000)]).finding == "no_difference", "sure, but a fifth more"


def test_where_there_is_no_difference_it_is_sure_as_rarely_as_it_says() -> None:
    chance, sure, tries = random.Random(3), 0, 4_000
    for _ in range(tries):
        strata = []
        for ratio, n, other in ((0.2, 30, 60), (0.02, 100, 50)):
            bad, other_bad = (sum(chance.random() < ratio for _ in range(size)) for size in (n, other))
            strata.append(Stratum(bad, n, other_bad, other))
        sure += tails(strata)[0] <= 0.01
    assert sure <= 0.01 * tries + 3 * (0.01 * tries) ** 0.5
    assert SURE < 0.001
