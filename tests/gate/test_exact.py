"""Thresholds of a budget are compared exactly: by the counts, not by the share that is shown."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.gate.answer import Facts, Question
from server.gate.budget import rank_of
from server.gate.rule import gate
from server.slo.judge.judgement import ALL_ARRIVES, Observation, Senders, objective_status, spans
from server.slo.judge.streams import SILENT
from server.slo.ledger.windows import ByWindow
from server.slo.model.budget import HANDFUL
from server.slo.model.budget_policy import BudgetPolicy
from server.slo.model.counts import Counts
from server.slo.model.status import ObjectiveStatus
from tests.gate.making import NOW
from tests.slo.judging import objective

TARGETS = st.sampled_from(["0.5", "0.9", "0.95", "0.99", "0.995", "0.999", "0.9999999", "0.33"])


def status(counts: Counts, target: str, senders: Senders = ALL_ARRIVES) -> ObjectiveStatus:
    """As the watch makes it and a page reads it."""
    held = objective(target)
    found = ByWindow(dict.fromkeys((*spans(held.tiers), held.window_s), counts))
    made = objective_status(Observation(held, found, senders, SILENT), NOW)
    return msgspec.json.decode(msgspec.json.encode(made), type=ObjectiveStatus)


def left(counts: Counts, target: str) -> Fraction:
    return 1 - Fraction(counts.bad) / ((1 - Fraction(target)) * counts.total)


@pytest.mark.parametrize("percent", range(1, 100))
def test_exactly_the_share_that_freezes_freezes(percent: int) -> None:
    """1,000 of 100,000 may fail; of what is left at each whole per cent."""
    frozen = Fraction(percent, 100)
    policy = replace(BudgetPolicy(), frozen_below=frozen, caution_below=Fraction(1))
    for more, answer in ((0, "deny"), (1, "deny"), (-1, "allow")):
        bad = 1000 - 10 * percent + more
        one = status(Counts(100_000 - bad, bad), "0.99")
        assert gate(Question("shop", "deploy"), Facts(0.5, [one]), policy, NOW).answer == answer


@given(st.integers(0, 10**11), st.integers(0, 10**9), TARGETS, st.integers(-100, 99), st.integers(-100, 100))
def test_a_rank_is_that_of_the_exact_share(good: int, bad: int, target: str, frozen: int, caution: int) -> None:
    counts = Counts(good, bad)
    policy = replace(BudgetPolicy(), frozen_below=Fraction(frozen, 100), caution_below=Fraction(caution, 100))
    expected = "healthy"
    if counts.total * (1 - Fraction(target)) >= HANDFUL:
        share = left(counts, target)
        expected = (
            "frozen" if share <= policy.frozen_below else "caution" if share < policy.caution_below else "healthy"
        )
    assert rank_of(status(counts, target), policy) == expected


@given(st.integers(0, 10**9), st.integers(0, 10**7), st.integers(0, 10**9), TARGETS, st.integers(-100, 99))
def test_a_range_is_frozen_where_its_best_end_exactly_is(
    good: int, bad: int, unseen: int, target: str, frozen: int
) -> None:
    policy = replace(BudgetPolicy(), frozen_below=Fraction(frozen, 100))
    seen, best = Counts(good, bad), Counts(good + unseen, bad)
    expected = "not_known"
    if seen.total * (1 - Fraction(target)) >= HANDFUL and left(best, target) <= policy.frozen_below:
        expected = "frozen"
    assert rank_of(status(seen, target, Senders("blind", unseen)), policy) == expected
