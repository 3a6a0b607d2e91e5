"""Policies for tests."""

from __future__ import annotations

from pathlib import Path

SERVICE = """
---
apiVersion: openslo/v1
kind: Service
metadata:
  name: {name}
"""

AVAILABILITY = """
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: {name}
spec:
  service: {service}
  indicator:
    spec:
      ratioMetric:
        counter: true
        bad:
          metricSource:
            type: evenkeel
            spec:
              count: bad
        total:
          metricSource:
            type: evenkeel
            spec:
              count: all
  timeWindow:
    - duration: {days}d
      isRolling: true
  budgetingMethod: Occurrences
  objectives:
    - target: {target}
"""

LATENCY = """
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: {name}
spec:
  service: {service}
  indicator:
    metadata:
      name: {name}-indicator
    spec:
      ratioMetric:
        counter: true
        good:
          metricSource:
            type: evenkeel
            spec:
              count: good
              at_most_ms: {at_most_ms}
        total:
          metricSource:
            type: evenkeel
            spec:
              count: good
  timeWindow:
    - duration: {days}d
      isRolling: true
  budgetingMethod: Occurrences
  objectives:
    - targetPercent: {percent}
"""


def service(name: str) -> str:
    return SERVICE.format(name=name)


def availability(name: str, of: str, *, target: float = 0.999, days: int = 28) -> str:
    return AVAILABILITY.format(name=name, service=of, target=target, days=days)


def latency(name: str, of: str, *, at_most_ms: float = 300, percent: float = 99, days: int = 28) -> str:
    return LATENCY.format(name=name, service=of, at_most_ms=at_most_ms, percent=percent, days=days)


SHOP = service("shop") + availability("shop-works", "shop") + latency("shop-fast", "shop")


def file(directory: Path, text: str, name: str = "slo.yaml") -> str:
    """The text as a file; its path."""
    path = directory / name
    path.write_text(text)
    return str(path)
