"""A figure that was measured, what it is compared with, and the limit it is held to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Bound = Literal["at least", "at most"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. `against` is the same of a peer, measured in the same run: then the ratio is held to `limit`,
    else the value. `limit` None: reported only. `rounds`: what is held to the limit, in each round.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    bound: Bound = "at most"
    note: str = ""
    against: float | None = None
    rounds: tuple[float, ...] = ()

    @property
    def ratio(self) -> float | None:
        """Ours to the peer's; the median of the rounds, where there were several."""
        if self.against is None:
            return None
        return statistics.median(self.rounds) if self.rounds else self.value / self.against

    @property
    def holds(self) -> bool:
        """Whether the limit is kept."""
        if self.limit is None:
            return True
        judged = self.value if self.ratio is None else self.ratio
        return judged >= self.limit if self.bound == "at least" else judged <= self.limit

    @property
    def verdict(self) -> str:
        return "" if self.limit is None else ("holds" if self.holds else "MISSED")

    @property
    def spread(self) -> str:
        """Least to most of the rounds."""
        return f"{min(self.rounds):.3g}-{max(self.rounds):.3g}" if len(self.rounds) > 1 else ""

    def line(self) -> str:
        """For a terminal."""
        limit = "" if self.limit is None else f"{self.bound} {self.limit:g}"
        against = "" if self.against is None else f"/ {self.against:.4g} = {self.ratio:.3g}"
        figures = f"{self.value:>12.4g} {self.unit:<8} {against:<18} {self.spread:<12}"
        return f"{self.name:<58} {figures} {limit:<14} {self.verdict:<7} {self.note}".rstrip()


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure of docs/performance.md is to be, and who measures it: `python -m benchmarks MODULE`."""

    module: str
    peer: str  # what it is a ratio to; empty: the figure itself is held to the limit
    limit: float
    bound: Bound = "at most"


BASE = "the build c0f5fcb"
AIMS = {
    "web CPU an outcome, batches of 1000": Aim("ingest", BASE, 0.4),
    "durable batches of 1000, rate": Aim("ingest", "pre-encoded COPY committed every 1000", 0.85, "at least"),
    "total CPU an outcome, beside InfluxDB": Aim("peers", "InfluxDB 1.6, batches of 5000", 1.5),
    "total CPU an outcome, beside ClickHouse": Aim("peers", "ClickHouse 18.16, batches of 5000", 1.5),
    "web CPU a single, 64 connections": Aim("ingest", BASE, 0.3),
    "durable singles, rate": Aim("ingest", "a bare Tornado handler", 1.2, "at least"),
    "WAL bytes a single": Aim("ingest", BASE, 0.5),
    "ingest with random request ids, rate": Aim("rows", "our own ids, after a checkpoint", 0.8, "at least"),
    "bytes on disk an outcome": Aim("rows", "its JSON", 1.0),
    "latency over 24 h, 200 series, p95": Aim("history", "", 100.0),
    "latency over 24 h, 5,000 series, p95": Aim("history", "", 100.0),
    "summary of 7 days by route, p95": Aim("history", "", 100.0),
    "request id, p95": Aim("growth", "", 20.0),
    "idle CPU a minute, whole service": Aim("idle", BASE, 0.3),
    "memory of the largest process, 200 series": Aim("memory", "", 90.0),
    "memory of the largest process, 5,000 series": Aim("memory", "", 90.0),
    "status pages, more outcomes, p50": Aim("", "1 million outcomes", 1.2),
    "total outage to firing, 50/s": Aim("outage", "Prometheus, 1 s scrape and evaluation", 0.025),
    "durable spans by OTLP, rate": Aim("otlp", "outcomes by POST", 0.5, "at least"),
    "8,192 spans in one request, longest": Aim("otlp", "", 1.0),
    "memory that 8,192 spans at once leave": Aim("otlp", "", 32.0),
    "access log, the slowest form, lines": Aim("access_log", "", 150_000.0, "at least"),
}


def aimed(name: str, ours: Sequence[float], unit: str, theirs: Sequence[float] = (), note: str = "") -> Figure:
    """The figure of an aim, from what was measured in each round. Without its peer it is held to nothing."""
    aim = AIMS[name]
    value = statistics.median(ours)
    if not aim.peer:
        return Figure(name, value, unit, aim.limit, aim.bound, note, None, tuple(ours))
    if not theirs:
        return Figure(name, value, unit, note=note)
    ratios = tuple(mine / other for mine, other in zip(ours, theirs, strict=True))
    return Figure(name, value, unit, aim.limit, aim.bound, note, statistics.median(theirs), ratios)


def compared(name: str, ours: Sequence[float], unit: str, theirs: Sequence[float], note: str = "") -> Figure:
    """A figure beside a peer's that is held to nothing."""
    if not theirs:
        return Figure(name, statistics.median(ours), unit, note=note)
    ratios = tuple(mine / other for mine, other in zip(ours, theirs, strict=True))
    return Figure(name, statistics.median(ours), unit, note=note, against=statistics.median(theirs), rounds=ratios)
