"""Alert policies of slo.yaml: what they become, and what is refused with its line and field."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from server.slo.model.tiers import Tier, tiers_for
from server.slo.policy.lint import lint
from server.slo.policy.policy import parse
from tests.examples import examples
from tests.slo.making import FAST, SLOW, availability, objective, service, tier
from tests.slo.policy.spoiling import found_problems, problems, spoil


def test_each_alert_policy_is_a_tier_as_it_is_written_whatever_its_order() -> None:
    one = parse(objective("slow", "fast") + FAST + SLOW).objectives[0]
    assert one.tiers == (
        Tier(Fraction("14.4"), 3600, 300, "page"),
        Tier(Fraction(1), 259_200, 43_200, "ticket"),
    )


def test_without_alert_policies_the_tiers_are_the_books_scaled() -> None:
    one = parse(service("shop") + availability("works", "shop", days=7)).objectives[0]
    assert one.own_tiers is None
    assert one.tiers == tiers_for(7 * 86_400, Fraction(1, 1000))


def test_policies_and_conditions_may_stand_in_place() -> None:
    conditions = ", ".join(
        f"{{kind: AlertCondition, metadata: {{name: c{window}}}, spec: {{severity: page,"
        f" condition: {{threshold: 6, lookbackWindow: {window}}}}}}}"
        for window in ("6h", "30m")
    )
    inline = f"{{kind: AlertPolicy, metadata: {{name: p}}, spec: {{conditions: [{conditions}]}}}}"
    one = parse(objective(inline, "{alertPolicyRef: fast}") + FAST).objectives[0]
    assert [each.name for each in one.tiers] == ["1h/5m", "6h/30m"]


def test_a_tier_that_can_never_fire_is_refused_with_the_arithmetic() -> None:
    found = problems(objective("fast", target=0.9) + FAST)
    line = objective("fast").splitlines().index("    - fast") + 1
    where = f"slo.yaml:{line}: SLO works: spec.alertPolicies[0]"
    assert found == [f"{where}: 14.4 x (1 - 0.9) = 1.44 > 1: even a total outage burns at 10"]
    assert parse(objective("fast", target=0.94) + FAST).objectives[0].tiers  # 0.864: it can
    edge = tier("edge", 10, "1h", "5m")
    assert parse(objective("edge", target=0.9) + edge).objectives[0].tiers  # exactly 1: only a total outage


ODD = [
    ("lookbackWindow: 1h", "lookbackWindow: 5m", "spec.conditions", "both look back 5m"),
    ("lookbackWindow: 1h", "lookbackWindow: 90s", "spec.condition.lookbackWindow", "from 1m to 7d"),
    ("lookbackWindow: 1h", "lookbackWindow: 8d", "spec.condition.lookbackWindow", "from 1m to 7d"),
    ("lookbackWindow: 1h", "lookbackWindow: 1M", "spec.condition.lookbackWindow", "from 1m to 7d"),
    ("threshold: 14.4", "threshold: 6", "spec.conditions", "the thresholds are 6 and 14.4"),
    ("threshold: 14.4", "threshold: 0.5", "spec.condition.threshold", "from 1 to"),
    ("threshold: 14.4", "threshold: 1e+999999999", "spec.condition.threshold", "from 1 to"),
    ("threshold: 14.4", "threshold: .nan", "spec.condition.threshold", "from 1 to"),
    ("severity: page", "severity: ticket", "spec.conditions", "the severities are"),
    ("severity: page", "severity: sev1", "spec.severity", "page, which wakes somebody, or ticket"),
    ("op: gte", "op: gt", "spec.condition.op", "write gte"),
    ("alertAfter: 0m", "alertAfter: 5m", "spec.condition.alertAfter", "the short window does that"),
    ("kind: burnrate", "kind: budget", "spec.condition.kind", "budget"),
    ("alertWhenBreaching: true", "alertWhenBreaching: false", "spec.alertWhenBreaching", "write true"),
    ("alertWhenBreaching: true", "alertWhenNoData: true", "spec.alertWhenNoData", "blind"),
    ("alertWhenBreaching: true", "alertWhenResolved: false", "spec.alertWhenResolved", "told"),
    (
        "alertWhenBreaching: true",
        "notificationTargets: [{kind: AlertNotificationTarget, metadata: {name: on-call}, spec: {target: x}}]",
        "spec.notificationTargets[0]",
        "stands in Setup",
    ),
    (
        "  conditions:\n    - conditionRef: fast-1h\n    - conditionRef: fast-5m\n",
        "  conditions: []\n",
        "spec.conditions",
        "one",
    ),
    (
        "    - conditionRef: fast-5m\n",
        "    - conditionRef: fast-5m\n    - conditionRef: fast-5m\n",
        "spec.conditions",
        "give one condition, or two",
    ),
    ("conditionRef: fast-5m", "conditionRef: fats-5m", "spec.conditions[1].conditionRef", "fats-5m"),
    ("    - fast\n", "    - fats\n", "spec.alertPolicies[0]", "no AlertPolicy document of the name fats"),
    ("    - fast\n", "    - {}\n", "spec.alertPolicies[0]", "give the name"),
    ("    - fast\n", "    - fast\n    - fast\n", "spec.alertPolicies[1]", "second tier over 1h/5m"),
]


@pytest.mark.parametrize(("old", "new", "field", "reason"), ODD)
def test_each_fault_of_an_alert_policy_is_named(old: str, new: str, field: str, reason: str) -> None:
    found = problems((objective("fast") + FAST).replace(old, new, 1))
    assert any(f": {field}: " in each and reason in each for each in found), found


ONE = """
- apiVersion: openslo/v1
  kind: AlertPolicy
  metadata:
    name: {name}
  spec:
    alertWhenBreaching: true
    conditions:
      - kind: AlertCondition
        metadata:
          name: burns
        spec:
          severity: page
          condition:
            kind: burnrate
            op: gte
            threshold: 14.4
            lookbackWindow: {window}
    notificationTargets:
      - targetRef: on-call
