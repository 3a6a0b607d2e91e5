"""Ship? What the gate says to a deploy, what the worst one would cost, and what comes back when."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from server.gate.answer import Applied, GateAnswer, SpentHour, verdict
from server.gate.returns import Return, allowance, next_return
from server.kernel.text import percent
from server.slo.model.budget import HANDFUL
from server.slo.model.status import ObjectiveStatus, VersionVerdict

DEPLOYS_DAYS = 90


class DeployHours(Struct, frozen=True):
    """What one objective counted as bad in the hour before a deploy and in the hour after it.

    `by_hours`: the minutes are not kept any more. Then `before` is the hour that
    ended before the deploy's own, and `after` the worse of that and the next.
    """

    version: str
    at: float
    before: int
    after: int
    by_hours: bool


class Worst(Struct):
    """The deploy that cost most: `cost` is the share of today's whole budget that the same failures would take."""

    version: str
    at: float
    cost: float
    by_hours: bool


class Ship(Struct):
    """The whole of it. `worst` None: no deploy of these days cost a handful; `deploys` is how many were reckoned."""

    answer: GateAnswer
    verdict: str  # Allowed, with caution.
    left: str  # 31 % left.
    worst: Worst | None
    deploys: int
    returns: Return | None
    version: VersionVerdict | None = None  # the newest version against the one before it


def ship(
    answer: GateAnswer,
    objectives: Sequence[ObjectiveStatus],
    deploys: Sequence[DeployHours],
    spending: Sequence[SpentHour],
    now: float,
) -> Ship:
    """Ship? from the objective that decides; `deploys` and `spending` are those of its budget.

    While that is recounted, neither its deploys nor what returns are reckoned: shares of what is not known yet. Of too
    little traffic deploys are not reckoned either: one failure would be a large share.
    """
    name = answer.budget.objective if answer.budget else ""
    one = next((each for each in objectives if each.name == name), None)
    known = one if one is not None and not one.recounting else None
    return Ship(
        answer=answer,
        verdict=f"{verdict(answer.answer, answer.state)}.",
        left=left(answer, one),
        worst=worst_deploy(known, deploys) if known else None,
        deploys=len(deploys) if known and known.judged else 0,
        returns=next_return(known, spending, now) if known else None,
    )


def left(answer: GateAnswer, one: ObjectiveStatus | None) -> str:
    """The budget left, in a sentence; nothing where there is none."""
    if answer.budget is None or one is None:
        return ""
    if one.recounting:
        return "Being recounted."
    budget = answer.budget
    if budget.worst is not None and budget.best is not None:
        return f"{percent(budget.worst)} to {percent(budget.best)} left."
    if budget.left is None:
        return "No traffic." if one.state == "no_traffic" else ""
    return f"{percent(budget.left)} left." if one.judged else "Too little traffic to judge the budget."


def worst_deploy(one: ObjectiveStatus, deploys: Sequence[DeployHours]) -> Worst | None:
    """The deploy after which most failed beyond what failed before it, a handful at least; the newest of several.
    None of too little traffic to judge its budget."""
    allowed = allowance(one)
    most = max(deploys, key=lambda each: (each.after - each.before, each.at), default=None)
    if most is None or not one.judged or most.after - most.before < HANDFUL or allowed <= 0:
        return None
    return Worst(most.version, most.at, float((most.after - most.before) / allowed), most.by_hours)


def rule_sentences(answer: GateAnswer) -> list[str]:
    """Each rule that applied, as a sentence of its own; an override is shown with its button."""
    return [sentence(rule) for rule in answer.rules if rule.rule != "override"]


def sentence(rule: Applied) -> str:
    return f"{rule.text[:1].upper()}{rule.text[1:]}."
