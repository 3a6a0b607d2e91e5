"""No process's event loop is held up."""

from __future__ import annotations

import asyncio

from checks import store
from checks.check import Check, Surroundings, fail, warn
from server.selfcheck.findings import Finding

SAMPLES = 5  # a heartbeat carries the longest delay since the one before, so one sample a second sees all
WARN_MS = 250.0
FAIL_MS = 1000.0


async def run(around: Surroundings) -> list[Finding]:
    """The longest delay of each process over the samples."""
    longest: dict[str, float] = {}
    for sample in range(SAMPLES):
        if sample:
            await asyncio.sleep(1)
        async with around.database.ask() as connection:
            for row in await store.processes(connection):
                longest[row.label] = max(longest.get(row.label, 0.0), row.loop_lag_ms)
    return judged(longest)


def judged(longest_ms: dict[str, float]) -> list[Finding]:
    """Findings from the longest delay of each process, in milliseconds."""
    findings = []
    for label, lag_ms in sorted(longest_ms.items()):
        if lag_ms > WARN_MS:
            say = fail if lag_ms > FAIL_MS else warn
            hint = "Add web processes or lower a limit (docs/degrade.md); if it is idle, something blocks the loop."
            findings.append(say(f"The event loop was held up for {lag_ms:.0f} ms.", hint, label))
    return findings


CHECK = Check("loop_lag", "No event loop is held up", needs="database", run=run, every_s=60, limit_s=30)
