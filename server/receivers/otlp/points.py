"""The points of an export of metrics that tell how long the requests of a server took."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import msgspec

from server.receivers.otlp.attributes import ServiceProcess, attributes_of, process_of
from server.receivers.otlp.histogram import Explicit, Exponential, Histogram, total
from server.receivers.otlp.records import SentResource
from server.receivers.otlp.wire import Message

NEW, OLD = "http.server.request.duration", "http.server.duration"
NODE = "@opentelemetry/instrumentation-http"
IN_MS = {NEW: 1000.0, OLD: 1.0}  # the unit that the conventions give, in milliseconds
UNITS = {"s": 1000.0, "ms": 1.0, "us": 0.001, "ns": 0.000001}
WRITTEN_LATER = frozenset({"http.response.status_code", "http.route"})
DELTA, CUMULATIVE = 1, 2
NO_VALUE = 1  # a flag of a point: its series has ended, and what it counts is no count
SLICE = 128  # metrics and points read before others get a turn
BUCKETS_MAX = 2_000  # with requests in them: more is no histogram of an SDK, which has 160
COUNT_MAX = 100_000_000  # requests between two points: more is a broken counter
SCALES = (-10, 20)  # that the data model allows

Plain = str | int | float | bool | None
PlainAttributes = Mapping[str, Plain]


class MeteredSource(NamedTuple):
    """Who measures, and a digest of all attributes of the resource."""

    process: ServiceProcess
    digest: bytes


class MetricPoint(NamedTuple):
    """How long the requests of one set of attributes took. Times are nanoseconds since 1970; a start of 0 was not
    told. `least` and `most` are in the histogram's unit, of which one is `ms` milliseconds. `series` are 16 bytes of
    what a cumulative point goes on: its source, scope, metric, attributes and start."""

    source: MeteredSource
    scope: str
    scope_version: str
    metric: str
    ms: float
    attributes: PlainAttributes
    start: int
    time: int
    cumulative: bool
    histogram: Histogram
    least: float | None
    most: float | None
    series: bytes


class BadPoint(NamedTuple):
    """A point that cannot be read, and why."""

    service: str
    reason: str


def read_points(request: Iterator[SentResource], found: list[MetricPoint | BadPoint]) -> Iterator[None]:
    """Add those of an export; pauses now and then."""
    read = 0
    for sent in request:
        resource = sent.resource
        said = plain(resource) if resource is not None else {}
        source = MeteredSource(process_of(resource), digest_of(said))
        for scope, metric in sent.records:
            for point in points_of(source, scope, metric) if metric.name in IN_MS else (None,):
                read += 1
                if point is not None:
                    found.append(point)
                if not read % SLICE:
                    yield


def points_of(source: MeteredSource, scope: Message, metric: Message) -> Iterator[MetricPoint | BadPoint | None]:
    """Those of one metric; None for what is none."""
    for measured in metric.measured:
        read = exponential if measured.exponential else explicit
        for sent in measured.points:
            if (sent.flags or 0) & NO_VALUE:
                yield None
                continue
            try:
                if "\0" in source.process.service:
                    raise ValueError("service.name has a NUL, which no database holds")
                histogram = read(sent)
                start, time = times_of(sent, measured.temporality)
                if measured.temporality == DELTA and total(histogram) > COUNT_MAX:
                    raise ValueError(f"it counts more than {COUNT_MAX} requests")
            except ValueError as error:
                yield BadPoint(source.process.service, str(error))
                continue
            name, version = (scope.name or "", scope.version or "") if scope is not None else ("", "")
            said = as_recorded(name, plain(sent))
            yield MetricPoint(
                source,
                name,
                version,
                metric.name,
                UNITS.get(metric.unit or "", IN_MS[metric.name]),
                said,
                start,
                time,
                measured.temporality == CUMULATIVE,
                histogram,
                number(sent, "min"),
                number(sent, "max"),
                digest_of(source.digest.hex(), name, version, metric.name, said, start),
            )


def as_recorded(scope: str, said: dict[str, Plain]) -> dict[str, Plain]:
    """A point's attributes as they were when it was recorded.

    Node's http keeps the object and writes the status into it when the connection ends, of a handler that raised the
    200 that nobody was sent: the point would be another series, and count again as good.
    """
    raised = said.get("error.type")
    if scope != NODE or not isinstance(raised, str) or raised.isdecimal():
        return said
    return {name: value for name, value in said.items() if name not in WRITTEN_LATER}


def times_of(sent: Message, temporality: int) -> tuple[int, int]:
    """A point's start and time; ValueError."""
    start, time = sent.start_time_unix_nano or 0, sent.time_unix_nano or 0
    if temporality not in (DELTA, CUMULATIVE):
        raise ValueError("it does not say whether it counts from its start or from the point before")
    if not 0 <= start <= time < 2**63 or not time:
        raise ValueError("it has no time, or begins after it")
    return start, time


