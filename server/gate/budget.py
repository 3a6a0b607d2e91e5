"""Which budget decides, and what the policy makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from server.gate.answer import Facts, GateBudget
from server.slo.model.budget_policy import BudgetPolicy, BudgetState, ChangeKind, Reason, budget_state
from server.slo.model.status import ObjectiveStatus

# How bad a budget is, as far as it is known: the objective of the worst rank decides.
Rank = Literal["frozen", "not_known", "caution", "healthy"]
ORDER: tuple[Rank, ...] = ("frozen", "not_known", "caution", "healthy")  # worst first
STATES: tuple[BudgetState, ...] = ("healthy", "caution", "frozen")  # best first


@dataclass(frozen=True, slots=True)
class Decider:
    """The objective that decides, and the rank of its budget."""

    objective: ObjectiveStatus
    rank: Rank


def known(objective: ObjectiveStatus) -> bool:
    """Whether its budget is a number: not while blind, partial or recounted."""
    heard = objective.budget_worst is None and objective.state not in ("blind", "partial")
    return heard and not objective.recounting


def rank_of(objective: ObjectiveStatus, policy: BudgetPolicy) -> Rank:
    """The rank of one budget.

    A range that is frozen even at its best end is frozen; one of a ledger that is being
    recounted says nothing. An objective that nobody configured is never frozen, as nobody
    has agreed to be stopped by it; one that is not known is no better for that, and the
    policy says what then. What is too little traffic to judge, or none, is held against nobody.
    """
    if not known(objective):
        best = objective.exactly_left_at_best
        counts = objective.judged and not objective.provisional and not objective.recounting
        frozen = counts and best is not None and budget_state(policy, best) == "frozen"
        return "frozen" if frozen else "not_known"
    left = objective.exactly_left
    if left is None or not objective.judged:
        return "healthy"
    state = budget_state(policy, left)
    return "caution" if objective.provisional and state == "frozen" else state


def decider(facts: Facts, policy: BudgetPolicy) -> Decider | None:
    """The objective whose budget has the worst rank; of several the one with least left. None: no objective."""
    found = [Decider(each, rank_of(each, policy)) for each in facts.objectives]
    return min(found, key=lambda each: (ORDER.index(each.rank), least(each.objective)), default=None)


def state_of(found: Decider | None) -> BudgetState | None:
    """The state of the budget that decides; None where it is not known, or there is none."""
    if found is None or found.rank == "not_known":
        return None
    one = found.objective
    return None if one.budget_left is None and one.budget_best is None else found.rank


def least(objective: ObjectiveStatus) -> float:
    """The lowest value that the budget left can have; infinite where it has none, so that it sorts last."""
    values = (objective.budget_worst, objective.budget_left)
    return next((value for value in values if value is not None), float("inf"))


def goes_out(policy: BudgetPolicy, state: BudgetState, kind: ChangeKind) -> bool:
    """Whether a kind of change goes out in a state. What a worse state allows, a better one does too."""
    return any(kind in policy.allows[each].kinds for each in at_least(policy, state))


def excepted(policy: BudgetPolicy, state: BudgetState, reason: Reason) -> bool:
    """Whether a reason lifts a deny in a state, or in a worse one."""
    return any(reason in policy.allows[each].exceptions for each in at_least(policy, state))


def at_least(policy: BudgetPolicy, state: BudgetState) -> list[BudgetState]:
    """The state and those worse than it that the policy names."""
    return [each for each in STATES[STATES.index(state) :] if each in policy.allows]


def numbers(found: Decider, policy: BudgetPolicy) -> GateBudget:
    """The numbers of the objective that decides."""
    one = found.objective
    return GateBudget(
        objective=one.name,
        provisional=one.provisional,
        left=one.budget_left if known(one) else None,
        worst=None if one.recounting else one.budget_worst,
        best=None if one.recounting else one.budget_best,
        caution_below=float(policy.caution_below),
        frozen_below=float(policy.frozen_below),
        burn_1h=one.burn_1h,
        window_days=one.window_days,
    )
