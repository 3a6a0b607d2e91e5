"""The policy file: OpenSLO v1 documents in, objectives out; every fault with its line and field.

The form is described for people in docs/slo.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from server.kernel.names import DRILL, is_drill
from server.slo.model.budget_policy import BudgetPolicy
from server.slo.model.objective import Kind, Objective, Policy, PolicyError, Problem
from server.slo.policy import openslo
from server.slo.policy.budget_document import ErrorBudgetPolicy, budget_policy
from server.slo.policy.documents import Document, Typed, convert, read_documents, shown
from server.slo.policy.openslo import AlertCondition, AlertPolicy
from server.slo.policy.own_tiers import AlertDocuments, Reference
from server.slo.policy.own_tiers import window as condition_window
from server.slo.policy.values import Faults, ValueFault, count, target, time_window

T = TypeVar("T")

RESERVED = ("rules", "backtest")  # /api/v1/slos/rules, /objectives/backtest
MAX_THRESHOLDS = 10  # a service: each costs ingest a comparison an outcome
MAX_OBJECTIVES = 1000
MAX_WINDOWS = 24  # different ones of alert policies in a file: each is a sum that the watch keeps


def parse(source: str, file: str = "slo.yaml") -> Policy:
    """The policy in the text of a file; PolicyError lists what is wrong with it."""
    try:
        return Reading(read_documents(source)).policy()
    except PolicyError as error:
        raise PolicyError(error.problems, file) from None


class Reading:
    """One reading of a file: its documents by kind, and the problems found so far."""

    def __init__(self, documents: list[Document]) -> None:
        self.problems: list[Problem] = []
        self.services: dict[str, Document] = {}
        self.indicators: dict[str, openslo.IndicatorSpec] = {}
        self.objectives: dict[str, tuple[Document, openslo.SLO]] = {}
        self.budgets: dict[str, tuple[Document, ErrorBudgetPolicy]] = {}
        self.documents: dict[Reference, Document] = {}
        self.used: set[Reference] = set()
        self.broken: set[Reference] = set()  # documents with a fault of their own, reported there
        self.alerts = AlertDocuments(self.broken)
        for document in documents:
            with self.noting(document):
                self.sort(document, convert(document))

    def policy(self) -> Policy:
        """The policy, once everything has been read; PolicyError with all problems."""
        for name, alert_policy in self.alerts.policies.items():
            with self.noting(self.documents["AlertPolicy", name]):
                self.alerts.tier(alert_policy.spec, "$.spec")
        found: list[Objective] = []
        for document, slo in self.objectives.values():
            objective = self.objective(document, slo)
            found += [] if objective is None else [objective]
        policy = Policy(tuple(found), self.budget_policy(), tuple(self.unused()), tuple(self.untold()))
        self.problems += too_many(policy)
        if self.problems:
            raise PolicyError(self.problems)
        return policy

    def budget_policy(self) -> BudgetPolicy:
        """The error-budget policy of the file, or the usual one."""
        for document, budget in self.budgets.values():
            with self.noting(document):
                services = {*self.services, *(name for kind, name in self.broken if kind == "Service")}
                return budget_policy(budget.spec, services)
        return BudgetPolicy()

    def unused(self) -> Iterator[Problem]:
        """The documents that nothing asks for."""
        used = self.used | self.alerts.used
        for (kind, name), document in self.documents.items():
            if kind in ("SLI", "AlertPolicy", "AlertCondition") and (kind, name) not in used:
                yield Problem(document.line("$.metadata.name"), name, f"nothing asks for the {kind} {name}")

    def untold(self) -> Iterator[Problem]:
        """The alert policies that name notification targets, which are not those of Evenkeel."""
        found = [
            (self.documents["AlertPolicy", name], name, "$.spec", policy.spec)
            for name, policy in self.alerts.policies.items()
        ]
        for name, (document, slo) in self.objectives.items():
            for index, item in enumerate(slo.spec.alert_policies or ()):
                if not isinstance(item, str) and item.spec is not None:
                    found.append((document, name, f"$.spec.alertPolicies[{index}].spec", item.spec))
        for document, name, at, spec in found:
            targets = ", ".join(each.target_ref or "" for each in spec.notification_targets)
            if targets:
                line = document.line(f"{at}.notificationTargets")
                yield Problem(line, name, f"it names whom to tell ({targets}), and those in Setup are told")

    @contextmanager
    def noting(self, document: Document) -> Iterator[None]:
        """A fault inside becomes a problem of the document, and the reading goes on."""
        try:
            yield
        except (ValueFault, Faults) as fault:
            found = fault.found if isinstance(fault, Faults) else [fault]
            named = titled(document)
            self.problems += [Problem(document.line(each.path), shown(each.path), each.reason, named) for each in found]
            self.broken.add(reference(document))

    def tried(self, document: Document, read: Callable[[], T]) -> T | None:
        """What `read` returns, or None where it raises a fault, which is noted."""
        with self.noting(document):
            return read()
        return None

    def sort(self, document: Document, typed: Typed) -> None:
        """File a document under its kind and name."""
        name, kind = typed.metadata.name, type(typed).__name__
        if (kind, name) in self.documents:
            raise ValueFault("$.metadata.name", f"there is another {kind} of the name {name}")
        self.documents[kind, name] = document
        match typed:
            case openslo.Service():
                if is_drill(name):
                    raise ValueFault(
                        "$.metadata.name", f"begins with {DRILL}, as the services of drills do; choose another"
                    )
                self.services[name] = document
            case openslo.SLI():
                count(typed.spec.ratio_metric, "$.spec")
                self.indicators[name] = typed.spec
            case openslo.SLO():
                self.objectives[name] = (document, typed)
            case AlertPolicy():
                self.alerts.policies[name] = typed
            case AlertCondition():
                condition_window("$.spec", typed.spec)
                self.alerts.conditions[name] = typed
            case ErrorBudgetPolicy():
                if self.budgets:
                    raise ValueFault("$.kind", "is the second one; a file has at most one ErrorBudgetPolicy")
                self.budgets[name] = (document, typed)

    def objective(self, document: Document, slo: openslo.SLO) -> Objective | None:
        """The objective of an SLO document; None where it has faults, each of which is noted."""
        spec, asked = slo.spec, slo.spec.alert_policies
        goal, window = spec.objectives[0], spec.time_window[0]
        service = self.tried(document, lambda: self.named(slo))
        counted = self.tried(document, lambda: self.counted(spec))
        share = self.tried(document, lambda: target(goal.target, goal.target_percent, "$.spec.objectives[0]"))
        over = self.tried(document, lambda: time_window(window, "$.spec.timeWindow[0]"))
        if service is None or counted is None or share is None or over is None:
            return None
        tiers = None if asked is None else self.tried(document, lambda: self.alerts.tiers(asked, 1 - share))
        return Objective(
            name=slo.metadata.name,
            title=slo.metadata.display_name or slo.metadata.name,
            service=service,
            kind=counted[0],
            target=share,
            threshold_us=counted[1],
            window_days=over[0],
            own_tiers=tiers,
            calendar=over[1],
        )

    def named(self, slo: openslo.SLO) -> str:
        """The service of an SLO document; Fault where the objective's name is reserved, or there is no such service."""
        if slo.metadata.name in RESERVED:
            raise ValueFault("$.metadata.name", f"{slo.metadata.name} is an address of Evenkeel's own; choose another")
        if ("Service", slo.spec.service) in self.broken:
            raise Faults
        if slo.spec.service not in self.services:
            raise ValueFault("$.spec.service", f"there is no Service document of the name {slo.spec.service}")
        return slo.spec.service

    def counted(self, spec: openslo.ObjectiveSpec) -> tuple[Kind, int | None]:
        """The indicator's kind and threshold, from where it stands."""
        if (spec.indicator is None) == (spec.indicator_ref is None):
            raise ValueFault("$.spec", "give one of indicator and indicatorRef")
        if spec.indicator is not None:
            return count(spec.indicator.spec.ratio_metric, "$.spec.indicator.spec")
        self.used.add(("SLI", spec.indicator_ref or ""))
        indicator = self.indicators.get(spec.indicator_ref or "")
        if indicator is None and ("SLI", spec.indicator_ref or "") in self.broken:
            raise Faults
        if indicator is None:
            raise ValueFault("$.spec.indicatorRef", f"there is no SLI document of the name {spec.indicator_ref}")
        return count(indicator.ratio_metric, "$.spec")


