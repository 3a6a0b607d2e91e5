"""The policy file: what is read, and what is refused with its line and field."""

from __future__ import annotations

import time
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.slo.model.calendar import Calendar
from server.slo.model.objective import Objective, PolicyError
from server.slo.policy.policy import parse
from tests.examples import examples
from tests.slo.making import SHOP, availability, latency, service
from tests.slo.policy.spoiling import found_problems, problems

SHIPPED = (Path(__file__).parents[3] / "slo.yaml").read_text()


def test_the_shipped_file_holds_evenkeel_to_its_two_objectives() -> None:
    policy = parse(SHIPPED)
    works, fast = policy.objectives
    assert (works.service, works.kind, works.target, works.window_days) == (
        "evenkeel",
        "availability",
        Fraction(999, 1000),
        28,
    )
    assert (fast.service, fast.kind, fast.target, fast.threshold_us) == (
        "evenkeel",
        "latency",
        Fraction(99, 100),
        300_000,
    )
    assert policy.thresholds_us() == {"evenkeel": (300_000,)}


def test_good_and_bad_of_all_are_the_same_indicator() -> None:
    good_form = SHOP.replace("bad:\n          metricSource:", "good:\n          metricSource:", 1)
    good_form = good_form.replace("count: bad", "count: good", 1)
    assert parse(good_form).objectives[0].indicator == parse(SHOP).objectives[0].indicator


def test_a_target_is_exact_however_it_is_written() -> None:
    assert parse(service("a") + availability("x", "a", target=0.9995)).objectives[0].target == Fraction(9995, 10000)
    assert parse(service("a") + latency("x", "a", percent=99.95)).objectives[0].target == Fraction(9995, 10000)


def test_another_target_or_window_keeps_the_ledger_and_another_threshold_does_not() -> None:
    def one(**given: float) -> Objective:
        return parse(service("a") + latency("x", "a", **given)).objectives[0]  # type: ignore[arg-type]

    assert one().indicator == one(percent=95, days=7).indicator
    assert one().indicator != one(at_most_ms=250).indicator


UTC_MONTH = "calendar: {startTime: 2026-01-01 00:00:00, timeZone: UTC}"


def of_a_calendar(duration: str, calendar: str, rolling: str = "") -> str:
    window = f"    - duration: {duration}\n      calendar: {calendar}\n{rolling}"
    rolls = "    - duration: 28d\n      isRolling: true\n"
    return service("shop") + availability("works", "shop").replace(rolls, window)


@pytest.mark.parametrize(
    ("duration", "days", "every"),
    [
        ("1M", 30, Calendar(1, "month", datetime(2026, 1, 1, 12), "Europe/Berlin")),
        ("1Q", 90, Calendar(3, "month", datetime(2026, 1, 1, 12), "Europe/Berlin")),
        ("2w", 14, Calendar(2, "week", datetime(2026, 1, 1, 12), "Europe/Berlin")),
        ("1d", 1, Calendar(1, "day", datetime(2026, 1, 1, 12), "Europe/Berlin")),
    ],
)
@pytest.mark.parametrize("start", ["2026-01-01 12:00:00", "'2026-01-01 12:00:00'", "2026-01-01T12:00"])
def test_a_window_may_follow_the_calendar(start: str, duration: str, days: int, every: Calendar) -> None:
    calendar = f"{{startTime: {start}, timeZone: Europe/Berlin}}"
    for rolling in ("", "      isRolling: false\n"):
        (one,) = parse(of_a_calendar(duration, calendar, rolling)).objectives
        assert (one.window_days, one.calendar) == (days, every)
    assert one.text == f"99.9 % of requests succeed, {every.text}"


