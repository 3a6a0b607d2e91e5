"""What fails since an act, and when that is enough."""

from __future__ import annotations

import math
import random

import pytest

from server.slo.model import since_act as module
from server.slo.model.comparison import Stratum, compare
from server.slo.model.since_act import LONGER, enough_in_s, since_act


@pytest.mark.parametrize(
    ("routes", "ran_s", "counts", "verdict"),
    [
        ([(0, 312, 30, 480)], 41, "0 of 312 (before: 30 of 480)", "Enough: it fails less."),
        ([(0, 60, 30, 480)], 8, "0 of 60 (before: 30 of 480)", "Enough in 16 s if no more fails."),
        ([(60, 100, 30, 480)], 8, "60 of 100 (before: 30 of 480)", "It fails more."),
        ([(0, 0, 30, 480)], 8, "0 of 0 (before: 30 of 480)", "No request since."),
        ([(0, 90, 0, 480)], 8, "0 of 90 (before: 0 of 480)", "Nothing failed before either."),
        ([(0, 90, 1, 480)], 8, "0 of 90 (before: 1 of 480)", "Too little failed before to tell soon."),
        ([(50, 500, 50, 500)], 8, "50 of 500 (before: 50 of 500)", "Enough in 16 s if no more fails."),
        ([], 1, "0 of 0 (before: 0 of 0)", "No request since."),
    ],
)
def test_it_says_when_it_is_enough(routes: list[tuple[int, ...]], ran_s: float, counts: str, verdict: str) -> None:
    found = since_act("the rollback", 1000.0, [Stratum(*each) for each in routes], 1000.0 + ran_s)
    assert (found.counts, found.verdict) == (counts, verdict)


def test_less_traffic_on_the_bad_route_is_not_better() -> None:
    found = since_act("the rollback", 0.0, [Stratum(10, 100, 50, 500), Stratum(0, 900, 0, 500)], 60.0)
    assert found.finding == "no_difference"


def test_when_it_is_enough_is_found_by_few_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """As trying each of LONGER would find it: an exact test of 50 routes takes tens of milliseconds."""
    random_, found, expected = random.Random(7), list[float | None](), list[float | None]()
    tests = list[object]()
    monkeypatch.setattr(module, "compare", lambda routes: tests.append(None) or compare(routes))
    for _ in range(40):
        routes = [Stratum(random_.randrange(3), random_.randrange(3, 40), random_.randrange(8), 60) for _ in range(4)]
        found.append(enough_in_s(routes, 1.0))
        expected.append(next((times - 1 for times in LONGER if surely_better(routes, times)), None))
    assert found == expected
    assert len(set(found)) > 5
    assert len(tests) <= 40 * math.ceil(math.log2(len(LONGER) + 1))


def surely_better(routes: list[Stratum], times: float) -> bool:
    return compare([each._replace(n=math.floor(each.n * times)) for each in routes]).finding == "better"
