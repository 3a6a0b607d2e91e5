"""The messages of an export of metrics (see wire.py), as far as they tell how long requests took."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec import Raw, Struct
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint, HistogramDataPoint

from server.receivers.otlp.records import PackedBody, PackedField, json_list, records_of
from server.receivers.otlp.wire import BROKEN, KeyValue, Message, in_json, numbered, unreadable

# Fields of a metric, and of a histogram.
NAME, UNIT, HISTOGRAM, EXPONENTIAL = 1, 3, 9, 10
POINTS, TEMPORALITY = 1, 2
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
    """A histogram, whose points are still packed."""

    data_points: Raw = Raw(b"null")
    aggregation_temporality: int | str | None = None

    def __post_init__(self) -> None:
        self.aggregation_temporality = numbered(self.aggregation_temporality, TEMPORALITIES)


class OtlpMetric(Struct, rename="camel"):
    """One metric; what is no histogram is left out."""

    name: str | None = None
    unit: str | None = None
    histogram: MeasuredHistogram | None = None
    exponential_histogram: MeasuredHistogram | None = None

    @property
    def measured(self) -> Iterator[MeasuredPoints]:
        """Its histograms."""
        for exponential, one in ((False, self.histogram), (True, self.exponential_histogram)):
            if one is not None:
                yield MeasuredPoints(exponential, one.aggregation_temporality, json_list(one.data_points, IN_JSON))


class MeasuredPoints(NamedTuple):
    """The points of a histogram, to be read once. `temporality` 1: each counts since the one
    before, 2: since its start."""

    exponential: bool
    temporality: Any
    points: Iterator[Message]


class PackedMetric:
    """One metric, of which nothing is unpacked but its name."""

    def __init__(self, body: PackedBody, field: PackedField) -> None:
        self.body = body
        self.name = self.unit = ""
        self._histograms: list[PackedField] = []
        for one in body.fields(field.start, field.stop):
            if one.number in (NAME, UNIT) and one.stop >= 0:
                text = body.part(one).decode(errors="replace")
                self.name, self.unit = (text, self.unit) if one.number == NAME else (self.name, text)
            elif one.number in (HISTOGRAM, EXPONENTIAL) and one.stop >= 0:
                self._histograms.append(one)

    @property
    def measured(self) -> Iterator[MeasuredPoints]:
        """Its histograms."""
        for one in self._histograms:
            exponential = one.number == EXPONENTIAL
            unpack = ExponentialHistogramDataPoint if exponential else HistogramDataPoint
            yield MeasuredPoints(exponential, self._temporality(one), self._points(one, unpack))

    def _temporality(self, histogram: PackedField) -> int:
        """It is written behind the points."""
        told = 0
        try:
            for number, start, stop in self.body.fields(histogram.start, histogram.stop):
                if number == TEMPORALITY and stop < 0:
                    told = start
        except BROKEN as error:
            raise unreadable(error) from None
        return told

    def _points(self, histogram: PackedField, unpack: Any) -> Iterator[Message]:
        try:
            for one in self.body.fields(histogram.start, histogram.stop):
                if one.number == POINTS and one.stop >= 0:
                    yield unpack.FromString(self.body.part(one))
        except BROKEN as error:
            raise unreadable(error) from None


IN_JSON = in_json(HistogramPoint)
METRICS = records_of("Metrics", "metrics", PackedMetric, OtlpMetric)