@pytest.mark.parametrize(
    ("duration", "calendar", "field", "reason"),
    [
        ("1Y", "{startTime: 2026-01-01 00:00:00, timeZone: UTC}", "duration", "1w, 1M or 1Q"),
        ("4M", "{startTime: 2026-01-01 00:00:00, timeZone: UTC}", "duration", "3M"),
        ("12h", "{startTime: 2026-01-01 00:00:00, timeZone: UTC}", "duration", "1w, 1M or 1Q"),
        ("1M", "{startTime: 2026-01-01 00:00:07, timeZone: UTC}", "calendar.startTime", "whole minute"),
        ("1M", "{startTime: 2026-01-01T00:00:00Z, timeZone: UTC}", "calendar.startTime", "without a zone"),
        ("1M", "{startTime: 9999-12-31, timeZone: UTC}", "calendar.startTime", "whole minute"),
        ("1M", "{startTime: the first, timeZone: UTC}", "calendar.startTime", "whole minute"),
        ("1M", "{startTime: 2026-01-01, timeZone: Europe/Berlim}", "calendar.timeZone", "IANA"),
        ("1M", "{startTime: 2026-01-01, timeZone: America}", "calendar.timeZone", "IANA"),
        ("1M", "{startTime: 2026-01-01, timeZone: ../../etc/passwd}", "calendar.timeZone", "IANA"),
        ("1M", "{startTime: 2026-01-01, timeZone: ''}", "calendar.timeZone", "IANA"),
        ("1M", "{startTime: 2026-01-01}", "calendar.timeZone", "is missing"),
    ],
)
def test_a_calendar_that_cannot_be_kept_is_refused(duration: str, calendar: str, field: str, reason: str) -> None:
    (found,) = problems(of_a_calendar(duration, calendar))
    assert f"SLO works: spec.timeWindow[0].{field}: " in found
    assert reason in found


WRONG = [
    # what is replaced, by what, the field that is named, the line that is named, the reason
    ("target: 0.999", "target: 1.0", "spec.objectives[0].target", "target:", "above 0 and below 1"),
    ("target: 0.999", "target: 0", "spec.objectives[0].target", "target:", "above 0 and below 1"),
    ("target: 0.999", "target: .nan", "spec.objectives[0].target", "target:", "above 0 and below 1"),
    ("target: 0.999", "target: 1e-999999999", "spec.objectives[0].target", "target:", "7 decimals"),
    ("target: 0.999", "target: 1e+999999999", "spec.objectives[0].target", "target:", "above 0 and below 1"),
    ("target: 0.999", "target: 0.99999999", "spec.objectives[0].target", "target:", "7 decimals"),
    ("target: 0.999", "target: true", "spec.objectives[0].target", "target:", "got `bool`"),
    ("target: 0.999", "tarket: 0.999", "spec.objectives[0].tarket", "tarket:", "not a field"),
    ("target: 0.999", "op: lte", "spec.objectives[0].op", "op:", "thresholdMetric"),
    ("target: 0.999", "displayName: all", "spec.objectives[0]", "displayName:", "one of target and targetPercent"),
    ("duration: 28d", "duration: 1M", "spec.timeWindow[0].duration", "duration:", "from 1d to 90d"),
    ("duration: 28d", "duration: 91d", "spec.timeWindow[0].duration", "duration:", "from 1d to 90d"),
    ("isRolling: true", "isRolling: false", "spec.timeWindow[0].calendar", "duration:", "give startTime and timeZone"),
    ("      isRolling: true\n", "", "spec.timeWindow[0].isRolling", "duration:", "is missing"),
    (
        "isRolling: true",
        f"isRolling: true\n      {UTC_MONTH}",
        "spec.timeWindow[0].calendar",
        "calendar:",
        "do not roll",
    ),
    ("Occurrences", "Timeslices", "spec.budgetingMethod", "budgetingMethod:", "Timeslices"),
    ("service: shop", "service: shpo", "spec.service", "service:", "no Service document of the name shpo"),
    ("count: bad", "count: good", "spec.indicator.spec.ratioMetric.bad", "bad:", "count it in one of these ways"),
    (
        "count: all",
        "count: all\n              at_most_ms: 5",
        "spec.indicator.spec.ratioMetric.bad",
        "bad:",
        "count it",
    ),
    ("type: evenkeel", "type: x", "spec.indicator.spec.ratioMetric.bad.metricSource.type", "type: x", "'x'"),
    ("name: shop-works", "name: Shop works", "metadata.name", "name: Shop works", "lower-case"),
    ("openslo/v1", "openslo/v2", "apiVersion", "openslo/v2", "openslo/v2"),
    ("kind: SLO", "kind: AlertNotificationTarget", "kind", "AlertNotificationTarget", "stands in Setup"),
    ("kind: SLO", "kind: SloPolicy", "kind", "SloPolicy", "SloPolicy"),
    ("  name: shop-works\n", "  name: a\n  name: b\n", "metadata.name", "name: b", "twice"),
    ("metadata:\n  name: shop\n", "metadata: {}\n", "metadata.name", "metadata: {}", "missing"),
]


