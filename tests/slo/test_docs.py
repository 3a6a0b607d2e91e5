"""docs/slo.md says what is true."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import msgspec

from server.slo import ledger_store, rules
from server.slo.counts import Counts
from server.slo.policy import MAX_OBJECTIVES, MAX_THRESHOLDS, parse
from server.slo.report import BudgetAnswer
from server.slo.rules import TIERS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "slo.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_its_examples_are_a_policy_beside_the_shipped_one() -> None:
    example, indicator = blocks("yaml")
    policy = parse((ROOT / "slo.yaml").read_text() + "\n---\n" + example)
    assert "checkout-works" in {objective.name for objective in policy.objectives}
    assert parse(indicator).objectives == ()


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
    assert f"at least {rules.HANDFUL} failures" in TEXT
    assert f"less than {rules.LOW_BUDGET * 100:.0f} %" in TEXT
    assert f"to allow {rules.HANDFUL} failures: 500 at 99 %, 5,000 at 99.9 %" in TEXT
    for allowed, enough in ((Fraction(1, 100), 500), (Fraction(1, 1000), 5000)):
        assert rules.judged(Counts(enough), allowed)
        assert not rules.judged(Counts(enough - 1), allowed)
    hours = {300: "5 min", 1800: "30 min", 3600: "1 h", 7200: "2 h", 21600: "6 h", 86400: "24 h"}
    for tier in TIERS:
        assert f"{float(tier.burn):g} or more over {hours[tier.long_s]} *and* {hours[tier.short_s]}" in TEXT
