"""A check of the repository in a process of its own: `python -m checks NAME --json`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys

import msgspec

from checks import runner
from checks.check import DAY_S, Check, Surroundings
from server.selfcheck.findings import CheckResult, Finding

LIMIT_S = 120.0  # its own limit, and what it takes to start on a busy machine
# A check must not slow the brake: right after a start, several run.
POLITELY = ("nice", "-n", "10") if shutil.which("nice") else ()


async def run(name: str, around: Surroundings, limit_s: float = LIMIT_S) -> CheckResult:
    """What it found, as runner.run; it is killed after `limit_s` seconds."""

    async def in_a_process(around: Surroundings) -> list[Finding]:
        command = [*POLITELY, sys.executable, "-m", "checks", name, "--json"]
        return findings(*await output(command, around))

    return await runner.run(Check(name, "", "repository", in_a_process, DAY_S, limit_s), around)


async def output(command: list[str], around: Surroundings) -> tuple[bytes, bytes]:
    """What a process prints, and its errors; it does not outlive us."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=around.root, env=environment(around), stdout=pipe, stderr=pipe
    )
    try:
        return await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def environment(around: Surroundings) -> dict[str, str]:
    """Ours, with the database that we use; without the metrics' directory, which counts processes."""
    passed_on = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    if around.db is not None:
        passed_on["DATABASE_URL"] = around.db.url
    return passed_on


def findings(printed: bytes, errors: bytes) -> list[Finding]:
    """What the process printed; RuntimeError with its last words where that is no result."""
    try:
        (result,) = msgspec.json.decode(printed, type=list[CheckResult])
    except (msgspec.DecodeError, ValueError):
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it printed nothing"]
        raise RuntimeError(last[0][:300]) from None
    return result.findings
