"""What fails since an act, and when that is enough."""

from __future__ import annotations

import pytest

from server.slo.model.comparison import Stratum
from server.slo.model.since_act import since_act


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
