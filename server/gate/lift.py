"""What allows a change all the same: an open incident, an exception of the policy, an override."""

from __future__ import annotations

from collections.abc import Sequence

from server.gate.answer import Applied, Facts, Override, Question
from server.gate.budget import Decider, excepted, state_of
from server.gate.incident import open_incident
from server.kernel.figures import clock
from server.slo.model.budget_policy import BudgetPolicy, Reason

REASONS: dict[Reason, str] = {"security": "a security fix", "p0": "a P0 fix"}


def lift(  # noqa: PLR0917 - everything that is known
    first: Applied,
    question: Question,
    facts: Facts,
    policy: BudgetPolicy,
    found: Decider | None,
    overrides: Sequence[Override],
) -> Applied | None:
    """The first that lifts it; None: it stands. What was rolled back only an override lets out again."""
    override = next(iter(overrides), None)
    if first.rule != "rolled_back_version":
        lifted = by_incident(first, question, facts) or by_exception(first, question, policy, found)
        if lifted is not None:
            return lifted
    if override is None:
        return None
    text = f"overridden by {override.author} until {clock(override.expires_at)} ({override.reason})"
    return Applied("override", "allow", text)


def by_incident(first: Applied, question: Question, facts: Facts) -> Applied | None:
    """What somebody says that an open incident needs is not gated. An old picture does not know whether one is open."""
    asked = question.reason == "incident" and first.rule != "picture"
    incident = open_incident(facts.alerts) if asked else None
    if incident is None:
        return None
    who = incident.acknowledged_by or "somebody"
    text = f"what an open incident needs is not gated, and {who} works on {incident.objective}"
    return Applied("open_incident", "allow", text)


def by_exception(first: Applied, question: Question, policy: BudgetPolicy, found: Decider | None) -> Applied | None:
    """A reason that the policy excepts. What is not known, and a page, weigh as much as the worst state does."""
    state = state_of(found) if first.rule == "budget" else None
    reason = question.reason
    if reason == "incident":
        return None
    if reason == "normal" or not excepted(policy, state or "frozen", reason):
        return None
    return Applied("exception", "allow", f"the policy lets {REASONS[reason]} out")


def in_force(facts: Facts, question: Question, now: float) -> list[Override]:
    """The overrides for this kind of change, the one that ends last first."""
    held = [
        one
        for one in facts.overrides
        if one.kind == question.kind and one.revoked_at is None and one.expires_at.timestamp() > now
    ]
    return sorted(held, key=lambda one: (-one.expires_at.timestamp(), one.id))
