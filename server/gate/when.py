"""When the answer would be another one."""

from __future__ import annotations

from fractions import Fraction

from server.gate.answer import Applied, Facts, Override, Question
from server.gate.budget import goes_out, standing
from server.gate.returns import reached_at
from server.slo.model.budget_policy import BudgetPolicy

When = tuple[float | None, str]  # Unix seconds, None: not known; and by what

WITHOUT_A_TIME = {
    "rolled_back_version": "only when somebody overrides it",
    "picture": "once a watch evaluates the objectives",
    "alert": "once the alert is over; for what it needs (reason incident), once somebody acknowledges it",
    "budget_not_known": "once its senders are heard in full",
}


def changes(  # noqa: PLR0917 - everything that is known
    first: Applied,
    lifted: Applied | None,
    overrides: list[Override],
    question: Question,
    facts: Facts,
    policy: BudgetPolicy,
) -> When:
    """When, and by what; nothing where nobody waits for it. `overrides` are in force, the one that ends last first."""
    if lifted is not None and lifted.rule == "override":
        return overrides[0].expires_at.timestamp(), "the override ends"
    if lifted is not None or first.answer == "allow":
        return None, ""
    if first.rule == "budget":
        return thaws_at(question, facts, policy)
    if first.rule == "budget_not_known" and any(one.recounting for one in facts.objectives):
        return None, "once it is recounted"
    return None, WITHOUT_A_TIME.get(first.rule, "")


def thaws_at(question: Question, facts: Facts, policy: BudgetPolicy) -> When:
    """When enough failures have left the windows of every objective that stops this change."""
    if not goes_out(policy, "healthy", question.kind):
        return None, "only when somebody overrides it: the policy lets none out in any state"
    over_caution = not goes_out(policy, "caution", question.kind)
    stopped = ("frozen", "caution") if over_caution else ("frozen",)

    def enough(left: Fraction) -> bool:
        return left >= policy.caution_below if over_caution else left > policy.frozen_below

    stops = [o for o in facts.objectives if standing(o, policy) in stopped]
    times = [reached_at(o, facts.spending.get(o.name, ()), enough) for o in stops]
    if not times or None in times:
        return None, "once enough failures have left the window"
    return max(at for at in times if at is not None), "enough failures have left the window, if nothing more fails"
