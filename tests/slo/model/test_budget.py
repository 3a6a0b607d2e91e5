"""Budget, burn rate and the rules that make a state of them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.slo.judge.judgement import deciding, spans, state_of
from server.slo.model.budget import budget_left, budget_low, budget_range, burn_rate, exhausted_in_s, spent
from server.slo.model.counts import Counts
from server.slo.model.memory import Memory
from server.slo.model.status import State, worst
from server.slo.model.tiers import BOOK_S, D3, H1, H2, H6, H24, M5, M30, tiers_for

ALLOWED = Fraction(1, 1000)  # 99.9 %

counts = st.builds(Counts, st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12))
targets = st.fractions(min_value=Fraction(1, 2), max_value=Fraction(99999, 100000)).map(lambda target: 1 - target)


def test_the_workbooks_figures() -> None:
    """Chapter 5: 99.9 % with 0.1 % bad is a burn rate of 1; all bad is 1000, used up in 43 minutes of 30 days."""
    assert burn_rate(Counts(999, 1), ALLOWED) == 1
    assert burn_rate(Counts(0, 5), ALLOWED) == 1000
    assert exhausted_in_s(1.0, 1000.0, 30 * 86_400) == pytest.approx(43.2 * 60)
    assert spent(14.4, 3600, 30 * 86_400) == pytest.approx(0.02)
    assert spent(6, 6 * 3600, 30 * 86_400) == pytest.approx(0.05)


def test_the_budget_of_a_million_requests() -> None:
    assert budget_left(Counts(1_000_000, 0), ALLOWED) == 1
    assert budget_left(Counts(999_000, 1_000), ALLOWED) == 0
    assert budget_left(Counts(999_310, 690), ALLOWED) == pytest.approx(0.31)
    assert budget_left(Counts(998_000, 2_000), ALLOWED) == -1


def test_no_traffic_has_no_budget_and_no_burn_rate() -> None:
    only_excluded = Counts(0, 0, 7)
    assert budget_left(only_excluded, ALLOWED) is None
    assert burn_rate(only_excluded, ALLOWED) is None
    assert budget_range(only_excluded, 0, ALLOWED) is None
    assert exhausted_in_s(None, None, 86_400) is None


def test_when_the_budget_is_gone() -> None:
    month = 28 * 86_400
    assert exhausted_in_s(0.31, 40, month) == pytest.approx(0.31 * month / 40)
    assert exhausted_in_s(0.31, 1, month) is None  # a rolling window gives back as much
    assert exhausted_in_s(0.31, None, month) is None
    assert exhausted_in_s(-0.2, 0.5, month) == 0


@given(counts, targets)
def test_over_its_own_window_the_burn_rate_is_the_share_that_is_spent(counted: Counts, allowed: Fraction) -> None:
    left, burn = budget_left(counted, allowed), burn_rate(counted, allowed)
    assert (left is None) == (burn is None) == (counted.total == 0)
    if left is not None and burn is not None:
        assert 1 - left == pytest.approx(burn, rel=1e-9, abs=1e-9)


@given(counts, st.integers(0, 10**9), targets)
def test_the_range_holds_what_is_counted(counted: Counts, unseen: int, allowed: Fraction) -> None:
    span, left = budget_range(counted, unseen, allowed), budget_left(counted, allowed)
    if span is not None:
        assert span[0] <= span[1] <= 1
        assert left is None or span[0] <= left <= span[1]


@given(counts, counts, targets)
def test_a_failure_more_never_raises_the_budget(counted: Counts, more: Counts, allowed: Fraction) -> None:
    before, after = budget_left(counted, allowed), budget_left(counted.plus(Counts(bad=more.bad)), allowed)
    if before is not None and after is not None:
        assert after <= before


TIERS = tiers_for(BOOK_S, ALLOWED)


def state_in(counts: dict[int, Counts], whole: Counts, senders: State | None = None, fast: bool = False) -> State:
    """The state of an objective of the book's 30 days."""
    tier = deciding(TIERS, counts, ALLOWED, Memory([0, 60, 120]), 200)
    return state_of(tier, fast, budget_low(whole, ALLOWED), counts[H1].total > 0, senders)


def windows(**given: Counts) -> dict[int, Counts]:
    """Counts by window; those not named are a healthy thousand."""
    named = {"m5": M5, "m30": M30, "h1": H1, "h2": H2, "h6": H6, "h24": H24, "d3": D3}
    found = dict.fromkeys(spans(TIERS), Counts(1000, 0))
    return found | {named[name]: counted for name, counted in given.items()}


def ratio(bad: int, total: int = 100_000) -> Counts:
    return Counts(total - bad, bad)


WELL = ratio(10)  # of 100 that may fail


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({}, "ok"),
        ({"h1": ratio(1560), "m5": ratio(1440)}, "burning"),  # exactly 14.4 over 5 min, surely more over 1 h
        ({"h1": ratio(1480), "m5": ratio(1440)}, "ok"),  # more, but not surely
        ({"h1": ratio(1560), "m5": ratio(1439)}, "ok"),  # it has stopped
        ({"h6": ratio(690), "m30": ratio(600)}, "burning"),
        ({"h6": ratio(600), "m30": ratio(600)}, "ok"),
        ({"h24": ratio(365), "h2": ratio(300)}, "at_risk"),
        ({"h24": ratio(365), "h2": ratio(299)}, "ok"),
        ({"d3": ratio(140), "h6": ratio(100)}, "at_risk"),
        ({"d3": ratio(100), "h6": ratio(100)}, "ok"),
        ({"h1": ratio(1560), "m5": Counts()}, "ok"),  # the short window is empty
        ({"h1": ratio(1, 10), "m5": ratio(1, 10)}, "ok"),  # one failure in ten at night wakes nobody
        ({"h1": ratio(2, 2), "m5": ratio(2, 2)}, "ok"),  # two may be one person trying again
        ({"h1": ratio(3, 3), "m5": ratio(1, 1)}, "burning"),  # three outages in a row do
        ({"h1": ratio(3, 12), "m5": ratio(1, 1)}, "burning"),
        ({"h1": ratio(3, 60), "m5": ratio(1, 1)}, "ok"),
        ({"h1": Counts()}, "no_traffic"),
    ],
)
def test_the_tiers_at_their_edges(given: dict[str, Counts], state: State) -> None:
    assert state_in(windows(**given), WELL) == state


def test_a_low_budget_is_a_risk_also_without_traffic() -> None:
    assert state_in(windows(), ratio(75)) == "ok"
    assert state_in(windows(), ratio(76)) == "at_risk"
    assert state_in(windows(h1=Counts()), ratio(400)) == "at_risk"


def test_nothing_is_called_healthy_while_outcomes_do_not_arrive() -> None:
    burning = windows(h1=ratio(5000), m5=ratio(5000))
    for senders in ("blind", "partial"):
        assert state_in(windows(), WELL, senders) == senders
        assert state_in(windows(), ratio(90), senders) == senders
        assert state_in(windows(h1=Counts()), Counts(), senders) == senders
        assert state_in(burning, WELL, senders) == "burning"
        assert state_in(windows(), WELL, senders, fast=True) == "burning"


def test_the_worst_of_a_service() -> None:
    assert worst({"ok", "no_traffic"}) == "ok"
    assert worst({"ok", "at_risk", "partial"}) == "partial"
    assert worst(set()) == "no_objective"
