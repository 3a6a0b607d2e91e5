"""What the query API answers. Ratios from 0 to 1, milliseconds, RFC 3339 times; null: nothing was counted."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field

from server.kernel.times import Instant
from server.tables.detail import Detail

Group = Literal["route", "version", "method", "status"]
Metric = Literal["error_ratio", "latency", "volume"]


class SummaryRow(Struct):
    """One group, or the whole service with the name ''."""

    name: str
    volume: int
    bad: int
    error_ratio: float | None
    requests_per_second: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class TrafficSummary(Struct):
    """One service over a window that ends now. `from` and `to` say what was really answered."""

    service: str
    window: str
    start: Instant = field(name="from")
    stop: Instant = field(name="to")
    volume: int
    bad: int
    error_ratio: float | None
    requests_per_second: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    partial: bool  # some of its items were refused by a limit in the last minute: the ratio is a range
    estimated: bool  # it samples and does not say how: the ratio counts, volume and rate are estimates
    latency_error: float | None  # of histograms: quantiles may be wrong by this share too; null: it has none
    groups: list[SummaryRow] | None  # with group_by: most volume first


class SeriesPoint(Struct):
    """One step. `value` is the metric's: the error ratio, the p95 in milliseconds, or the volume."""

    at: Instant
    volume: int
    bad: int
    value: float | None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


class SeriesAnswer(Struct):
    """A metric over time, oldest first; a step without outcomes has the volume 0 and the value null."""

    service: str
    metric: Metric
    start: Instant = field(name="from")
    stop: Instant = field(name="to")
    step: int  # seconds; widened where the asked one is no longer kept
    points: list[SeriesPoint]


class VersionCounts(Struct):
    """How many requests each version served, by the start of a step; all times are Unix seconds, [start, stop)."""

    start: int
    stop: int
    step: int
    counts: dict[str, dict[int, int]]


class ServiceRow(Struct):
    """One service and its last 5 minutes."""

    name: str
    first_seen_at: Instant
    routes: int
    versions: int
    volume: int
    error_ratio: float | None
    requests_per_second: float
    clock_ahead_s: float = 0.0  # of a sender, in the last minute; 0: all are right, or behind


class Services(Struct):
    """Every service that was ever seen, by name."""

    services: list[ServiceRow]


class OutcomeAnswer(Detail[str]):
    """One outcome as it was stored."""

    timestamp: Instant
    service: str
    version: str
    route: str
    method: str
    status: int
    duration_ms: float | None  # null where it is not known: imported from a log without request times
    bad: bool
    request_id: str
    weight: int = 1  # requests that it stands for


class LogLineAnswer(Struct):
    """One log line as it was stored. `severity` is OpenTelemetry's number, 0 where it is not known; `level` what was
    sent; `cut`: the line was longer."""

    timestamp: Instant
    service: str
    severity: int
    level: str
    message: str
    cut: bool
    instance: str
    process: str
    request_id: str
    trace_id: str


class Outcomes(Struct):
    """A page of outcomes, newest first. `next` is the cursor of the following page, null at the end. With
    `request_id` also the log lines that carry it, oldest first, 500 at most."""

    outcomes: list[OutcomeAnswer]
    next: str | None
    lines: list[LogLineAnswer] | UnsetType = UNSET
