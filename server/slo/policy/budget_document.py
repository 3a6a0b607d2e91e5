"""The document ErrorBudgetPolicy (apiVersion evenkeel/v1), as types: server/slo/model/budget_policy.py, written down.

What is left out stays as there. Described for people in docs/slo.md.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta

from server.slo.model.budget_policy import Answer, ChangeKind
from server.slo.policy.openslo_parts import Description, Metadata, Part, ServiceName

Kinds = Annotated[list[ChangeKind], Meta(max_length=4)]
Exceptions = Annotated[list[Literal["security", "p0"]], Meta(max_length=2)]


class Healthy(Part, frozen=True):
    allows: Kinds | None = None
    exceptions: Exceptions | None = None


class Caution(Part, frozen=True):
    below: Decimal | None = None
    allows: Kinds | None = None
    exceptions: Exceptions | None = None


class Frozen(Part, frozen=True):
    at_most: Decimal | None = None
    allows: Kinds | None = None
    exceptions: Exceptions | None = None


class States(Part, frozen=True):
    healthy: Healthy = Healthy()
    caution: Caution = Caution()
    frozen: Frozen = Frozen()


class SeverityRow(Part, frozen=True):
    severity: Annotated[int, Meta(ge=1, le=3)]
    bad_ratio: Decimal


class PagingSpec(Part, frozen=True):
    spent: Decimal | None = None
    bad_ratio: Decimal | None = None


class DefaultsSpec(Part, frozen=True):
    target: Decimal | None = None
    target_percent: Decimal | None = None
    window: str | None = None


class BudgetSpec(Part, frozen=True):
    description: Description = ""
    states: States = States()
    blind: Answer | None = None
    severities: Annotated[list[SeverityRow], Meta(min_length=1, max_length=3)] | None = None
    postmortem_share: Decimal | None = None
    exclusions_max_hours: Annotated[int, Meta(ge=0, le=24 * 90)] | None = None
    depends_on: dict[ServiceName, Annotated[list[ServiceName], Meta(max_length=100)]] | None = None
    paging: PagingSpec = PagingSpec()
    defaults: DefaultsSpec | None = None


class ErrorBudgetPolicy(Part, frozen=True, tag_field="kind", tag="ErrorBudgetPolicy"):
    api_version: Literal["evenkeel/v1"]
    metadata: Metadata
    spec: BudgetSpec = BudgetSpec()
