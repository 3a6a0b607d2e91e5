"""Objectives with burn tiers of their own."""

from __future__ import annotations

from decimal import Decimal

from tests.slo.making import availability, service

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
