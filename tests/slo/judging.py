"""Objectives for tests of the rules."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from server.slo.objective import Objective


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
