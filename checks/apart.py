"""Checks of the repository in a process of their own: `python -m checks NAME… --json`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from checks import runner
from checks.check import DAY_S, Check, Surroundings
from server.selfcheck.findings import CheckResult, Finding

LIMIT_S = 240.0  # their own limits, and what it takes to start on a busy machine
# A check must not slow the brake.
POLITELY = ("nice", "-n", "10") if shutil.which("nice") else ()


async def run(names: Sequence[str], around: Surroundings, limit_s: float = LIMIT_S) -> list[CheckResult]:
    """What they found, one result a name; the process is killed after `limit_s` seconds, which fails all of them."""
    found: list[CheckResult] = []

    async def in_a_process(around: Surroundings) -> list[Finding]:
        command = [*POLITELY, sys.executable, "-m", "checks", *names, "--json"]
        found.extend(results(*await output(command, around)))
        return []

    whole = await runner.run(Check(", ".join(names), "", "repository", in_a_process, DAY_S, limit_s), around)
    if not found:
        return [replace(whole, name=name) for name in names]
    # Time and version are ours: the files may have become another version's meanwhile.
    return [replace(result, at=whole.at, version=whole.version) for result in found]


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


def results(printed: bytes, errors: bytes) -> list[CheckResult]:
    """What the process printed; RuntimeError with its last words where those are no results."""
    try:
        return msgspec.json.decode(printed, type=list[CheckResult])
    except (msgspec.DecodeError, ValueError):
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it printed nothing"]
        raise RuntimeError(last[0][:300]) from None
