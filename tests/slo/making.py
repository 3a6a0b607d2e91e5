"""Policy texts for tests: objectives, with burn tiers of their own where asked for."""

from __future__ import annotations

from decimal import Decimal
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


CONDITION = """
---
apiVersion: openslo/v1
kind: AlertCondition
metadata:
  name: {name}
spec:
  severity: {severity}
  condition:
    kind: burnrate
    op: gte
    threshold: {threshold}
    lookbackWindow: {window}
    alertAfter: 0m
"""


POLICY = """
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata:
  name: {name}
spec:
  alertWhenBreaching: true
  conditions:
    - conditionRef: {first}
    - conditionRef: {second}
"""


def tier(name: str, threshold: float | Decimal, first: str, second: str, severity: str = "page") -> str:
    """An alert policy of two conditions that stand by themselves."""
    conditions = "".join(
        CONDITION.format(name=f"{name}-{window}", severity=severity, threshold=threshold, window=window)
        for window in (first, second)
    )
    return conditions + POLICY.format(name=name, first=f"{name}-{first}", second=f"{name}-{second}")


def objective(*policies: str, target: float = 0.999) -> str:
    asked = "".join(f"    - {policy}\n" for policy in policies)
    return service("shop") + availability("works", "shop", target=target) + "  alertPolicies:\n" + asked


FAST, SLOW = tier("fast", 14.4, "1h", "5m"), tier("slow", 1, "12h", "3d", "ticket")
