"""From what is known of an objective to the evidence that alerts are made from."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.live.service import LiveService, RouteVersion, ServicePart
from server.slo.judge.judgement import (
    ALL_ARRIVES,
    Observation,
    Senders,
    evidence_of,
    large,
    objective_status,
    spans,
    tier_states,
)
from server.slo.judge.streams import SILENT, Verdict
from server.slo.ledger.windows import ByWindow
from server.slo.model.budget_policy import BudgetPolicy, PagingPolicy, SeverityRule, severity
from server.slo.model.confidence import surely_exceeds
from server.slo.model.counts import Counts
from server.slo.model.memory import Memory
from server.slo.model.status import Evidence
from server.slo.model.tiers import D3, H1, H6, H24, M5, M30
from tests.slo.judging import live_service, objective

NOW = 1_790_000_000.0
CALM = Counts(1_000_000, 10)
FEW = Counts(140, 10)  # of which nothing can be said of a budget


def judged(
    verdict: Verdict = SILENT,
    windows: dict[int, Counts] | None = None,
    senders: Senders = ALL_ARRIVES,
    service: LiveService | None = None,
    **given: Any,
) -> Evidence:
    held = objective(**given)
    counts = dict.fromkeys((*spans(held.tiers), held.window_s), CALM) | (windows or {})
    known = Observation(held, ByWindow(counts), senders, verdict)
    return evidence_of(known, objective_status(known, NOW), service, PagingPolicy(), NOW)


def alarm(bad: int, total: int, minute: tuple[int, int] = (0, 0), ago_s: int = 40) -> Verdict:
    return Verdict(int(NOW) - ago_s, bad, total, 1.0, minute, end=int(NOW))


FIRST = {H1: Counts(9_000, 1_000), M5: Counts(900, 100)}
THIRD = {H24: Counts(990_000, 10_000), 7200: Counts(99_000, 1_000)}


def test_what_holds_and_whom_it_wakes() -> None:
    calm = judged()
    assert (calm.tier, calm.urgency, calm.due, calm.onset, calm.bad_ratio) == (None, None, False, None, None)
    page = judged(windows=FIRST)
    assert (page.tier, page.urgency, page.due) == ("1h/5m", "page", True)
    assert (page.onset, page.onset_method, page.bad, page.total) == (NOW - 3600, "window", 1000, 10_000)
    assert page.spent == pytest.approx(1000 / (0.001 * CALM.total))
    ticket = judged(windows=THIRD)
    assert (ticket.tier, ticket.urgency, ticket.due) == ("1d/2h", "ticket", True)
    fast = judged(alarm(60, 60), THIRD)
    assert (fast.tier, fast.urgency, fast.onset, fast.onset_method) == ("fast", "page", NOW - 40, "change point")
    both = judged(alarm(60, 60), FIRST)
    assert (both.tier, both.onset, both.bad) == ("1h/5m", NOW - 40, 60)


@pytest.mark.parametrize(
    ("verdict", "due"),
    [
        (alarm(2, 2), False),  # two may be one person
        (alarm(3, 3), True),  # all fail
        (alarm(4, 100), False),  # 4 % is shown, and nobody is woken yet
        (alarm(4, 40), True),  # a tenth fails
        (alarm(6, 600), True),  # half a per cent of the budget, here 1,000 failures, is spent
        (alarm(6, 10_000), False),  # less than is tolerated
    ],
)
def test_the_fast_test_is_told_when_it_matters(verdict: Verdict, due: bool) -> None:
    assert judged(verdict).due == due


def test_a_large_failure_is_large_by_the_objective_too() -> None:
    """Of a service of which a tenth may fail, a fifth must."""
    calm = dict.fromkeys((M5, H1, H6, M30, H24, 7200, D3, 28 * 86_400), Counts(9_000_000, 90_000))
    assert not judged(alarm(1_300, 10_000), calm, target="0.9").due
    assert not judged(alarm(1_999, 10_000), calm, target="0.9").due
    assert judged(alarm(2_000, 10_000), calm, target="0.9").due


@given(
    st.integers(1, 10**9), st.integers(1, 10**6), st.integers(1, 100), st.sampled_from(["0.9", "0.95", "0.99", "0.999"])
)
def test_what_may_wake_somebody_is_compared_exactly(total: int, bad: int, percent: int, target: str) -> None:
    """Against Fraction, at thresholds of whole per cents."""
    share, since = Fraction(percent, 100), Counts(max(bad, total) - bad, bad)
    whole, allowed = Counts(10 * total, 0), 1 - Fraction(target)
    enough = Fraction(bad) / (allowed * whole.total) >= share
    enough |= Fraction(bad, since.total) >= max(share, 2 * allowed)
    sure = surely_exceeds(since.bad, since.total, float(allowed))
    assert large(since, whole, allowed, PagingPolicy(share, share)) == (sure and enough)


@pytest.mark.parametrize("percent", range(1, 100))
def test_a_severity_begins_exactly_at_its_ratio(percent: int) -> None:
    at = replace(BudgetPolicy(), severities=(SeverityRule(1, Fraction(percent, 100)), SeverityRule(3, Fraction(0))))
    for total, bad, expected in ((700, 7 * percent, 1), (700, 7 * percent - 1, 3)):
        found = judged(alarm(bad, total, minute=(bad, total), ago_s=400))
        read = msgspec.json.decode(msgspec.json.encode(found), type=Evidence)
        assert severity(at, read.impact) == expected


def test_nothing_is_known_while_outcomes_do_not_arrive() -> None:
    assert not judged(senders=Senders("blind", 100)).known
    assert not judged(alarm(60, 60), senders=Senders("partial", 100)).known
    assert judged().known


def test_the_impact_is_of_the_last_minute_with_traffic() -> None:
    assert judged(alarm(60, 100, minute=(10, 40), ago_s=400)).bad_ratio == 0.25
    assert judged(alarm(60, 60, minute=(60, 400))).bad_ratio == 1  # what was healthy before the onset dilutes nothing
    assert judged(alarm(60, 100, minute=(1, 2), ago_s=400)).bad_ratio == 0.6  # of two a ratio says nothing
    assert judged(alarm(60, 100)).bad_ratio == 0.6
    assert judged(windows=FIRST).bad_ratio == 0.1


def test_the_budget_is_gone_by_the_rate_of_the_last_minute_while_it_burns() -> None:
    held = objective()

    def gone(verdict: Verdict) -> tuple[float | None, int]:
        counts = dict.fromkeys((*spans(held.tiers), held.window_s), CALM) | {H1: Counts(9_950, 50)}
        status = objective_status(Observation(held, ByWindow(counts), ALL_ARRIVES, verdict), NOW)
        assert status.minute is not None
        return status.exhausted_in_s, status.minute.bad

    left = 0.99001 * held.window_s  # at a burn rate of 1
    assert gone(SILENT) == (pytest.approx(left / 5, rel=1e-4), 0)  # of the last hour
    assert gone(alarm(60, 100, minute=(10, 40), ago_s=400)) == (pytest.approx(left / 250, rel=1e-4), 10)
    assert gone(alarm(60, 100, minute=(0, 40), ago_s=400)) == (None, 0)  # nothing is used up any more


def test_a_version_is_likely_where_it_fails_more_than_the_others() -> None:
    def served(versions: list[ServicePart], worst: ServicePart) -> LiveService:
        return live_service("shop", n=100, bad=20, versions=versions, worst_version=worst)

    old, new = ServicePart("v1", 80, 2), ServicePart("v2", 20, 18)
    verdict = alarm(60, 100)
    assert judged(verdict, service=served([old, new], new)).likely == "version v2"
    assert (
        judged(
            verdict, service=served([ServicePart("v1", 95, 18), ServicePart("v2", 5, 2)], ServicePart("v1", 95, 18))
        ).likely
        == ""
    )
    assert judged(verdict, service=served([ServicePart("v2", 100, 20)], ServicePart("v2", 100, 20))).likely == ""
    assert judged(service=served([old, new], new)).likely == ""


def test_a_version_that_serves_the_worse_route_is_not_likely() -> None:
    rows = [
        RouteVersion("GET /pay", "v1", 9_000, 900),
        RouteVersion("GET /home", "v1", 1_000, 10),
        RouteVersion("GET /pay", "v2", 100, 100),
        RouteVersion("GET /home", "v2", 9_900, 99),
    ]
    versions = [ServicePart("v1", 10_000, 910), ServicePart("v2", 10_000, 199)]
    service = live_service("shop", n=20_000, bad=1_109, versions=versions, worst_version=versions[0], by_route=rows)
    assert judged(alarm(60, 100), service=service).likely == "version v2"
    rows[2] = RouteVersion("GET /pay", "v2", 100, 10)
    assert judged(alarm(60, 100), service=service).likely == "", "alike on every route"


def test_nobody_is_woken_by_what_was_before_anybody_listened() -> None:
    """An objective that is added after an outage: its ledger burns, and whether it goes on is not known yet."""
    for heard_s, due in ((10, False), (59, False), (60, True)):
        end = int(NOW)
        verdict = Verdict(None, 0, 0, 0.0, (0, 0), Memory(minutes=[0], heard=end - heard_s, since=end - heard_s), end)
        assert judged(verdict, FIRST).due == due
    quiet = Memory(minutes=[0], heard=end - 30, since=end - 30, total=2000)
    assert judged(Verdict(None, 0, 0, 0.0, (0, 0), quiet, end), FIRST).tier is None


@pytest.mark.parametrize(
    ("name", "heard_s", "whole", "due"),
    [
        ("evenkeel", 179, CALM, False),
        ("evenkeel", 180, CALM, True),
        ("a", 5, CALM, True),
        ("evenkeel", 180, FEW, False),
        ("a", 5, FEW, True),
    ],
)
def test_evenkeel_wakes_nobody_of_its_first_start_nor_of_a_few_requests(
    name: str, heard_s: int, whole: Counts, due: bool
) -> None:
    held, end = objective(service=name), int(NOW)
    verdict = replace(alarm(3, 3), memory=Memory(minutes=[end], heard=end - heard_s, since=end - heard_s))
    counts = ByWindow(dict.fromkeys(spans(held.tiers), CALM) | {held.window_s: whole})
    known = Observation(held, counts, ALL_ARRIVES, verdict)
    found = evidence_of(known, objective_status(known, NOW), None, PagingPolicy(), NOW)
    assert (found.tier, found.due) == ("fast", due), "it is shown"


def test_other_windows_and_targets_scale_the_tiers() -> None:
    month, week = objective(window_days=30), objective(window_days=7)
    assert [float(tier.burn) for tier in month.tiers] == [14.4, 6, 3, 1]
    assert [float(tier.burn) for tier in week.tiers] == pytest.approx([3.36, 1.4, 1, 1])
    assert [tier.name for tier in objective("0.9").tiers] == ["6h/30m", "1d/2h", "3d/6h"]  # 13.44 * 0.1 is above 1
    assert {(t.long_s, t.short_s) for t in month.tiers} == {(H1, M5), (H6, M30), (H24, 7200), (D3, H6)}


def test_each_tier_that_burns_says_how_it_stands() -> None:
    """Windows that all burn: why one holds and another does not is said of each."""
    held, end = objective(), int(NOW)
    hot = dict.fromkeys(spans(held.tiers), Counts(9_000, 1_000))
    names = [tier.name for tier in held.tiers]

    def states(counts: dict[int, Counts], memory: Memory) -> dict[str, str]:
        return dict(tier_states(held.tiers, counts, held.allowed, memory, end))

    assert states(hot, Memory()) == dict.fromkeys(names, "holds")
    after = states(hot, Memory(since=end - 600, total=20_000))  # ten minutes without a failure since the alarm
    assert after == {"1h/5m": "holds", "6h/30m": "over", "1d/2h": "over", "3d/6h": "over"}
    few = dict.fromkeys(spans(held.tiers), Counts(90, 3))
    assert states(few, Memory([end - 60]))["3d/6h"] == "one_client"
    assert states(few, Memory([end - 60]))["1h/5m"] == "unsure"
    assert states({**hot, M5: CALM, M30: CALM}, Memory()).keys() == {"1d/2h", "3d/6h"}
