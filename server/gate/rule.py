"""May this change go out now? The error-budget policy over what is known of one service.

The first of these decides: going back to a version that ran before (allowed); a version
that was rolled back (denied); a picture that is too old (unknown); a page that fires
(deploys are denied); the budget. What is not allowed by it is lifted by, in this
order, an open incident, an exception of the policy, an override.
"""

from __future__ import annotations

from msgspec.structs import replace

from server.alerts.alert import Alert
from server.gate.answer import Applied, Facts, GateAnswer, Postmortem, Question
from server.gate.budget import Decider, decider, goes_out, numbers, state_of
from server.gate.incident import firing_pages
from server.gate.lift import in_force, lift
from server.gate.when import changes
from server.gate.words import NOUNS, WORDS, verdict
from server.kernel.figures import clock, percent
from server.kernel.times import utc
from server.slo.model.budget_policy import BudgetPolicy, BudgetState
from server.slo.model.status import ObjectiveStatus

STALE_S = 10.0


def gate(question: Question, facts: Facts, policy: BudgetPolicy, now: float) -> GateAnswer:
    """The answer with its numbers; `now` is Unix seconds."""
    found = decider(facts, policy)
    first = going_back(question, facts) or not_to_be_asked(question, facts) or by_budget(question, found, policy)
    overrides = in_force(facts, question, now)
    lifted = None if first.answer == "allow" else lift(first, question, facts, policy, found, overrides)
    last = lifted or first
    at, when = changes(first, lifted, overrides, question, facts, policy)
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
    """A rollback is never gated; unless it goes back to what was itself rolled back."""
    if not facts.going_back or facts.rolled_back is not None:
        return None
    return Applied("going_back", "allow", f"version {question.version} ran before, and going back is never gated")


def not_to_be_asked(question: Question, facts: Facts) -> Applied | None:
    """What outranks the budget."""
    if facts.rolled_back is not None:
        one = facts.rolled_back
        text = f"version {question.version} was rolled back by {one.by} at {clock(one.at)}; build a new one"
        return Applied("rolled_back_version", "deny", text)
    if facts.age_s is None:
        return Applied("picture", "unknown", "no watch has evaluated the objectives yet")
    if not fresh(facts):
        text = f"the objectives were evaluated {facts.age_s:.0f} s ago and no watch evaluates them now"
        return Applied("picture", "unknown", text)
    page = firing(facts)
    if question.kind == "deploy" and page is not None:
        since = clock(utc(page.onset))
        text = f"the alert of {page.objective} fires, SEV-{page.severity}, since {since}, and that stops deploys"
        return Applied("alert", "deny", text)
    return None


def firing(facts: Facts) -> Alert | None:
    """The worst page that fires."""
    return min(firing_pages(facts.alerts), key=lambda alert: (alert.severity, alert.onset), default=None)


def by_budget(question: Question, found: Decider | None, policy: BudgetPolicy) -> Applied:
    """What the policy says to the budget of the objective that decides."""
    if found is None:
        return Applied("no_objective", "allow", f"no objective holds {question.service}, so there is no budget")
    one = found.objective
    if found.standing == "not_known":
        if goes_out(policy, "frozen", question.kind):
            text = f"{unknown(one)}, and the policy lets {NOUNS[question.kind]} out whatever is left"
            return Applied("budget_not_known", "allow", text)
        return Applied("budget_not_known", policy.blind, unknown(one))
    if one.budget_left is None and one.budget_best is None:
        return Applied("no_traffic", "allow", f"there was no traffic in the {one.window_days} days of {one.name}")
    state: BudgetState = found.standing
    allowed = goes_out(policy, state, question.kind)
    text = left(one) + limits(state, policy)
    if not allowed:
        text += f", where the policy stops {NOUNS[question.kind]}"
    return Applied("budget", "allow" if allowed else "deny", text)


def unknown(one: ObjectiveStatus) -> str:
    """That a budget is not known, with its range."""
    if one.recounting:
        return f"the budget of {one.name} is not known, as it is being recounted"
    why = "is partial: a limit refuses its senders" if one.state == "partial" else "is blind: its senders are silent"
    if one.budget_worst is None or one.budget_best is None:
        return f"the budget of {one.name} is not known, as {one.service} {why}"
    span = f"{percent(one.budget_worst)} to {percent(one.budget_best)}"
    return f"the budget of {one.name} is not known ({span} is left), as {one.service} {why}"


def left(one: ObjectiveStatus) -> str:
    """What is left of a budget that is known well enough."""
    whose = f"the budget of {one.name}{' (provisional)' if one.provisional else ''}"
    if one.budget_left is not None and not one.judged:
        return f"{whose} has too little traffic to be judged ({one.bad} of {one.good + one.bad} failed)"
    if one.budget_best is not None:
        return f"{percent(one.budget_best)} of {whose} is left at best"
    return f"{percent(one.budget_left or 0.0)} of {whose} is left"


def limits(state: BudgetState, policy: BudgetPolicy) -> str:
    """The threshold that the budget is under."""
    if state == "healthy":
        return ""
    if state == "frozen":
        return f", and it is frozen at {percent(float(policy.frozen_below))}"
    return f", under the {percent(float(policy.caution_below))} that asks for caution"


def asked_for(facts: Facts, policy: BudgetPolicy) -> list[Postmortem]:
    """The alerts that used more of the budget than the policy lets pass without a postmortem, the worst first."""
    most = percent(float(policy.postmortem_share))
    found = [one for one in facts.postmortems if one.spent > float(policy.postmortem_share)]
    return [replace(one, text=told(one, most)) for one in sorted(found, key=lambda one: -one.spent)]


def told(one: Postmortem, most: str) -> str:
    """What is asked for, and why."""
    used = f"Alert {one.alert} of {one.objective} used {percent(one.spent)} of the budget at {clock(one.at)}"
    return f"{used}, more than {most}: hold a postmortem with a P0 action."