def reference(document: Document) -> Reference:
    """The kind and the name as they are written, whatever else is at fault."""
    value = document.value if isinstance(document.value, dict) else {}
    metadata = value.get("metadata")
    return str(value.get("kind")), str(metadata.get("name") if isinstance(metadata, dict) else None)


def titled(document: Document) -> str:
    """`AlertPolicy fast-burn`, for people; empty where it has no kind or no name."""
    value = document.value if isinstance(document.value, dict) else {}
    metadata = value.get("metadata")
    kind, name = value.get("kind"), metadata.get("name") if isinstance(metadata, dict) else None
    return f"{kind[:60]} {name[:63]}" if isinstance(kind, str) and isinstance(name, str) else ""


def too_many(policy: Policy) -> Iterator[Problem]:
    """A problem for each bound that is passed; the bounds keep ingest and evaluation cheap."""
    if len(policy.objectives) > MAX_OBJECTIVES:
        yield Problem(1, "", f"more than {MAX_OBJECTIVES} objectives")
    for service, thresholds in policy.thresholds_us().items():
        if len(thresholds) > MAX_THRESHOLDS:
            yield Problem(1, "", f"{service} has more than {MAX_THRESHOLDS} different latency thresholds")
    tiers = [tier for one in policy.objectives for tier in one.own_tiers or ()]
    if len({window_s for tier in tiers for window_s in (tier.long_s, tier.short_s)}) > MAX_WINDOWS:
        yield Problem(1, "", f"the alert policies have more than {MAX_WINDOWS} different windows")
