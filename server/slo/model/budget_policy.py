"""The error-budget policy: what a budget allows, how bad an impact is, and who depends on whom.

The document `ErrorBudgetPolicy` of slo.yaml, docs/slo.md; what it leaves out stays as here.
The Site Reliability Workbook, appendix B, "Example Error Budget Policy".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

BudgetState = Literal["healthy", "caution", "frozen"]
ChangeKind = Literal["deploy", "revision", "scale", "flag"]
Reason = Literal["normal", "security", "p0"]
Answer = Literal["allow", "deny", "unknown"]

KINDS: tuple[ChangeKind, ...] = ("deploy", "revision", "scale", "flag")


@dataclass(frozen=True, slots=True)
class Allowance:
    """What goes out in one state: kinds of change, and the reasons that lift a deny."""

    kinds: tuple[ChangeKind, ...]
    exceptions: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Defaults:
    """The provisional availability objective of a service that nobody configured."""

    target: Fraction = Fraction(99, 100)
    window_days: int = 28


@dataclass(frozen=True, slots=True)
class SeverityRule:
    """Severity `severity` from this bad ratio on."""

    severity: int
    bad_ratio: Fraction


SEVERITIES: tuple[SeverityRule, ...] = (
    SeverityRule(1, Fraction(1, 2)),
    SeverityRule(2, Fraction(1, 100)),
    SeverityRule(3, Fraction(0)),
)


@dataclass(frozen=True, slots=True)
class PagingPolicy:
    """When what the fast test has found may wake somebody: so much of the budget is spent, or so much fails."""

    spent: Fraction = Fraction(1, 200)  # of the whole budget, since the onset
    bad_ratio: Fraction = Fraction(1, 10)


@dataclass(frozen=True, slots=True)
class SignalPolicy:
    """What alerts of other systems mean here: the labels that name the service, the first that is there; which of their
    severities open an incident; and after how long without a word nothing is known of one."""

    service_labels: tuple[str, ...] = ("service", "job", "namespace")
    opens: tuple[str, ...] = ("page", "critical")
    not_heard_hours: int = 13  # beyond the repeat_interval of Alertmanager (4 h) and of kube-prometheus (12 h)


@dataclass(frozen=True, slots=True)
class BudgetPolicy:
    """The whole policy. Shares are of 1; a budget below `frozen_below` freezes, one below `caution_below` cautions."""

    caution_below: Fraction = Fraction(1, 4)
    frozen_below: Fraction = Fraction(0)
    allows: Mapping[BudgetState, Allowance] = field(
        default_factory=lambda: {
            "healthy": Allowance(KINDS),
            "caution": Allowance(KINDS),
            "frozen": Allowance((), ("security", "p0")),
        }
    )
    blind: Answer = "unknown"  # what the gate answers while the budget is not known
    postmortem_share: Fraction = Fraction(1, 5)  # one incident that used more asks for a postmortem with a P0 action
    exclusions_max_hours: int = 24  # excluded time of a service within any objective's window
    severities: tuple[SeverityRule, ...] = SEVERITIES  # worst first
    depends_on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # service -> those it calls
    defaults: Defaults | None = None
    paging: PagingPolicy = PagingPolicy()
    signals: SignalPolicy = SignalPolicy()


def severity(policy: BudgetPolicy, bad_ratio: Fraction) -> int:
    """1 to 3, from the impact; exact, as a float of a ratio may lie on the other side of a threshold."""
    return next(rule.severity for rule in policy.severities if bad_ratio >= rule.bad_ratio)


def budget_state(policy: BudgetPolicy, left: Fraction) -> BudgetState:
    """The state of a budget of which exactly the share `left` is left."""
    if left <= policy.frozen_below:
        return "frozen"
    return "caution" if left < policy.caution_below else "healthy"


def dependencies(policy: BudgetPolicy, service: str) -> frozenset[str]:
    """Every service that one depends on, at any distance; itself never, also in a circle."""
    found: set[str] = set()
    open_ = [service]
    while open_:
        for name in policy.depends_on.get(open_.pop(), ()):
            if name not in found and name != service:
                found.add(name)
                open_.append(name)
    return frozenset(found)
