"""May this change go out now? The error-budget policy over what is known of one service.

The first of these decides: going back to a version that ran before (allowed); a version
that was rolled back, and deploys that are paused (denied); a picture that is too old (unknown); a page that fires
(deploys are denied); the budget. What is not allowed by it is lifted by, in this
order, an open incident, an exception of the policy, an override.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from msgspec.structs import replace

from server.alerts.alert import Alert
from server.alerts.order import alert_order
from server.gate.answer import NOUNS, WORDS, Applied, Facts, GateAnswer, Override, Postmortem, Question, verdict
from server.gate.budget import Decider, decider, excepted, goes_out, numbers, rank_of, state_of
from server.gate.returns import reached_at
from server.kernel.text import clock, percent
from server.kernel.times import utc
from server.slo.model.budget_policy import BudgetPolicy, BudgetState, Reason
from server.slo.model.status import ObjectiveStatus

STALE_S = 10.0

REASONS: dict[Reason, str] = {"security": "a security fix", "p0": "a P0 fix"}

When = tuple[float | None, str]  # Unix seconds, None: not known; and by what

WITHOUT_A_TIME = {
    "rolled_back_version": "only when somebody overrides it",
    "paused": "once they are resumed, or the incident is closed",
    "picture": "once a watch evaluates the objectives",
    "alert": "once the alert is over; for what it needs (reason incident), once somebody acknowledges it",
    "budget_not_known": "once its senders are heard in full",
}


def gate(question: Question, facts: Facts, policy: BudgetPolicy, now: float) -> GateAnswer:
    """The answer with its numbers; `now` is Unix seconds."""
    found = decider(facts, policy)
    first = going_back(question, facts) or not_to_be_asked(question, facts) or by_budget(question, found, policy)
    overrides = in_force(facts, question, now)
    lifted = None if first.answer == "allow" else lift(first, question, facts, policy, found, overrides)
    last = lifted or first
    at, when = next_change(first, lifted, overrides, question, facts, policy)
    state = state_of(found) if fresh(facts) else None
    return GateAnswer(
        service=question.service,
        kind=question.kind,
        version=question.version,
        answer=last.answer,
        state=state,
        reason=sentence(first, lifted, state),
        budget=numbers(found, policy) if found is not None and fresh(facts) else None,
        rules=[first] if lifted is None else [first, lifted],
        changes_at=None if at is None else utc(at),
        changes_when=when,
        postmortem=asked_for(facts, policy),
        overrides=overrides,
    )


def fresh(facts: Facts) -> bool:
    """Whether the objectives were evaluated a moment ago."""
    return facts.age_s is not None and facts.age_s <= STALE_S


def sentence(first: Applied, lifted: Applied | None, state: BudgetState | None) -> str:
    """What was decided and why, with the numbers."""
    if lifted is None:
        return f"{verdict(first.answer, state)}: {first.text}."
    return f"{verdict(lifted.answer, state)}: {lifted.text}. Without that {WORDS[first.answer].lower()}: {first.text}."


def going_back(question: Question, facts: Facts) -> Applied | None:
    """Allowed where the version ran before, unless that version was rolled back itself."""
    if not facts.going_back or facts.rolled_back is not None:
        return None
    return Applied("going_back", "allow", f"version {question.version} ran before, and going back is never gated")


def not_to_be_asked(question: Question, facts: Facts) -> Applied | None:
    """What decides before the budget does: a version that was rolled back, an old picture, a page that fires."""
    return barred(question, facts) or by_picture(question, facts)


def barred(question: Question, facts: Facts) -> Applied | None:
    """What people have taken out of production, or hold back."""
    if facts.rolled_back is not None:
        one = facts.rolled_back
        text = f"version {question.version} was rolled back by {one.by} at {clock(one.at)}; build a new one"
        return Applied("rolled_back_version", "deny", text)
    if facts.paused_by and question.kind == "deploy":
        text = f"deploys of {question.service} are paused by {facts.paused_by} in an incident"
        return Applied("paused", "deny", text)
    return None


def by_picture(question: Question, facts: Facts) -> Applied | None:
    """A picture that is too old, or a page that fires in it."""
    if facts.age_s is None:
        return Applied("picture", "unknown", "no watch has evaluated the objectives yet")
    if facts.uncounted:
        return Applied("picture", "unknown", f"the objective of {question.service} is not counted yet")
    if not fresh(facts):
        text = f"the objectives were evaluated {facts.age_s:.0f} s ago and no watch evaluates them now"
        return Applied("picture", "unknown", text)
    page = firing(facts)
    if question.kind == "deploy" and page is not None:
        since = clock(utc(page.began))
        text = f"the alert of {page.objective} fires, SEV-{page.severity}, since {since}, and that stops deploys"
        return Applied("alert", "deny", text)
    return None


def firing(facts: Facts) -> Alert | None:
    """The worst page that fires."""
    return min(firing_pages(facts.alerts), key=alert_order, default=None)


def by_budget(question: Question, found: Decider | None, policy: BudgetPolicy) -> Applied:
    """What the policy says to the budget of the objective that decides."""
    if found is None:
        return Applied("no_objective", "allow", f"no objective holds {question.service}, so there is no budget")
    one = found.objective
    if found.rank == "not_known":
        if goes_out(policy, "frozen", question.kind):
            text = f"{unknown(one)}, and the policy lets {NOUNS[question.kind]} out whatever is left"
            return Applied("budget_not_known", "allow", text)
        return Applied("budget_not_known", policy.blind, unknown(one))
    if one.budget_left is None and one.budget_best is None:
        return Applied("no_traffic", "allow", f"there was no traffic in the window of {one.name}")
    state: BudgetState = found.rank
    allowed = goes_out(policy, state, question.kind)
    text = left(one) + limits(state, policy)
    if not allowed:
        text += f", where the policy stops {NOUNS[question.kind]}"
    return Applied("budget", "allow" if allowed else "deny", text)


def unknown(one: ObjectiveStatus) -> str:
    """Says that a budget is not known, why, and its range where there is one."""
    if one.recounting:
        return f"the budget of {one.name} is not known, as it is being recounted"
    why = "is partial: a limit refuses its senders" if one.state == "partial" else "is blind: its outcomes do not come"
    if one.budget_worst is None or one.budget_best is None:
        return f"the budget of {one.name} is not known, as {one.service} {why}"
    span = f"{percent(one.budget_worst)} to {percent(one.budget_best)}"
    return f"the budget of {one.name} is not known ({span} is left), as {one.service} {why}"


def left(one: ObjectiveStatus) -> str:
    """Says how much is left of a budget that is known, or frozen even at best."""
    whose = f"the budget of {one.name}{' (provisional)' if one.provisional else ''}"
    if one.budget_left is not None and not one.judged:
        return f"{whose} has too little traffic to be judged ({one.bad} of {one.good + one.bad} failed)"
    if one.budget_best is not None:
        return f"{percent(one.budget_best)} of {whose} is left at best"
    return f"{percent(one.budget_left or 0.0)} of {whose} is left"


def limits(state: BudgetState, policy: BudgetPolicy) -> str:
    """Says which threshold the budget is under; empty where it is healthy."""
    if state == "healthy":
        return ""
    if state == "frozen":
        return f", and it is frozen at {percent(float(policy.frozen_below))}"
    return f", under the {percent(float(policy.caution_below))} that asks for caution"


def asked_for(facts: Facts, policy: BudgetPolicy) -> list[Postmortem]:
    """The alerts that used more of the budget than the policy lets pass without a postmortem, the worst first."""
    most = percent(float(policy.postmortem_share))
    found = [one for one in facts.postmortems if one.spent > float(policy.postmortem_share)]
    return [replace(one, text=postmortem_text(one, most)) for one in sorted(found, key=lambda one: -one.spent)]


def postmortem_text(one: Postmortem, most: str) -> str:
    """Asks for a postmortem, and says why."""
    used = f"Alert {one.alert} of {one.objective} used {percent(one.spent)} of the budget at {clock(one.at)}"
    return f"{used}, more than {most}: hold a postmortem with a P0 action."


def lift(  # noqa: PLR0917 - everything that is known
    first: Applied,
    question: Question,
    facts: Facts,
    policy: BudgetPolicy,
    found: Decider | None,
    overrides: Sequence[Override],
) -> Applied | None:
    """The first that lifts the deny; None: it stands. A version that was rolled back is lifted by an override alone."""
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
    """Lifted where the change is needed for an open incident; by an old picture it is not known whether one is open."""
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


def open_incident(alerts: Sequence[Alert]) -> Alert | None:
    """The page that somebody works on, of the service's open alerts; the earliest taken first.

    One that was a ticket when somebody acknowledged it was not acknowledged as a page.
    """
    taken = [alert for alert in firing_pages(alerts) if alert.acknowledged_as == "page"]
    return min(taken, key=lambda alert: alert.acknowledged_at or 0.0, default=None)


def firing_pages(alerts: Sequence[Alert]) -> list[Alert]:
    """The firing alerts of urgency page, also of provisional objectives."""
    return [alert for alert in alerts if alert.state == "firing" and alert.urgency == "page"]


def next_change(  # noqa: PLR0917 - everything that is known
    first: Applied,
    lifted: Applied | None,
    overrides: list[Override],
    question: Question,
    facts: Facts,
    policy: BudgetPolicy,
) -> When:
    """When the answer changes, and by what; (None, "") where it is allowed. `overrides`: in force, latest end first."""
    if lifted is not None and lifted.rule == "override":
        return overrides[0].expires_at.timestamp(), "the override ends"
    if lifted is not None or first.answer == "allow":
        return None, ""
    if first.rule == "rolled_back_version" and facts.rolled_back and facts.rolled_back.incident:
        return None, f"once incident {facts.rolled_back.incident} is closed, or somebody overrides it"
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

    stops = [o for o in facts.objectives if rank_of(o, policy) in stopped]
    times = [reached_at(o, facts.spending.get(o.name, ()), enough) for o in stops]
    if not times or None in times:
        return None, "once enough failures have left the window"
    return max(at for at in times if at is not None), "enough failures have left the window, if nothing more fails"
