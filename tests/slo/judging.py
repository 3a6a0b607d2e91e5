"""Objectives for tests of the rules."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from server.live.deltas import Delta, SeriesKey
from server.live.service import LiveService
from server.slo.model.objective import Objective


def objective(target: str = "0.999", **given: Any) -> Objective:
    """An availability objective of `shop` over 28 days."""
    usual: dict[str, Any] = {
        "name": "shop-works",
        "title": "Shop works",
        "service": "shop",
        "kind": "availability",
        "target": Fraction(target),
        "threshold_us": None,
        "window_days": 28,
        "id": 1,
    }
    return Objective(**(usual | given))


START = 1_790_000_000


def delta(second: int, n: int, bad: int, **given: Any) -> Delta:
    key = SeriesKey("shop", "v1", "/pay", "GET", 200)
    usual: dict[str, Any] = {"duration_us": 0, "fast": {}, "sketch": []}
    return Delta(1, key, second, n, bad, **(usual | given))


def seen(name: str, **given: Any) -> LiveService:
    """A service as the picture has it."""
    usual: dict[str, Any] = {
        "name": name,
        "n": 0,
        "bad": 0,
        "n_5m": 0,
        "bad_5m": 0,
        "p50_ms": None,
        "p95_ms": None,
        "p99_ms": None,
        "points": [],
        "routes": [],
        "versions": [],
        "worst_route": None,
        "worst_version": None,
        "last_seen": None,
        "usual_per_second": None,
        "silent_s": None,
    }
    return LiveService(**(usual | given))
