"""The ErrorBudgetPolicy of slo.yaml: every field reaches the policy, and faults are named."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from server.slo.model.budget_policy import Allowance, BudgetPolicy, Defaults, PagingPolicy, SeverityRule, SignalPolicy
from server.slo.policy.policy import parse
from tests.examples import examples
from tests.slo.making import service
from tests.slo.policy.spoiling import found_problems, problems, spoil

SHIPPED = (Path(__file__).parents[3] / "slo.yaml").read_text()

WHOLE = """
---
apiVersion: evenkeel/v1
kind: ErrorBudgetPolicy
metadata:
  name: ours
spec:
  states:
    healthy:
      allows: [deploy, revision, scale]
      exceptions: [p0]
    caution:
      below: 0.5
      allows: [deploy]
      exceptions: [security]
    frozen:
      atMost: 0.1
      allows: [scale]
      exceptions: [p0]
  blind: deny
  severities:
    - severity: 1
      badRatio: 0.3
    - severity: 3
      badRatio: 0
  postmortemShare: 0.3
  exclusionsMaxHours: 12
  dependsOn:
    shop: [pay, mail]
    pay: [mail]
  paging:
    spent: 0.01
    badRatio: 0.2
  defaults:
    target: 0.95
    window: 1w
  signals:
    serviceLabels: [app, job]
    opens: [Page, p1]
    notHeardHours: 5
"""
THREE = service("shop") + service("pay") + service("mail")


def test_every_field_of_the_document_reaches_the_policy() -> None:
    found = parse(THREE + WHOLE).budget_policy
    assert found == BudgetPolicy(
        caution_below=Fraction(1, 2),
        frozen_below=Fraction(1, 10),
        allows={
            "healthy": Allowance(("deploy", "revision", "scale"), ("p0",)),
            "caution": Allowance(("deploy",), ("security",)),
            "frozen": Allowance(("scale",), ("p0",)),
        },
        blind="deny",
        postmortem_share=Fraction(3, 10),
        exclusions_max_hours=12,
        severities=(SeverityRule(1, Fraction(3, 10)), SeverityRule(3, Fraction(0))),
        depends_on={"shop": ("pay", "mail"), "pay": ("mail",)},
        defaults=Defaults(Fraction(95, 100), 7),
        paging=PagingPolicy(Fraction(1, 100), Fraction(1, 5)),
        signals=SignalPolicy(("app", "job"), ("page", "p1"), 5),
    )
    usual = BudgetPolicy()
    assert all(getattr(found, one.name) != getattr(usual, one.name) for one in fields(usual))  # none was forgotten


def test_a_file_without_the_document_or_with_an_empty_one_has_the_usual_policy() -> None:
    assert parse(THREE).budget_policy == BudgetPolicy()
    head = WHOLE.partition("spec:")[0]
    assert parse(head).budget_policy == parse(head + "spec: {}").budget_policy == BudgetPolicy()


def test_the_shipped_file_gives_each_service_a_provisional_objective() -> None:
    assert parse(SHIPPED).budget_policy.defaults == Defaults(Fraction(99, 100), 28)


ODD = [
    ("below: 0.5", "below: 0.05", "spec.states.frozen.atMost", "caution never holds"),
    ("below: 0.5", "below: 1.5", "spec.states.caution.below", "from -10 to 1"),
    ("below: 0.5", "below: .inf", "spec.states.caution.below", "from -10 to 1"),
    ("below: 0.5", "below: 1e-999999999", "spec.states.caution.below", "decimals"),
    ("allows: [deploy]", "allows: [deplyo]", "spec.states.caution.allows[0]", "deplyo"),
    ("exceptions: [security]", "exceptions: [normal]", "spec.states.caution.exceptions[0]", "normal"),
    ("blind: deny", "blind: perhaps", "spec.blind", "perhaps"),
    ("severity: 3", "severity: 1", "spec.severities[1].severity", "worst first"),
    ("severity: 3", "severity: 4", "spec.severities[1].severity", "<= 3"),
    ("badRatio: 0\n", "badRatio: 0.3\n", "spec.severities[1].badRatio", "never applies"),
    ("badRatio: 0\n", "badRatio: 0.1\n", "spec.severities", "floor"),
    ("postmortemShare: 0.3", "postmortemShare: 0", "spec.postmortemShare", "above 0"),
    ("exclusionsMaxHours: 12", "exclusionsMaxHours: -1", "spec.exclusionsMaxHours", ">= 0"),
    ("shop: [pay, mail]", "shop: [pya]", "spec.dependsOn.shop[0]", "no Service document of the name pya"),
    ("pay: [mail]", "pya: [mail]", "spec.dependsOn.pya", "no Service document of the name pya"),
    ("pay: [mail]", "pay: [shop]", "spec.dependsOn", "goes in a circle: "),
    ("pay: [mail]", "pay: [pay]", "spec.dependsOn.pay", "goes in a circle: pay -> pay"),
    ("target: 0.95", "target: 1", "spec.defaults.target", "above 0 and below 1"),
    ("target: 0.95", "targetPercent: 100", "spec.defaults.targetPercent", "below 100"),
    ("window: 1w", "window: 1M", "spec.defaults.window", "from 1d to 90d"),
    ("spent: 0.01", "spnet: 0.01", "spec.paging.spnet", "not a field"),
    ("evenkeel/v1", "openslo/v1", "apiVersion", "openslo/v1"),
]


@pytest.mark.parametrize(("old", "new", "field", "reason"), ODD)
def test_each_fault_is_named_with_its_line(old: str, new: str, field: str, reason: str) -> None:
    source = (THREE + WHOLE).replace(old, new, 1)
    found = problems(source)
    assert any(f": {field}" in each and reason in each for each in found), found
    assert all(int(each.split(":")[1]) > THREE.count("\n") for each in found)  # in this document


def test_there_is_one_policy_at_most() -> None:
    assert "second one" in problems(THREE + WHOLE + WHOLE.replace("name: ours", "name: theirs"))[0]


def test_a_long_chain_of_dependencies_is_no_circle() -> None:
    names = [f"s{n}" for n in range(1500)]
    document = yaml.safe_load(WHOLE) | {"spec": {"dependsOn": {a: [b] for a, b in pairwise(names)}}}
    source = "".join(map(service, names)) + "---\n" + yaml.safe_dump(document)
    assert len(parse(source).budget_policy.depends_on) == 1499


@given(st.data())
@settings(max_examples=examples(80), deadline=None)
def test_any_value_anywhere_is_read_or_refused_with_a_line(data: st.DataObject) -> None:
    document = yaml.safe_load(WHOLE)
    spoil(data, document)
    source = THREE + "---\n" + yaml.safe_dump(document)
    assert all(1 <= one.line <= source.count("\n") + 1 and one.reason for one in found_problems(source))
