"""What one policy changes of another, in words."""

from __future__ import annotations

from dataclasses import dataclass, replace

from server.slo.model.objective import Objective, Policy


@dataclass(frozen=True, slots=True)
class PolicyDifference:
    """What changes of one objective; `service` is '' for what holds for all."""

    service: str
    text: str


def differences(before: Policy, after: Policy) -> list[PolicyDifference]:
    """Objectives that come, go or change, by name; then whether the error-budget policy does."""
    old = {objective.name: objective for objective in before.objectives}
    new = {objective.name: objective for objective in after.objectives}
    found = []
    for name in sorted(old.keys() | new.keys()):
        text = difference(old.get(name), new.get(name))
        if text:
            found.append(PolicyDifference((new.get(name) or old[name]).service, f"{name} {text}"))
    if before.budget_policy != after.budget_policy:
        found.append(PolicyDifference("", "error-budget policy changed"))
    return found


def difference(old: Objective | None, new: Objective | None) -> str:
    """What becomes of one objective; '' where it stays."""
    if old is None or new is None:
        return "removed" if new is None else f"added: {new.text}"
    if replace(old, id=0) == replace(new, id=0):
        return ""
    return f"changed: {old.text} -> {new.text}" if old.text != new.text else "changed"
