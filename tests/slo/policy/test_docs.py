"""docs/slo.md says what is true."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import msgspec

from server.slo.api.answers import BudgetAnswer
from server.slo.ledger import ledger_store
from server.slo.model import budget, confidence
from server.slo.model.budget_policy import BudgetPolicy, Defaults
from server.slo.model.counts import Counts
from server.slo.model.tiers import WORKBOOK, span
from server.slo.policy.policy import MAX_OBJECTIVES, MAX_THRESHOLDS, parse
from tests.slo.making import SHOP, service

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "slo.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_its_examples_are_a_policy_beside_the_shipped_one() -> None:
    example, indicator, monthly, tier, asked, budget = blocks("yaml")
    shipped = (ROOT / "slo.yaml").read_text()
    policy = parse(shipped + "\n---\n" + example)
    assert "checkout-works" in {objective.name for objective in policy.objectives}
    rolls = "  timeWindow:\n    - duration: 28d                # 1d to 90d, or weeks: 4w\n      isRolling: true\n"
    assert rolls in example
    follows = parse(shipped + "\n---\n" + example.replace(rolls, monthly)).objectives[-1]
    assert follows.text == "99.9 % of requests succeed, each month (Europe/Berlin)"
    assert parse(indicator).objectives == ()
    second = tier.replace("fast-burn", "slow-burn").replace("burns-over-1h", "burns-over-6h")
    second = second.replace("1h", "6h").replace("5m", "30m")
    held = parse("---\n".join((SHOP + asked, tier, second))).objectives[1]
    assert [(one.name, one.urgency) for one in held.tiers] == [("1h/5m", "page"), ("6h/30m", "page")]
    described = parse(service("checkout") + service("payments") + "---\n" + budget).budget_policy
    assert described == replace(BudgetPolicy(), defaults=Defaults(), depends_on={"checkout": ("payments",)})
    assert parse(shipped).budget_policy == replace(described, depends_on={})


def test_its_answer_is_the_apis() -> None:
    (example,) = blocks("json")
    answer = msgspec.json.decode(example, type=BudgetAnswer)
    assert answer.total == answer.good + answer.bad
    fields = {field.encode_name for field in msgspec.structs.fields(BudgetAnswer)}
    assert set(msgspec.json.decode(example)) == fields


def test_its_numbers_are_the_codes() -> None:
    assert f"{MAX_OBJECTIVES} objectives" in TEXT
    assert f"{MAX_THRESHOLDS}\ndifferent latency thresholds" in TEXT
    assert f"minute ({ledger_store.MINUTES_KEPT_DAYS} days)" in TEXT
    assert f"({ledger_store.HOURS_KEPT_DAYS}\ndays)" in TEXT
    assert f"at least {confidence.FEWEST} failures" in TEXT
    assert f"less than {budget.LOW_BUDGET * 100:.0f} %" in TEXT
    assert f"to allow {budget.HANDFUL} failures: 500 at 99 %, 5,000 at 99.9 %" in TEXT
    for allowed, enough in ((Fraction(1, 100), 500), (Fraction(1, 1000), 5000)):
        assert budget.judged(Counts(enough), allowed)
        assert not budget.judged(Counts(enough - 1), allowed)
    for tier in WORKBOOK:
        row = f"| {float(tier.burn):g} | {span(tier.long_s)} | {span(tier.short_s)} | {tier.urgency} |"
        assert row in TEXT
