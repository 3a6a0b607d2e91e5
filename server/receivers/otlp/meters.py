"""What cumulative series counted since they were last read.

A point says what was counted since its start. What counts is the difference to the last point that was read of the
same source, attributes and start: a meter. How the first point of a start is taken:

- Whole, where we were there when it began: its source was read before, or its service was, before that start; or it
  began within the last ten minutes.
- From now on, where it ran long before we first heard of it: what it had counted until then is not ours to count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct

from server.receivers.otlp.histogram import Explicit, Exponential, Histogram, since, total
from server.receivers.otlp.measured import Counting
from server.receivers.otlp.points import COUNT_MAX, MetricPoint

YOUNG_NS = 600_000_000_000
LEAST_NS = 1_000_000_000

read_state = msgspec.msgpack.Decoder(Explicit | Exponential)


class Meter(Struct, frozen=True):
    """A cumulative series as it was last read: at `time`, nanoseconds since 1970."""

    time: int
    histogram: Histogram


class KnownMeters(NamedTuple):
    """What is known of what an export tells of: meters by series, since when services are read, in nanoseconds since
    1970, and the sources that have told of all that they had. `unheard`: what is noted of these series is old."""

    meters: Mapping[bytes, Meter]
    sources: Collection[bytes]
    services: Mapping[str, int]
    unheard: Collection[bytes] = ()


class MeterReading(NamedTuple):
    """A meter as it is read now; `before` is the time of the last reading that this one goes on, 0: it is the first."""

    series: bytes
    source: bytes
    service: str
    before: int
    time: int
    state: bytes


class ReadMeter(NamedTuple):
    """A reading, and what it counts; None: nothing yet."""

    reading: MeterReading
    counting: Counting | None


def readings(points: Iterable[MetricPoint], known: KnownMeters) -> list[ReadMeter]:
    """What cumulative points say that is new. Of several points of a series each goes on the one before it."""
    found: list[ReadMeter] = []
    latest = dict(known.meters)
    for point in sorted(points, key=lambda each: each.time):
        series = point.series
        before = latest.get(series)
        if before is not None and not goes_on(point, before):
            continue
        latest[series] = Meter(point.time, point.histogram)
        state = msgspec.msgpack.encode(point.histogram)
        source, service = point.source.digest, point.source.process.service
        reading = MeterReading(series, source, service, before.time if before else 0, point.time, state)
        found.append(ReadMeter(reading, counting_of(point, before, known)))
    return found


def goes_on(point: MetricPoint, before: Meter) -> bool:
    """Whether a point says more than the reading before: it is later and counted more, or begins anew without having
    told when.

    One that counts less though it has the same start is of another process that pretends to be the same: the one that
    counts most is read, so that nothing is counted twice.
    """
    if point.time <= before.time:
        return False
    now, then = total(point.histogram), total(before.histogram)
    return now > then or (now < then and point.start == 0)


def counting_of(point: MetricPoint, before: Meter | None, known: KnownMeters) -> Counting | None:
    """What is new in a point; None where that cannot be said, or is nothing."""
    if before is None:
        whole = seen_beginning(point, known)
        counting = Counting(point, point.histogram, point.start or point.time - LEAST_NS) if whole else None
    elif total(point.histogram) < total(before.histogram):
        counting = Counting(point, point.histogram, before.time)  # it was reset, and told no start
    else:
        new = since(point.histogram, before.histogram)
        counting = Counting(point, new, before.time) if new is not None else None
    return counting if counting is not None and 0 < total(counting.histogram) <= COUNT_MAX else None


def seen_beginning(point: MetricPoint, known: KnownMeters) -> bool:
    """Whether we were there when a series began."""
    if point.source.digest in known.sources:
        return True
    if not point.start:
        return False
    heard = known.services.get(point.source.process.service, 0)
    return 0 < heard <= point.start or point.time - point.start <= YOUNG_NS
