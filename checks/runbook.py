"""The runbook's file is valid: each step can be shown, and each verification can be looked at."""

from __future__ import annotations

import asyncio
from pathlib import Path

from checks.check import Check, Surroundings, fail, warn
from server.incidents.runbook import FILE, parse_runbook
from server.selfcheck.findings import Finding
from server.slo.model.objective import PolicyError


async def run(around: Surroundings) -> list[Finding]:
    """The file of this machine."""
    path = around.env.runbook_file if around.env else Path(FILE)
    path = path if path.exists() else around.root / path  # a script may be started from anywhere
    return await asyncio.to_thread(inspect, path)


def inspect(path: Path) -> list[Finding]:
    """What is wrong with the file."""
    try:
        parse_runbook(path.read_text(), path.name)
    except PolicyError as error:
        hint = "Correct the line; docs/incidents.md shows the form. Until then the last valid runbook stays."
        return [fail(f"{one.field or 'file'}: {one.reason}", hint, f"{path.name}:{one.line}") for one in error.problems]
    except (OSError, UnicodeDecodeError) as error:
        hint = "Set RUNBOOK_FILE to the file with the steps of incidents."
        return [warn(f"{path.name} cannot be read, so incidents have no steps: {error}.", hint)]
    return []


CHECK = Check("runbook", "The runbook is valid", needs="policy", run=run, every_s=300, limit_s=10)
