"""The messages of an export of metrics (see wire.py), as far as they tell how long requests took."""

from __future__ import annotations

from msgspec import Struct
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from server.receivers.otlp.wire import KeyValue, OtlpRequest, OtlpResource, OtlpScope, in_json, numbered

TEMPORALITIES = {
    f"AGGREGATION_TEMPORALITY_{name}": number for number, name in enumerate(("UNSPECIFIED", "DELTA", "CUMULATIVE"))
}


class ExponentialBuckets(Struct, rename="camel"):
    """Counts from the bucket of the index `offset` on."""

    offset: int | None = None
    bucket_counts: list[int] | None = None


class HistogramPoint(Struct, rename="camel"):
    """A point of either kind of histogram."""

    attributes: list[KeyValue] | None = None
    start_time_unix_nano: int | None = None
    time_unix_nano: int | None = None
    count: int | None = None
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    bucket_counts: list[int] | None = None
    explicit_bounds: list[float] | None = None
    scale: int | None = None
    zero_count: int | None = None
    zero_threshold: float | None = None
    positive: ExponentialBuckets | None = None
    flags: int | None = None

    def HasField(self, name: str) -> bool:
        """Whether it was sent."""
        return getattr(self, name) is not None


class MeasuredHistogram(Struct, rename="camel"):
    """The points of a histogram. `aggregation_temporality` 1: each counts since the one before, 2: since its start."""

    data_points: list[HistogramPoint] | None = None
    aggregation_temporality: int | str | None = None

    def __post_init__(self) -> None:
        self.aggregation_temporality = numbered(self.aggregation_temporality, TEMPORALITIES)


class OtlpMetric(Struct, rename="camel"):
    """One metric; what is no histogram is left out."""

    name: str | None = None
    unit: str | None = None
    histogram: MeasuredHistogram | None = None
    exponential_histogram: MeasuredHistogram | None = None


class ScopeMetrics(Struct, rename="camel"):
    """The metrics of one scope."""

    scope: OtlpScope | None = None
    metrics: list[OtlpMetric] | None = None


class ResourceMetrics(Struct, rename="camel"):
    """The metrics of one resource."""

    resource: OtlpResource | None = None
    scope_metrics: list[ScopeMetrics] | None = None


class MetricsRequest(Struct, rename="camel"):
    """ExportMetricsServiceRequest."""

    resource_metrics: list[ResourceMetrics] | None = None


METRICS = OtlpRequest(ExportMetricsServiceRequest, in_json(MetricsRequest))
