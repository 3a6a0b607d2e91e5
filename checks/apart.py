"""Run a check in a process of its own: `python -m checks NAME --json`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from dataclasses import replace

import msgspec

from checks import runner
from checks.check import Check, Run, Surroundings
from server.selfcheck.findings import CheckResult, Finding

# A check must not slow the brake: right after a start, several run.
POLITELY = ("nice", "-n", "10") if shutil.which("nice") else ()


async def run(check: Check, around: Surroundings) -> CheckResult:
    """As runner.run; what runs over its time is killed."""
    return await runner.run(replace(check, run=in_a_process(check)), around)


def in_a_process(check: Check) -> Run:
    async def start(around: Surroundings) -> list[Finding]:
        command = [*POLITELY, sys.executable, "-m", "checks", check.name, "--json"]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, cwd=around.root, env=environment(around), stdout=pipe, stderr=pipe
        )
        try:
            output, errors = await process.communicate()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return findings(output, errors)

    return start


def environment(around: Surroundings) -> dict[str, str]:
    """Ours, with the database that we use; without the metrics' directory, which counts processes."""
    kept = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    if around.db is not None:
        kept["DATABASE_URL"] = around.db.url
    return kept


def findings(output: bytes, errors: bytes) -> list[Finding]:
    """What the process printed; RuntimeError with its last words where that is no result."""
    try:
        (result,) = msgspec.json.decode(output, type=list[CheckResult])
    except (msgspec.DecodeError, ValueError):
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it printed nothing"]
        raise RuntimeError(last[0][:300]) from None
    return result.findings