@pytest.mark.parametrize(("old", "new", "field", "marker", "reason"), WRONG)
def test_each_fault_is_named_with_line_and_field(old: str, new: str, field: str, marker: str, reason: str) -> None:
    source = (service("shop") + availability("shop-works", "shop")).replace(old, new, 1)
    line = next(number for number, text in enumerate(source.splitlines(), 1) if marker in text)
    found = problems(source)
    assert any(each.startswith(f"slo.yaml:{line}: ") and f": {field}: " in each and reason in each for each in found), (
        found
    )


@pytest.mark.parametrize("at_most_ms", ["1e-999999999", "1e+999999999", "0", "-1", "0.0001", "600001", ".inf"])
def test_a_threshold_is_whole_microseconds_within_bounds(at_most_ms: str) -> None:
    source = (service("a") + latency("x", "a")).replace("at_most_ms: 300", f"at_most_ms: {at_most_ms}")
    assert "milliseconds above 0 and up to 600000" in problems(source)[0]


def test_all_faulty_documents_are_named_at_once_in_order() -> None:
    source = service("a") + availability("x", "a", target=2) + latency("y", "b") + latency("y", "a")
    assert [each.split(": ")[1:3] for each in problems(source)] == [
        ["SLO x", "spec.objectives[0].target"],
        ["SLO y", "spec.service"],
        ["SLO y", "metadata.name"],
    ]


def test_a_reference_to_an_indicator_that_is_not_there() -> None:
    source = SHIPPED.replace("indicatorRef: good-outcomes", "indicatorRef: godo-outcomes")
    assert "spec.indicatorRef: there is no SLI document of the name godo-outcomes" in problems(source)[0]


SEQUENCE = """
# The objects of a file as one list, as other tools write them.
- apiVersion: openslo/v1
  kind: Service
  metadata:
    name: shop
- apiVersion: openslo/v1
  kind: Service
  metadata:
    name: cart
"""


def test_a_sequence_of_objects_is_read_as_if_they_were_separate_documents() -> None:
    works = availability("works", "shop") + availability("cart-works", "cart")
    apart = service("shop") + service("cart") + works
    assert parse(SEQUENCE + works) == parse(apart)
    assert parse("[]\n" + works + "---" + SEQUENCE).objectives == parse(apart).objectives


def test_a_fault_in_a_sequence_has_its_line_and_the_name_of_its_object() -> None:
    faulty = SEQUENCE.replace("    name: cart\n", "    name: cart\n    colour: red\n")
    assert problems(faulty) == ["slo.yaml:11: Service cart: metadata.colour: is not a field here"]
    assert "expected `object`" in problems(SEQUENCE + "- - kind: Service\n")[0]
    assert "another Service of the name shop" in problems(SEQUENCE.replace("cart", "shop"))[0]


@pytest.mark.parametrize("version", ["openslo/v1alpha", "openslo.com/v2alpha", "n9/v1alpha"])
def test_another_version_of_openslo_is_refused_in_one_sentence(version: str) -> None:
    source = availability("works", "shop").replace("openslo/v1", version).replace("timeWindow", "timeWindows")
    assert problems(source) == [
        f"slo.yaml:3: SLO works: apiVersion: is {version}; give openslo/v1, the version that is read here"
    ]


def test_what_counts_may_go_without_saying_and_another_source_is_refused_with_ours() -> None:
    plain = service("shop") + availability("works", "shop")
    assert parse(plain.replace("        counter: true\n", "")) == parse(plain)
    query = plain.replace("              count: bad\n", "              query: sum(rate(http_requests_total[5m]))\n")
    assert any("write type: evenkeel, and spec: {count: good}" in each for each in problems(query))


