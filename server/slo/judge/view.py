"""What the pages and the API show of objectives, worst first."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from server.slo.model.objective import Objective
from server.slo.model.status import SEVERITY, BurnWindow, ObjectiveStatus, State, Status


class ObjectiveRow(Struct):
    """One row of an objectives table; the fields that ObjectiveStatus has are its own.

    `state` None: not evaluated yet.
    """

    name: str
    title: str
    service: str
    text: str  # 99.9 % of requests succeed, over 28 days
    state: State | None
    budget_left: float | None
    budget_worst: float | None
    budget_best: float | None
    burn_5m: float | None
    burn_1h: float | None
    exhausted_in_s: float | None
    since: float | None
    windows: list[BurnWindow]
    judged: bool
    provisional: bool  # the default of a service that nobody configured
    recounting: bool  # the budget is not known yet


def by_name(status: Status | None) -> dict[str, ObjectiveStatus]:
    """How each objective stands; empty before the first evaluation."""
    return {each.name: each for each in status.objectives} if status else {}


def objective_rows(objectives: Iterable[Objective], status: Status | None) -> list[ObjectiveRow]:
    """A row for each objective, the worst state first, then the least budget."""
    statuses = by_name(status)
    ordered = sorted(objectives, key=lambda each: urgency(each.name, statuses.get(each.name)))
    return [row(each, statuses.get(each.name)) for each in ordered]


def row(objective: Objective, status: ObjectiveStatus | None) -> ObjectiveRow:
    """One objective as the tables show it."""
    return ObjectiveRow(
        name=objective.name,
        title=objective.title,
        service=objective.service,
        text=text(objective),
        state=status.state if status else None,
        budget_left=status.budget_left if status else None,
        budget_worst=status.budget_worst if status else None,
        budget_best=status.budget_best if status else None,
        burn_5m=status.burn_5m if status else None,
        burn_1h=status.burn_1h if status else None,
        exhausted_in_s=status.exhausted_in_s if status else None,
        since=status.since if status else None,
        windows=status.windows if status else [],
        judged=status.judged if status else True,
        provisional=objective.provisional,
        recounting=status.recounting if status else False,
    )


def text(objective: Objective) -> str:
    """An objective in a sentence: `99 % of requests within 300 ms, over 28 days`; a provisional one says so."""
    share = f"{float(objective.target * 100):.10g} %"
    days = "1 day" if objective.window_days == 1 else f"{objective.window_days} days"
    if objective.threshold_us is None:
        return f"{share} of requests succeed, over {days}{', by default' if objective.provisional else ''}"
    return f"{share} of requests within {objective.threshold_us / 1000:.10g} ms, over {days}"


def urgency(name: str, status: ObjectiveStatus | None) -> tuple[int, float, str]:
    """What sorts first is what a commander looks at first."""
    if status is None:
        return len(SEVERITY), 1.0, name
    return SEVERITY.index(status.state), 1.0 if status.budget_left is None else status.budget_left, name
