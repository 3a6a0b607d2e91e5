"""The OpenSLO v1 documents that Evenkeel reads, as types (github.com/OpenSLO/OpenSLO, apiVersion openslo/v1).

What OpenSLO allows and Evenkeel does not is refused by name, in `REFUSED`:
nothing in a policy is ever ignored.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta

from server.slo.policy.openslo_alerts import PolicyItem
from server.slo.policy.openslo_parts import Description, Metadata, Part, ServiceMetadata, ServiceName, Title


class Count(Part, frozen=True, rename=None):
    """Our metric source: which outcomes are counted."""

    count: Literal["all", "good", "bad"]
    at_most_ms: Decimal | None = None


class MetricSource(Part, frozen=True):
    type: Literal["evenkeel"]
    spec: Count


class Metric(Part, frozen=True):
    metric_source: MetricSource


class RatioMetric(Part, frozen=True):
    counter: Literal[True]
    total: Metric
    good: Metric | None = None
    bad: Metric | None = None


class IndicatorSpec(Part, frozen=True):
    ratio_metric: RatioMetric
    description: Description = ""


class TimeWindow(Part, frozen=True):
    duration: str
    is_rolling: Literal[True]


class Target(Part, frozen=True):
    target: Decimal | None = None
    target_percent: Decimal | None = None
    display_name: Title = ""


class InlineIndicator(Part, frozen=True):
    spec: IndicatorSpec
    metadata: Metadata | None = None


class ObjectiveSpec(Part, frozen=True):
    service: ServiceName
    budgeting_method: Literal["Occurrences"]
    time_window: Annotated[list[TimeWindow], Meta(min_length=1, max_length=1)]
    objectives: Annotated[list[Target], Meta(min_length=1, max_length=1)]
    indicator: InlineIndicator | None = None
    indicator_ref: str | None = None
    alert_policies: Annotated[list[str | PolicyItem], Meta(min_length=1, max_length=8)] | None = None
    description: Description = ""


class ServiceSpec(Part, frozen=True):
    description: Description = ""


class Service(Part, frozen=True, tag_field="kind", tag="Service"):
    api_version: Literal["openslo/v1"]
    metadata: ServiceMetadata
    spec: ServiceSpec = ServiceSpec()


class SLI(Part, frozen=True, tag_field="kind", tag="SLI"):
    api_version: Literal["openslo/v1"]
    metadata: Metadata
    spec: IndicatorSpec


class SLO(Part, frozen=True, tag_field="kind", tag="SLO"):
    api_version: Literal["openslo/v1"]
    metadata: Metadata
    spec: ObjectiveSpec


# Real OpenSLO that Evenkeel does not do, and what to write instead.
REFUSED: dict[str, str] = {
    "thresholdMetric": "Evenkeel counts outcomes; write a ratioMetric",
    "raw": "Evenkeel counts outcomes; write good or bad, and total",
    "rawType": "Evenkeel counts outcomes; write good or bad, and total",
    "calendar": "only rolling windows are kept; write isRolling: true",
    "notificationTargets": "who is told, and where, stands in Setup; leave it out",
    "metricSourceRef": "Evenkeel is its own source; write type: evenkeel",
    "op": "belongs to thresholdMetric; the limit stands in at_most_ms",
    "value": "belongs to thresholdMetric; the limit stands in at_most_ms",
    "timeSliceTarget": "only budgetingMethod Occurrences is kept",
    "timeSliceWindow": "only budgetingMethod Occurrences is kept",
}


def hint(field: str) -> str:
    """Why a field is refused."""
    return REFUSED.get(field, "is not a field here")
