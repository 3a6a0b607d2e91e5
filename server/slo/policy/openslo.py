"""The OpenSLO v1 documents that Evenkeel reads, as types (github.com/OpenSLO/OpenSLO, apiVersion openslo/v1).

What OpenSLO allows and Evenkeel does not is refused by name, in `REFUSED`:
nothing in a policy is ever ignored.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

Name = Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]
ServiceName = Annotated[str, Meta(min_length=1, max_length=255)]
Title = Annotated[str, Meta(max_length=255)]
Description = Annotated[str, Meta(max_length=1050)]
Labels = dict[str, str | list[str]]


class DocumentPart(Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    """A part of a document: fields in camelCase, unknown ones refused."""


class Metadata(DocumentPart, frozen=True):
    name: Name
    display_name: Title = ""
    labels: Labels = {}
    annotations: dict[str, str] = {}


class ServiceMetadata(DocumentPart, frozen=True):
    name: ServiceName  # as senders write it
    display_name: Title = ""
    labels: Labels = {}
    annotations: dict[str, str] = {}


class Burn(DocumentPart, frozen=True):
    """One window of a tier: the burn rate over `lookbackWindow` is at least `threshold`."""

    threshold: Decimal
    lookback_window: str
    kind: Literal["burnrate"] = "burnrate"
    op: str = "gte"
    alert_after: str = "0m"


class ConditionSpec(DocumentPart, frozen=True):
    severity: str
    condition: Burn
    description: Description = ""


class AlertCondition(DocumentPart, frozen=True, tag_field="kind", tag="AlertCondition"):
    api_version: Literal["openslo/v1"]
    metadata: Metadata
    spec: ConditionSpec


class ConditionItem(DocumentPart, frozen=True):
    """A condition by its name, or in place."""

    condition_ref: str | None = None
    kind: Literal["AlertCondition"] | None = None
    api_version: Literal["openslo/v1"] | None = None
    metadata: Metadata | None = None
    spec: ConditionSpec | None = None


class TargetItem(DocumentPart, frozen=True):
    """A notification target by its name, which OpenSLO asks of every alert policy; or in place, which is refused."""

    target_ref: str | None = None
    kind: Literal["AlertNotificationTarget"] | None = None
    api_version: Literal["openslo/v1"] | None = None
    metadata: Metadata | None = None
    spec: dict[str, str] | None = None


class PolicySpec(DocumentPart, frozen=True):
    conditions: Annotated[list[ConditionItem], Meta(min_length=1, max_length=2)]
    description: Description = ""
    alert_when_breaching: bool = True
    alert_when_resolved: bool = True
    alert_when_no_data: bool = False
    notification_targets: list[TargetItem] = []  # told of by slo lint: Evenkeel has its own


class AlertPolicy(DocumentPart, frozen=True, tag_field="kind", tag="AlertPolicy"):
    api_version: Literal["openslo/v1"]
    metadata: Metadata
    spec: PolicySpec


class PolicyItem(DocumentPart, frozen=True):
    """An alert policy by its name, or in place."""

    alert_policy_ref: str | None = None
    kind: Literal["AlertPolicy"] | None = None
    api_version: Literal["openslo/v1"] | None = None
    metadata: Metadata | None = None
    spec: PolicySpec | None = None


class SourceCount(DocumentPart, frozen=True, rename=None):
    """Our metric source: which outcomes are counted."""

    count: Literal["all", "good", "bad"]
    at_most_ms: Decimal | None = None


class MetricSource(DocumentPart, frozen=True):
    type: Literal["evenkeel"]
    spec: SourceCount


class IndicatorMetric(DocumentPart, frozen=True):
    metric_source: MetricSource


class RatioMetric(DocumentPart, frozen=True):
    total: IndicatorMetric
    counter: Literal[True] = True
    good: IndicatorMetric | None = None
    bad: IndicatorMetric | None = None


class IndicatorSpec(DocumentPart, frozen=True):
    ratio_metric: RatioMetric
    description: Description = ""


class CalendarSpec(DocumentPart, frozen=True):
    start_time: str  # 2026-01-01 00:00:00
    time_zone: str


class TimeWindow(DocumentPart, frozen=True):
    duration: str
    is_rolling: bool | None = None  # left out beside a calendar: false
    calendar: CalendarSpec | None = None


class ObjectiveTarget(DocumentPart, frozen=True):
    target: Decimal | None = None
    target_percent: Decimal | None = None
    display_name: Title = ""


class InlineIndicator(DocumentPart, frozen=True):
    spec: IndicatorSpec
    metadata: Metadata | None = None


class ObjectiveSpec(DocumentPart, frozen=True):
    service: ServiceName
    budgeting_method: Literal["Occurrences"]
    time_window: Annotated[list[TimeWindow], Meta(min_length=1, max_length=1)]
    objectives: Annotated[list[ObjectiveTarget], Meta(min_length=1, max_length=1)]
    indicator: InlineIndicator | None = None
    indicator_ref: str | None = None
    alert_policies: Annotated[list[str | PolicyItem], Meta(min_length=1, max_length=8)] | None = None
    description: Description = ""


class ServiceSpec(DocumentPart, frozen=True):
    description: Description = ""


class Service(DocumentPart, frozen=True, tag_field="kind", tag="Service"):
    api_version: Literal["openslo/v1"]
    metadata: ServiceMetadata
    spec: ServiceSpec = ServiceSpec()


class SLI(DocumentPart, frozen=True, tag_field="kind", tag="SLI"):
    api_version: Literal["openslo/v1"]
    metadata: Metadata
    spec: IndicatorSpec


class SLO(DocumentPart, frozen=True, tag_field="kind", tag="SLO"):
    api_version: Literal["openslo/v1"]
    metadata: Metadata
    spec: ObjectiveSpec


# Real OpenSLO that Evenkeel does not do, and what to write instead.
REFUSED: dict[str, str] = {
    "thresholdMetric": "Evenkeel counts outcomes; write a ratioMetric",
    "raw": "Evenkeel counts outcomes; write good or bad, and total",
    "rawType": "Evenkeel counts outcomes; write good or bad, and total",
    "metricSourceRef": "Evenkeel is its own source; write type: evenkeel",
    "query": "Evenkeel counts outcomes itself; write type: evenkeel, and spec: {count: good} of {count: all}",
    "dataSourceRef": "Evenkeel is its own source; write type: evenkeel",
    "composite": "one SLO has one indicator; write an SLO for each",
    "op": "belongs to thresholdMetric; the limit stands in at_most_ms",
    "value": "belongs to thresholdMetric; the limit stands in at_most_ms",
    "timeSliceTarget": "only budgetingMethod Occurrences is kept",
    "timeSliceWindow": "only budgetingMethod Occurrences is kept",
}


# Kinds of OpenSLO that Evenkeel does not do, and what to do instead.
REFUSED_KINDS: dict[str, str] = {
    "AlertNotificationTarget": "who is told, and where, stands in Setup, so that no secret is here; leave it out",
    "DataSource": "Evenkeel is its own source; leave it out",
}

# What a list of the wrong length should have held.
LENGTHS: dict[str, str] = {
    "conditions": "give one condition, or two: a long window and a short one",
    "timeWindow": "give one window",
    "objectives": "give one objective; a second target is a second SLO",
    "alertPolicies": "give 1 to 8, or leave it out for the tiers of the Workbook",
}


def hint(field: str) -> str:
    """Why a field is refused."""
    return REFUSED.get(field, "is not a field here")
