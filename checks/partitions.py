"""Outcomes have partitions days ahead, and those that are too old are gone."""

from __future__ import annotations

from checks import store
from checks.check import Check, Surroundings, fail, warn
from server.ingest.partitions import DAYS_AHEAD, day_of, days_ahead, is_over
from server.kernel import shared_clock
from server.selfcheck.findings import Finding

DAY_S = 86_400
HINT = "The watch makes and drops them every 10 minutes: its log says why not. Without one, ingest answers 503."


async def run(around: Surroundings) -> list[Finding]:
    """The partitions there are."""
    async with around.database.of_outcomes.ask() as connection:
        names = await store.partitions(connection)
    retention_days = around.env.outcome_retention_days if around.env else None
    return judged(names, shared_clock.now(), retention_days)


def judged(names: list[str], now: float, retention_days: int | None) -> list[Finding]:
    """Findings from the partitions' names; `now` in Unix seconds."""
    findings = []
    ahead = days_ahead(names, now)
    if ahead < 1:
        when = "today" if ahead < 0 else "tomorrow"
        findings.append(fail(f"There is no partition for {when}.", HINT))
    elif ahead < DAYS_AHEAD - 1:
        findings.append(warn(f"Partitions reach {ahead} days ahead instead of {DAYS_AHEAD}.", HINT))
    days = [day for day in map(day_of, names) if day is not None]
    # A day more than the watch allows itself: that it is late is a finding, that it has not run yet is none.
    late = [day for day in days if retention_days is not None and is_over(day, now - DAY_S, retention_days)]
    if late:
        what = f"Partitions older than {retention_days} days are still there: {len(late)}, the oldest of {min(late)}."
        findings.append(warn(what, HINT + " They only take room."))
    return findings


CHECK = Check("partitions", "Outcomes have partitions days ahead", needs="database", run=run, every_s=300, limit_s=10)