def test_an_empty_file_is_a_policy_without_objectives() -> None:
    assert parse("").objectives == ()
    assert parse("# nothing\n---\n---\n").objectives == ()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("a: !!python/object/apply:os.system ['true']", "tag"),
        ("a: !!binary aGVsbG8=", "tag"),
        ("a: &a [1]\nb: *a", "anchors and aliases"),
        ("a: &a\n  <<: *a", "anchors and aliases"),
        ("<<: {a: 1}", "not text"),
        ("1: a", "not text"),
        ("? [a, b]\n: c", "not text"),
        ("a: 2026-02-30", "cannot be read"),
        ("a: " + "9" * 5000, "cannot be read"),
        ("[" * 1000, "nested deeper"),
        ("[" + "1," * 60_000 + "]", "more than"),
        ("a: " + "x" * 1_100_000, "larger than 1 MiB"),
        ("a: [", "not YAML"),
        ("\x00", "not YAML"),
        ("a: \ud800", "not YAML"),
        ("%YAML 9.9\n---\na: 1", "not YAML"),
        ("- 1", "expected `object`"),
        ("just text", "expected `object`"),
    ],
)
def test_hostile_yaml_is_refused_quickly(source: str, reason: str) -> None:
    began = time.process_time()
    assert reason in problems(source)[0]
    assert time.process_time() - began < 3


@given(st.text(alphabet=st.sampled_from("abkind: -[]{}&*!|>'\"#%,?\n\t0.9\x85é"), max_size=200))
@settings(max_examples=examples(300), deadline=None)
def test_any_text_is_a_policy_or_a_policy_error(source: str) -> None:
    lines = [problem.line for problem in found_problems(source)]
    assert all(1 <= line <= len(source.splitlines()) + 1 for line in lines)


@given(st.data())
@settings(max_examples=examples(150), deadline=None)
def test_a_file_with_a_line_changed_is_read_or_refused(data: st.DataObject) -> None:
    lines = SHIPPED.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    indent = len(lines[at]) - len(lines[at].lstrip())
    lines[at] = data.draw(st.sampled_from(["", " " * indent + "x: 1", " " * indent + "- y", lines[at] + " z", "---"]))
    assert all(problem.reason for problem in found_problems("\n".join(lines)))


def test_the_number_of_thresholds_of_a_service_is_bounded() -> None:
    many = service("a") + "".join(latency(f"x{n}", "a", at_most_ms=n) for n in range(1, 12))
    assert "more than 10 different latency thresholds" in problems(many)[0]


SEVERAL = """
kind: Service
apiVersion: openslo/v1
metadata: {name: shop, colour: red}
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: works}
spec:
  ratioMetric:
    counter: true
    good: {metricSource: {type: evenkeel, spec: {count: good}}}
    bad: {metricSource: {type: evenkeel, spec: {count: bad}}}
    total: {metricSource: {type: evenkeel, spec: {count: all}}}
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: paging}
spec: {conditions: [], often: 1}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: shape}
spec:
  service: shop
  indicatorRef: works
  timeWindow: [{isRolling: true}]
  budgetingMethod: Timeslices
  objectives: [{target: 0.9, op: lte}]
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: meaning}
spec:
  service: shop
  indicatorRef: works
  timeWindow: [{duration: 99x, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 2}]
  alertPolicies: [paging]
---
apiVersion: evenkeel/v1
kind: ErrorBudgetPolicy
metadata: {name: budget}
spec: {dependsOn: {shop: []}, states: {healthy: {allows: [deploys]}}}
"""


def test_every_fault_of_a_document_is_named_once_and_what_refers_to_it_is_not() -> None:
    with pytest.raises(PolicyError) as raised:
        parse(SEVERAL)
    assert [(problem.line, problem.field) for problem in raised.value.problems] == [
        (4, "metadata.colour"),
        (10, "spec.ratioMetric"),
        (19, "spec.conditions"),
        (19, "spec.often"),
        (27, "spec.timeWindow[0].duration"),
        (28, "spec.budgetingMethod"),
        (29, "spec.objectives[0].op"),
        (37, "spec.timeWindow[0].duration"),
        (39, "spec.objectives[0].target"),
        (45, "spec.states.healthy.allows[0]"),
    ]
    text = str(raised.value)
    assert "is 'Timeslices'; give one of Occurrences" in text
    assert "duration: is missing" in text
    assert "is 'deploys'; give one of deploy, flag, revision, scale" in text
