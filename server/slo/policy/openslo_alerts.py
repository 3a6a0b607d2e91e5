"""OpenSLO v1's documents about alerts: AlertPolicy and AlertCondition, by themselves or in place."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta

from server.slo.policy.openslo_parts import Description, Metadata, Part


class Burn(Part, frozen=True):
    """One window of a tier: the burn rate over `lookbackWindow` is at least `threshold`."""

    threshold: Decimal
    lookback_window: str
    kind: Literal["burnrate"] = "burnrate"
    op: str = "gte"
    alert_after: str = "0m"


class ConditionSpec(Part, frozen=True):
    severity: str
    condition: Burn
    description: Description = ""


class AlertCondition(Part, frozen=True, tag_field="kind", tag="AlertCondition"):
    api_version: Literal["openslo/v1"]
    metadata: Metadata
    spec: ConditionSpec


class ConditionItem(Part, frozen=True):
    """A condition by its name, or in place."""

    condition_ref: str | None = None
    kind: Literal["AlertCondition"] | None = None
    api_version: Literal["openslo/v1"] | None = None
    metadata: Metadata | None = None
    spec: ConditionSpec | None = None


class PolicySpec(Part, frozen=True):
    conditions: Annotated[list[ConditionItem], Meta(min_length=2, max_length=2)]
    description: Description = ""
    alert_when_breaching: bool = True
    alert_when_resolved: bool = True
    alert_when_no_data: bool = False


class AlertPolicy(Part, frozen=True, tag_field="kind", tag="AlertPolicy"):
    api_version: Literal["openslo/v1"]
    metadata: Metadata
    spec: PolicySpec


class PolicyItem(Part, frozen=True):
    """An alert policy by its name, or in place."""

    alert_policy_ref: str | None = None
    kind: Literal["AlertPolicy"] | None = None
    api_version: Literal["openslo/v1"] | None = None
    metadata: Metadata | None = None
    spec: PolicySpec | None = None
