"""The document ErrorBudgetPolicy (apiVersion evenkeel/v1): its types, and the policy that is read from it.

What is left out stays as in server/slo/model/budget_policy.py; each value is checked
against the others. Described for people in docs/slo.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Literal

from msgspec import Meta

from server.slo.model.budget_policy import (
    Allowance,
    Answer,
    BudgetPolicy,
    BudgetState,
    ChangeKind,
    Defaults,
    PagingPolicy,
    SeverityRule,
    SignalPolicy,
)
from server.slo.policy.openslo import Description, DocumentPart, Metadata, ServiceName
from server.slo.policy.values import ValueFault, days, number, target

Kinds = Annotated[list[ChangeKind], Meta(max_length=4)]
Exceptions = Annotated[list[Literal["security", "p0"]], Meta(max_length=2)]


class Healthy(DocumentPart, frozen=True):
    allows: Kinds | None = None
    exceptions: Exceptions | None = None


class Caution(DocumentPart, frozen=True):
    below: Decimal | None = None
    allows: Kinds | None = None
    exceptions: Exceptions | None = None


class Frozen(DocumentPart, frozen=True):
    at_most: Decimal | None = None
    allows: Kinds | None = None
    exceptions: Exceptions | None = None


class States(DocumentPart, frozen=True):
    healthy: Healthy = Healthy()
    caution: Caution = Caution()
    frozen: Frozen = Frozen()


class SeverityRow(DocumentPart, frozen=True):
    severity: Annotated[int, Meta(ge=1, le=3)]
    bad_ratio: Decimal


class PagingSpec(DocumentPart, frozen=True):
    spent: Decimal | None = None
    bad_ratio: Decimal | None = None


class DefaultsSpec(DocumentPart, frozen=True):
    target: Decimal | None = None
    target_percent: Decimal | None = None
    window: str | None = None


LabelName = Annotated[str, Meta(min_length=1, max_length=200)]


class SignalsSpec(DocumentPart, frozen=True):
    service_labels: Annotated[list[LabelName], Meta(min_length=1, max_length=10)] | None = None
    opens: Annotated[list[LabelName], Meta(max_length=20)] | None = None
    not_heard_hours: Annotated[int, Meta(ge=1, le=24 * 90)] | None = None


class BudgetSpec(DocumentPart, frozen=True):
    description: Description = ""
    states: States = States()
    blind: Answer | None = None
    severities: Annotated[list[SeverityRow], Meta(min_length=1, max_length=3)] | None = None
    postmortem_share: Decimal | None = None
    exclusions_max_hours: Annotated[int, Meta(ge=0, le=24 * 90)] | None = None
    depends_on: dict[ServiceName, Annotated[list[ServiceName], Meta(max_length=100)]] | None = None
    paging: PagingSpec = PagingSpec()
    defaults: DefaultsSpec | None = None
    signals: SignalsSpec = SignalsSpec()


class ErrorBudgetPolicy(DocumentPart, frozen=True, tag_field="kind", tag="ErrorBudgetPolicy"):
    api_version: Literal["evenkeel/v1"]
    metadata: Metadata
    spec: BudgetSpec = BudgetSpec()


LOWEST, HIGHEST = Decimal(-10), Decimal(1)  # of a budget left: ten times overspent, untouched


def budget_policy(spec: BudgetSpec, services: Collection[str]) -> BudgetPolicy:
    """The policy that a document asks for; `services` are those with a Service document."""
    usual = BudgetPolicy()
    caution, frozen = thresholds(spec, usual)
    paging = spec.paging
    return BudgetPolicy(
        caution_below=caution,
        frozen_below=frozen,
        allows={state: allowance(given, usual.allows[state]) for state, given in states(spec).items()},
        blind=usual.blind if spec.blind is None else spec.blind,
        postmortem_share=part(spec.postmortem_share, "postmortemShare", usual.postmortem_share),
        exclusions_max_hours=either(spec.exclusions_max_hours, usual.exclusions_max_hours),
        severities=usual.severities if spec.severities is None else severities(spec.severities),
        depends_on=depends_on(spec.depends_on or {}, services),
        defaults=None if spec.defaults is None else defaults(spec.defaults),
        paging=PagingPolicy(
            spent=part(paging.spent, "paging.spent", usual.paging.spent),
            bad_ratio=part(paging.bad_ratio, "paging.badRatio", usual.paging.bad_ratio),
        ),
        signals=signals(spec.signals),
    )


def signals(given: SignalsSpec) -> SignalPolicy:
    """What alerts of other systems mean; severities are compared without regard to case."""
    usual = SignalPolicy()
    return SignalPolicy(
        usual.service_labels if given.service_labels is None else tuple(dict.fromkeys(given.service_labels)),
        usual.opens if given.opens is None else tuple(dict.fromkeys(word.lower() for word in given.opens)),
        either(given.not_heard_hours, usual.not_heard_hours),
    )


def states(spec: BudgetSpec) -> dict[BudgetState, Healthy | Caution | Frozen]:
    """What the document says of each state."""
    return {"healthy": spec.states.healthy, "caution": spec.states.caution, "frozen": spec.states.frozen}


def thresholds(spec: BudgetSpec, usual: BudgetPolicy) -> tuple[Fraction, Fraction]:
    """Where caution and where frozen begins."""
    below, at_most = spec.states.caution.below, spec.states.frozen.at_most
    at = "$.spec.states"
    caution = usual.caution_below if below is None else number(below, LOWEST, HIGHEST, f"{at}.caution.below")
    frozen = usual.frozen_below if at_most is None else number(at_most, LOWEST, HIGHEST, f"{at}.frozen.atMost")
    if frozen >= caution:
        where = f"{at}.caution.below" if at_most is None else f"{at}.frozen.atMost"
        raise ValueFault(
            where, f"frozen at {decimal(frozen)} is not below caution at {decimal(caution)}: caution never holds"
        )
    return caution, frozen


def allowance(given: Healthy | Caution | Frozen, usual: Allowance) -> Allowance:
    """What a state allows, with what is not given as usual."""
    return Allowance(
        usual.kinds if given.allows is None else tuple(dict.fromkeys(given.allows)),
        usual.exceptions if given.exceptions is None else tuple(dict.fromkeys(given.exceptions)),
    )


def severities(rows: Sequence[SeverityRow]) -> tuple[SeverityRule, ...]:
    """The table, worst first, down to severity 3 from 0 on: every impact has a severity."""
    found: list[SeverityRule] = []
    for index, row in enumerate(rows):
        at = f"$.spec.severities[{index}]"
        rule = SeverityRule(row.severity, number(row.bad_ratio, Decimal(0), Decimal(1), f"{at}.badRatio"))
        if found and rule.severity <= found[-1].severity:
            raise ValueFault(f"{at}.severity", "stands after one as mild; write the worst first, each once")
        if found and rule.bad_ratio >= found[-1].bad_ratio:
            raise ValueFault(
                f"{at}.badRatio", f"is not below {decimal(found[-1].bad_ratio)}, the row above: it never applies"
            )
        found.append(rule)
    if found[-1] != SeverityRule(3, Fraction(0)):
        raise ValueFault("$.spec.severities", "ends without a floor; add the row {severity: 3, badRatio: 0}")
    return tuple(found)


def depends_on(given: Mapping[str, Sequence[str]], services: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Who calls whom: only services of this file, and no circle."""
    for service, called in given.items():
        at = f"$.spec.dependsOn.{service}"
        for where, name in [(at, service), *((f"{at}[{index}]", name) for index, name in enumerate(called))]:
            if name not in services:
                raise ValueFault(where, f"there is no Service document of the name {name}")
    found = {service: tuple(dict.fromkeys(called)) for service, called in given.items()}
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        first, *rest = error.args[1][::-1]
        raise ValueFault(f"$.spec.dependsOn.{first}", f"goes in a circle: {' -> '.join((first, *rest))}") from None
    return found


def defaults(given: DefaultsSpec) -> Defaults:
    """The provisional objective of a service without one."""
    usual = Defaults()
    share = usual.target
    if given.target is not None or given.target_percent is not None:
        share = target(given.target, given.target_percent, "$.spec.defaults")
    window = usual.window_days if given.window is None else days(given.window, "$.spec.defaults.window")
    return Defaults(share, window)


def part(given: Decimal | None, field: str, usual: Fraction) -> Fraction:
    """A share above 0 and up to 1, or the usual one where none is given; Fault otherwise."""
    path = f"$.spec.{field}"
    found = usual if given is None else number(given, Decimal(0), Decimal(1), path)
    if found == 0:
        raise ValueFault(path, "is 0; give a number above 0 and up to 1")
    return found


def either(given: int | None, usual: int) -> int:
    """What is given, else what is usual; 0 is given."""
    return usual if given is None else given


def decimal(share: Fraction) -> str:
    """A share as people write it: 0.25."""
    return f"{float(share):.10g}"
