"""Outcomes and log lines have partitions days ahead, and those that are too old are gone."""

from __future__ import annotations

from checks import store
from checks.check import Check, Surroundings, fail, warn
from server.ingest.partition_store import LINES, OUTCOMES
from server.ingest.partitions import DAYS_AHEAD, day_of, days_ahead, is_over, line_days
from server.kernel import shared_clock
from server.selfcheck.findings import Finding

DAY_S = 86_400
HINT = "The watch makes and drops them every 10 minutes: its log says why not. Without one, ingest answers 503."


async def run(around: Surroundings) -> list[Finding]:
    """The partitions there are."""
    env, now = around.env, shared_clock.now()
    async with around.database.of_outcomes.ask() as connection:
        outcomes = await store.partitions(connection, OUTCOMES)
        lines = await store.partitions(connection, LINES)
    return [
        *judged(outcomes, now, env.outcome_retention_days if env else None),
        *judged(lines, now, line_days(env.log_retention_hours) if env else None, "of log lines "),
    ]


def judged(names: list[str], now: float, retention_days: int | None, of: str = "") -> list[Finding]:
    """Findings from the partitions' names; `now` in Unix seconds."""
    findings = []
    ahead = days_ahead(names, now)
    if ahead < 1:
        when = "today" if ahead < 0 else "tomorrow"
        findings.append(fail(f"There is no partition {of}for {when}.", HINT))
    elif ahead < DAYS_AHEAD - 1:
        findings.append(warn(f"Partitions {of}reach {ahead} days ahead instead of {DAYS_AHEAD}.", HINT))
    days = [day for day in map(day_of, names) if day is not None]
    # A day more than the watch allows itself: that it is late is a finding, that it has not run yet is none.
    late = [day for day in days if retention_days is not None and is_over(day, now - DAY_S, retention_days)]
    if late:
        what = (
            f"Partitions {of}older than {retention_days} days are still there: {len(late)}, the oldest of {min(late)}."
        )
        findings.append(warn(what, HINT + " They only take room."))
    return findings


CHECK = Check(
    "partitions",
    "Outcomes and log lines have partitions days ahead",
    needs="database",
    run=run,
    every_s=300,
    limit_s=10,
)
