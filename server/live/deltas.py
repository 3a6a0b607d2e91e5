"""What is counted of one series in one second, as the watch reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from server.live import pairs


class SeriesKey(NamedTuple):
    """What outcomes are counted by. `version` is '' where none was sent."""

    service: str
    version: str
    route: str
    method: str
    status: int


class Delta(NamedTuple):
    """Counts of one series in one second, from one or more flushes.

    `second` is Unix seconds, `duration_us` the sum of durations, `fast` the good
    outcomes at or under each latency threshold (us), `sketch` packed pairs.
    """

    series_id: int
    series: SeriesKey
    second: int
    n: int
    bad: int
    duration_us: int
    fast: dict[int, int]
    sketch: list[int]
    imported: bool = False  # by a command, not sent
    late: bool = False  # older than the live windows when it came, or imported: it counts, and tells nobody
    excluded: bool = False  # an exclusion covers it: people took it out of the budget


def counts(packed: Iterable[int]) -> dict[int, int]:
    """Packed pairs as a map."""
    into: dict[int, int] = {}
    pairs.add(into, packed)
    return into