def explicit(sent: Message) -> Explicit:
    """A point's explicit buckets; ValueError."""
    bounds = tuple(map(float, sent.explicit_bounds or ()))
    counts = counts_of(sent.bucket_counts or () if bounds or sent.bucket_counts else [sent.count or 0])
    if len(counts) != len(bounds) + 1 or not all(a < b for a, b in pairwise(bounds)):
        raise ValueError("its buckets do not fit its bounds")
    if not all(map(math.isfinite, bounds)):
        raise ValueError("its bounds are no numbers")
    return Explicit(bounds, counts, number(sent, "sum"))


def exponential(sent: Message) -> Exponential:
    """A point's exponential buckets; ValueError. Those below zero are left out: nothing takes less."""
    scale, positive = sent.scale or 0, sent.positive
    if not SCALES[0] <= scale <= SCALES[1]:
        raise ValueError(f"its scale is {scale}")
    counts = counts_of(positive.bucket_counts or ()) if positive is not None else ()
    offset = (positive.offset or 0) if positive is not None else 0
    if not -(2**31) <= offset < 2**31:
        raise ValueError(f"its offset is {offset}")
    (zero,) = counts_of([sent.zero_count or 0])
    zero_to = sent.zero_threshold or 0.0
    return Exponential(scale, offset, counts, zero, zero_to if zero_to > 0 else 0.0, number(sent, "sum"))


def counts_of(sent: Message) -> tuple[int, ...]:
    """Counts; ValueError where one is below zero, or above what 63 bits hold."""
    counts = tuple(sent)
    if counts and not 0 <= min(counts) <= max(counts) < 2**63:
        raise ValueError("a count is none")
    if sum(map(bool, counts)) > BUCKETS_MAX:
        raise ValueError(f"more than {BUCKETS_MAX} of its buckets have requests in them")
    return counts


def number(sent: Message, name: str) -> float | None:
    """A number that may be left out; None also where it is not finite."""
    value = float(getattr(sent, name)) if sent.HasField(name) else math.nan
    return value if math.isfinite(value) else None


def plain(message: Message) -> dict[str, Plain]:
    """The attributes of a message; of a list, a map and bytes what is written of them."""
    return {name: plain_value(value) for name, value in attributes_of(message).items()}


def plain_value(value: Message) -> Plain:
    kind = value.WhichOneof("value") if value is not None else None
    if kind is None:
        return None
    simple = kind in ("string_value", "int_value", "double_value", "bool_value")
    found: Plain = getattr(value, kind) if simple else str(value)
    return found


def digest_of(*parts: PlainAttributes | str | int) -> bytes:
    """16 bytes of parts, whatever the order of attributes."""
    ordered = [sorted(part.items()) if isinstance(part, Mapping) else part for part in parts]
    return hashlib.blake2b(msgspec.json.encode(ordered), digest_size=16).digest()
