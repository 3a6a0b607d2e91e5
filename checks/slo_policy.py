"""The policy file is valid, each objective can be met and missed, every service with traffic has one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from checks.check import Check, Surroundings, Unavailable, fail
from server.selfcheck.findings import Finding
from server.slo.model.budget import budget_left
from server.slo.model.counts import Counts
from server.slo.model.objective import Objective, Policy, PolicyError, Problem
from server.slo.policy.lint import TRAFFIC_DAYS, against_traffic, lint
from server.slo.policy.policy import parse
from server.slo.policy.store import traffic


async def run(around: Surroundings) -> list[Finding]:
    """The file always; traffic where a database is at hand."""
    path = around.env.slo_file if around.env else Path("slo.yaml")
    path = path if path.exists() else around.root / path  # a script may be started from anywhere
    policy, findings = await asyncio.to_thread(inspect, path)
    if policy is not None and around.db is not None:
        async with around.db.ask() as connection:
            findings += against_traffic(policy, await traffic(connection, TRAFFIC_DAYS))
    return findings


def inspect(path: Path) -> tuple[Policy | None, list[Finding]]:
    """The policy where it is valid, and what is wrong with it."""
    try:
        policy = parse(path.read_text(), path.name)
    except PolicyError as error:
        hint = "Correct the line; docs/slo.md shows the form. Until then the last valid policy stays in force."
        whats = [(f"{path.name}:{one.line}", what_of(one)) for one in error.problems]
        return None, [fail(what, hint, where) for where, what in whats]
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"{path.name} cannot be read: {error}.", "Set SLO_FILE to a file that can be.") from None
    return policy, [finding for one in policy.objectives for finding in reachable(one)] + lint(policy)


def what_of(problem: Problem) -> str:
    """`SLO works: spec.service: there is no …`."""
    return ": ".join(part for part in (problem.document, problem.field or "file", problem.reason) if part)


def reachable(objective: Objective) -> list[Finding]:
    """That the rules themselves call it met when all is good, and missed when all is bad."""
    hint = "Give a target above 0 and below 1."
    if objective.allowed <= 0:
        return [fail("It allows nothing bad, so it has no budget.", hint, objective.name)]
    best = budget_left(Counts(good=1000), objective.allowed)
    worst = budget_left(Counts(bad=1000), objective.allowed)
    assert best is not None, "there is traffic"
    assert worst is not None, "there is traffic"
    if best > 0 > worst:
        return []
    return [fail(f"It can never be {'missed' if worst >= 0 else 'met'}.", hint, objective.name)]


CHECK = Check(
    "slo_policy",
    "The policy is valid, can be met and missed, and covers every service with traffic",
    needs="policy",
    run=run,
    every_s=300,
    limit_s=20,
)
