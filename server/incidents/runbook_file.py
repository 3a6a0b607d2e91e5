"""RUNBOOK_FILE on this machine: the steps of incidents, taken in again when the file changes."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from server.incidents.runbook import Runbook, parse_runbook
from server.slo.policy.file import FollowedFile

log = logging.getLogger("evenkeel.incidents")

LOOK_S = 1.0


class RunbookInForce:
    """The runbook of this process. A file that cannot be used is logged, and the last one that could stays.

    `problem` says what is wrong with the file as it is now; None: nothing.
    """

    def __init__(self, path: Path) -> None:
        self.file = FollowedFile(path, parse_runbook, "RUNBOOK_FILE", "steps of incidents")
        self._runbook = Runbook()
        self._looked = time.monotonic()
        self._read()

    @property
    def problem(self) -> str | None:
        return self.file.problem

    async def current(self) -> Runbook:
        """The runbook, at most a look behind the file."""
        now = time.monotonic()
        if now - self._looked >= LOOK_S:
            self._looked = now
            if await asyncio.to_thread(self.file.changed):
                await asyncio.to_thread(self._read)
        return self._runbook

    def _read(self) -> None:
        source = self.file.read()
        if source is None:
            stays = f"the {len(self._runbook.steps)} steps from before stay" if self._runbook.steps else "no steps"
            log.warning("the runbook cannot be used, %s: %s", stays, self.file.problem)
            return
        self._runbook = parse_runbook(source, str(self.file.path))
