"""What is odd about a valid policy: nothing here stops it, each is worth a look before it is saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from server.kernel.names import OTHER, OWN
from server.selfcheck.findings import Finding
from server.slo.model.budget import HANDFUL
from server.slo.model.budget_policy import severity
from server.slo.model.objective import Objective, Policy
from server.slo.model.tiers import arithmetic, can_fire, scaled

TRAFFIC_DAYS = 7
NAMED = 5  # services, in one finding


class Traffic(NamedTuple):
    """How many outcomes a service had, over how many days of the rollups that were looked at."""

    outcomes: int
    days: float


def lint(policy: Policy) -> list[Finding]:
    """What the policy by itself says."""
    found = [each for objective in policy.objectives for each in of_tiers(objective)]
    return [*found, *of_twins(policy), *of_severities(policy), *of_unused(policy), *of_untold(policy)]


def of_tiers(objective: Objective) -> Iterator[Finding]:
    """Tiers that are left out, wake nobody or look back too far."""
    where = objective.name
    if objective.own_tiers is None:
        for tier in scaled(objective.window_s):
            if not can_fire(tier, objective.allowed):
                what = f"The default tier {tier.name} is left out: {arithmetic(tier, objective.allowed)}."
                yield warn(what, "Write alertPolicies with lower burn rates, or a stricter target.", where)
    elif all(tier.urgency == "ticket" for tier in objective.own_tiers):
        what = "None of its alert policies has severity page: only the fast test can wake somebody."
        yield warn(what, "Give one of them severity: page, unless that is meant.", where)
    for tier in objective.own_tiers or ():
        if tier.long_s > objective.window_s:
            what = f"The tier {tier.name} looks back further than the window of {objective.window_days}d."
            yield warn(what, "Shorten its long window, or lengthen the objective's.", where)


def of_twins(policy: Policy) -> Iterator[Finding]:
    """Objectives that say the same: two alerts for one fault."""
    seen: dict[tuple[object, ...], str] = {}
    for one in policy.objectives:
        same = (one.indicator, one.target, one.window_days)
        if same in seen:
            what = f"It says the same as {seen[same]}: each burn makes two alerts."
            yield warn(what, "Take one of them out.", one.name)
        seen.setdefault(same, one.name)


def of_severities(policy: Policy) -> Iterator[Finding]:
    """Severities that no impact has."""
    known = {rule.severity for rule in policy.budget_policy.severities}
    worst = severity(policy.budget_policy, Fraction(1))
    for missing in sorted({1, 2, 3} - known):
        what = f"No impact is SEV-{missing}; a total outage is SEV-{worst}."
        yield warn(what, f"Add the row {{severity: {missing}, badRatio: …}} to severities.", "severities")


def of_unused(policy: Policy) -> Iterator[Finding]:
    """Documents that no objective refers to."""
    for problem in policy.unused:
        yield warn(f"line {problem.line}: {problem.reason}.", "Refer to it, or take it out.", problem.field)


def of_untold(policy: Policy) -> Iterator[Finding]:
    """Alert policies that name who is told."""
    for problem in policy.untold:
        yield warn(f"line {problem.line}: {problem.reason}.", "Add them in Setup, or take them out.", problem.field)


def against_traffic(policy: Policy, traffic: Mapping[str, Traffic]) -> list[Finding]:
    """What the traffic of the last days says of a policy."""
    guarded = {objective.service for objective in policy.objectives}
    found = of_unguarded(policy, sorted(set(traffic) - guarded - {OTHER}))
    for objective in policy.objectives:
        if objective.service in traffic:
            found += enough(objective, traffic[objective.service])
        elif traffic and objective.service != OWN:
            what = f"{objective.service} has sent nothing within {TRAFFIC_DAYS} days: the objective sees nothing."
            hint = "Write the service exactly as its senders do, or let it send."
            found.append(warn(what, hint, objective.name))
    return found


def of_unguarded(policy: Policy, services: Sequence[str]) -> list[Finding]:
    """Services that send and that no document names: held to the default of the policy, which is a note, or to none."""
    if policy.budget_policy.defaults is None:
        return [warn(f"{one} has traffic and no objective.", "Add one to the policy file.", one) for one in services]
    if not services:
        return []
    more = f" and {len(services) - NAMED:,} more" if len(services) > NAMED else ""
    who = f"{', '.join(services[:NAMED])}{more}"
    what = f"Held to the provisional objective alone: {who}."
    return [
        Finding("note", what, "Give a service an objective of its own in the policy file where that is not enough.")
    ]


def enough(objective: Objective, traffic: Traffic) -> list[Finding]:
    """A finding where the window holds too few outcomes to judge the budget; nothing before a day of traffic."""
    expected = int(traffic.outcomes / traffic.days * objective.window_days) if traffic.days >= 1 else None
    if expected is None or expected * objective.allowed >= HANDFUL:
        return []
    hint = "Lower the target, lengthen the window, or take it as a note only."
    if expected * objective.allowed >= 1:
        allows = float(expected * objective.allowed)
        what = f"At present traffic its budget allows {allows:.3g} bad outcomes; below {HANDFUL} it is not judged."
        return [warn(what, hint, objective.name)]
    needed = int(1 / objective.allowed)
    what = f"A single bad outcome misses it: {expected} outcomes are expected in its window, {needed} are needed."
    return [warn(what, hint, objective.name)]


def warn(what: str, hint: str, where: str) -> Finding:
    """A finding of level warn."""
    return Finding("warn", what, hint, where)