"""


@pytest.mark.parametrize(
    ("window", "short_s"),
    [("1h", 300), ("6h", 1800), ("1d", 7200), ("3d", 21_600), ("30m", 180), ("10m", 60), ("2m", 60), ("1w", 50_400)],
)
def test_one_condition_is_a_tier_whose_short_window_is_the_workbooks_twelfth(window: str, short_s: int) -> None:
    (found,) = parse(objective("one") + "---" + ONE.format(name="one", window=window)).objectives[0].tiers
    assert (found.burn, found.short_s, found.urgency) == (Fraction("14.4"), short_s, "page")
    assert found.long_s > found.short_s


def test_a_single_condition_that_has_no_twelfth_is_refused_in_one_sentence() -> None:
    (found,) = problems(objective("one") + "---" + ONE.format(name="one", window="1m"))
    assert "AlertPolicy one: spec.conditions[0].spec.condition.lookbackWindow: is 1m; give at least 2m" in found


def test_whom_an_alert_policy_names_is_said_by_lint() -> None:
    inline = "{kind: AlertPolicy, metadata: {name: p}, spec: {conditions: [{conditionRef: fast-1h}]%s}}"
    named = objective(inline % ", notificationTargets: [{targetRef: night}]") + FAST
    policy = parse(objective("one") + "---" + ONE.format(name="one", window="1h"))
    assert [each.reason for each in policy.untold] == [
        "it names whom to tell (on-call), and those in Setup are told",
    ]
    assert ["(night)" in each.reason for each in parse(named).untold] == [True]
    assert any("whom to tell (on-call)" in each.what for each in lint(policy))
    assert parse(objective("fast") + FAST).untold == ()


WINDOWS = st.sampled_from([("1m", 60), ("90m", 5400), ("7h", 25_200), ("3d", 259_200), ("1w", 604_800)])


@given(
    st.tuples(WINDOWS, WINDOWS).filter(lambda both: both[0] != both[1]),
    st.decimals(1, 1000, places=4, allow_nan=False, allow_infinity=False),
    st.sampled_from(["page", "ticket"]),
)
@settings(max_examples=examples(60), deadline=None)
def test_any_tier_that_can_be_written_is_read_as_written(both: Any, burn: Decimal, urgency: Any) -> None:
    (first, one_s), (second, other_s) = both
    written = tier("t", burn, first, second, urgency)
    (found,) = parse(objective("t") + written).objectives[0].tiers
    assert found == Tier(Fraction(burn), max(one_s, other_s), min(one_s, other_s), urgency)


@given(st.data())
@settings(max_examples=examples(60), deadline=None)
def test_any_value_anywhere_in_the_alert_documents_is_read_or_refused_with_a_line(data: st.DataObject) -> None:
    documents = list(yaml.safe_load_all(objective("fast") + FAST))
    spoil(data, data.draw(st.sampled_from(documents[1:])))  # the first is the Service
    source = yaml.safe_dump_all(documents)
    assert all(1 <= one.line <= source.count("\n") + 1 and one.reason for one in found_problems(source))


def test_an_alert_policy_that_nobody_uses_is_checked_too() -> None:
    assert "from 1m to 7d" in problems(tier("idle", 2, "1h", "8d"))[0]


def test_the_windows_of_a_file_are_bounded() -> None:
    many = "".join(tier(f"t{n}", 2, f"{n + 60}m", f"{n + 1}m") for n in range(13))
    slos = "".join(availability(f"o{n}", "shop") + f"  alertPolicies: [t{n}]\n" for n in range(13))
    assert "more than 24 different windows" in problems(service("shop") + slos + many)[0]
