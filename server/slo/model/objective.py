"""One objective, the policy they make up, and what is wrong with a policy that cannot be used."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from server.kernel.errors import ConfigurationError
from server.kernel.names import is_drill
from server.slo.model.budget_policy import BudgetPolicy
from server.slo.model.calendar import Calendar
from server.slo.model.tiers import Tier, tiers_for

Kind = Literal["availability", "latency"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. `line` counts from 1; `field` is a path such as `spec.objectives[0].target`, or empty; `document` its
    kind and name."""

    line: int
    field: str
    reason: str
    document: str = ""


class PolicyError(ConfigurationError):
    """A policy that cannot be used. The text has one line a problem: `slo.yaml:14: SLO works: field: reason`."""

    def __init__(self, problems: list[Problem], file: str = "slo.yaml") -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        self.file = file
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line of text a problem."""
        parts = ((f"{self.file}:{p.line}", p.document, p.field, p.reason) for p in self.problems)
        return [": ".join(part for part in each if part) for each in parts]


@dataclass(frozen=True, slots=True)
class Objective:
    """An SLO: `target` of what is counted is good, over a rolling window, or in each period of a calendar.

    Availability counts outcomes that are not bad, of all. Latency counts outcomes of
    at most `threshold_us` microseconds, of those that are not bad.
    """

    name: str
    title: str
    service: str
    kind: Kind
    target: Fraction  # exact: 999/1000; above 0, below 1
    threshold_us: int | None  # latency only
    window_days: int  # of a calendar's period, nominally
    id: int = 0  # the number of its ledger; 0 until it is stored
    own_tiers: tuple[Tier, ...] | None = None  # from its alert policies; None: the book's
    provisional: bool = False  # the default of a service that nobody configured
    calendar: Calendar | None = None  # None: the window rolls

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The burn tiers in force, the most urgent first."""
        return tiers_for(self.window_s, self.allowed) if self.own_tiers is None else self.own_tiers

    @property
    def allowed(self) -> Fraction:
        """The share that may be bad: 1 - target."""
        return 1 - self.target

    @property
    def text(self) -> str:
        """In a sentence: `99 % of requests within 300 ms, over 28 days`; a provisional one says so."""
        share = f"{float(self.target * 100):.10g} %"
        if self.threshold_us is None:
            return f"{share} of requests succeed, {self.window_text}{', by default' if self.provisional else ''}"
        return f"{share} of requests within {self.threshold_us / 1000:.10g} ms, {self.window_text}"

    @property
    def window_text(self) -> str:
        """`over 28 days`, `each month`."""
        if self.calendar is not None:
            return self.calendar.text
        return "over 1 day" if self.window_days == 1 else f"over {self.window_days} days"

    @property
    def drill(self) -> bool:
        """Whether it holds a drill, and is in no list, budget or measure of production."""
        return is_drill(self.service)

    @property
    def indicator(self) -> str:
        """A digest of what is counted. With another one, another ledger begins."""
        counted = f"{self.service}\0{self.kind}\0{self.threshold_us}"
        return hashlib.sha256(counted.encode()).hexdigest()[:32]

    @property
    def window_s(self) -> int:
        return self.window_days * 86_400

    @property
    def window_key(self) -> int:
        """The key of its own window where windows are kept by their seconds: below 0 for a calendar's period, which is
        none of the windows that end now and are as long."""
        return self.window_s if self.calendar is None else -self.window_s

    def begins(self, at: float) -> int:
        """When its own window that a time is in began, or the one that rolls up to it, Unix seconds."""
        return int(at) - self.window_s if self.calendar is None else self.calendar.period(at)[0]

    def begins_before(self, end: float) -> int:
        """The same of a window that ends at a time: at the end of a period it is that one's."""
        return int(end) - self.window_s if self.calendar is None else self.calendar.period(end - 1)[0]


@dataclass(frozen=True, slots=True)
class Policy:
    """Every objective of the file, by name."""

    objectives: tuple[Objective, ...]
    budget_policy: BudgetPolicy = field(default_factory=BudgetPolicy)
    unused: tuple[Problem, ...] = ()  # documents that nothing asks for: no fault
    untold: tuple[Problem, ...] = ()  # alert policies that name who is told: no fault

    def thresholds_us(self) -> dict[str, tuple[int, ...]]:
        """The latency thresholds of each service in microseconds, rising."""
        found: dict[str, set[int]] = {}
        for objective in self.objectives:
            if objective.threshold_us is not None:
                found.setdefault(objective.service, set()).add(objective.threshold_us)
        return {service: tuple(sorted(thresholds)) for service, thresholds in found.items()}
