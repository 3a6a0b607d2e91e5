"""Every check, in the order in which they are shown."""

from __future__ import annotations

from checks import (
    cardinality,
    disk,
    docs_routes,
    loop_lag,
    notify_targets,
    partitions,
    runtime_health,
    schema_policy,
    slo_policy,
    stragglers,
    version_consistency,
    watch,
)
from checks.check import Check

CHECKS: tuple[Check, ...] = (
    docs_routes.CHECK,
    schema_policy.CHECK,
    version_consistency.CHECK,
    slo_policy.CHECK,
    runtime_health.CHECK,
    watch.CHECK,
    stragglers.CHECK,
    notify_targets.CHECK,
    loop_lag.CHECK,
    partitions.CHECK,
    disk.CHECK,
    cardinality.CHECK,
)


def named(names: tuple[str, ...]) -> list[Check]:
    """The checks of these names, in that order; KeyError names one that does not exist."""
    by_name = {check.name: check for check in CHECKS}
    return [by_name[name] for name in names]
