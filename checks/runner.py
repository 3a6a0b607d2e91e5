"""Run a check: a time limit, and a crash is a failed check."""

from __future__ import annotations

import asyncio
import logging
import time

from checks.check import Check, Surroundings, Unavailable, fail
from server import __version__
from server.kernel import shared_clock
from server.kernel.db import NO_ANSWER
from server.kernel.text import first_line
from server.kernel.times import utc
from server.selfcheck.findings import CheckResult, Finding, status_of

log = logging.getLogger("evenkeel.checks")

FINDINGS_KEPT = 50
WORST_FIRST = ("fail", "warn", "note")
UNTIL_THEN = "Until it does nothing is known of this. DATABASE_URL and OUTCOMES_DATABASE_URL say where they are."


async def run(check: Check, around: Surroundings) -> CheckResult:
    """One run of one check; only cancellation is raised."""
    started = time.perf_counter()
    findings = await guarded(check, around)
    duration_ms = round((time.perf_counter() - started) * 1000, 1)
    version = __version__ if check.needs == "repository" else None
    return CheckResult(
        check.name, status_of(findings), utc(shared_clock.now()), duration_ms, shortened(findings), version
    )


async def guarded(check: Check, around: Surroundings) -> list[Finding]:
    try:
        async with asyncio.timeout(check.limit_s) as limit:
            return await check.run(around)
    except TimeoutError as error:
        if not limit.expired():
            return crashed(check, error)
        return [fail(f"It took longer than {check.limit_s:g} s and was stopped.", "See what it waits for.")]
    except Unavailable as error:
        return [fail(str(error), error.hint)]
    except NO_ANSWER as error:
        return [fail(f"A database that it asks does not answer: {first_line(error)}", UNTIL_THEN)]
    except Exception as error:
        return crashed(check, error)


def crashed(check: Check, error: Exception) -> list[Finding]:
    log.error("check %s crashed", check.name, exc_info=error)
    text = f"{type(error).__name__}: {error}".strip().splitlines()[0][:300]
    return [fail(f"The check crashed: {text}", "The log has the trace. Treat it as failed until it runs.")]


def shortened(findings: list[Finding]) -> list[Finding]:
    """The worst ones, at most FINDINGS_KEPT, and how many were left out."""
    ordered = sorted(findings, key=lambda finding: WORST_FIRST.index(finding.level))
    left_out = len(ordered) - FINDINGS_KEPT
    if left_out <= 0:
        return ordered
    more = Finding(ordered[FINDINGS_KEPT].level, f"{left_out} more.", "Repair these first.")
    return [*ordered[:FINDINGS_KEPT], more]
