"""Every check by its name, in the order in which they are shown. Each is a file, loaded when it is needed."""

from __future__ import annotations

from importlib import import_module

from checks.check import Check

# What Evenkeel's own files say: they load much, so the service runs them in a process of their own.
REPOSITORY = ("docs_routes", "schema_policy", "version_consistency")
# What runs, and what is configured.
RUNNING = (
    "slo_policy",
    "runbook",
    "runtime_health",
    "watch",
    "stragglers",
    "clocks",
    "drains",
    "notify_targets",
    "deploy_targets",
    "secret_key",
    "loop_lag",
    "partitions",
    "disk",
    "spool",
    "cardinality",
    "duration_units",
)
NAMES = REPOSITORY + RUNNING


def load(name: str) -> Check:
    """The check of this name; KeyError where there is none."""
    if name not in NAMES:
        raise KeyError(name)
    check: Check = import_module(f"checks.{name}").CHECK
    return check
