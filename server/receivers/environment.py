"""Environments: what is not production is a service of its own, so that it mixes into nobody's budget."""

from __future__ import annotations

NAME_MAX = 200
PRODUCTION = frozenset({"", "production", "prod", "live"})


def named(service: str, environment: str) -> str:
    """The name that a service of an environment is counted under: `shop`, `shop@staging`; '' where it has none."""
    environment = environment.strip()[: NAME_MAX // 4]
    if not service or environment.lower() in PRODUCTION:
        return service[:NAME_MAX]
    return f"{service[: NAME_MAX - 1 - len(environment)]}@{environment}"
