"""Detects deploys: the first outcome of a version of a service."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from server.changes import store
from server.kernel.db import Database

log = logging.getLogger("evenkeel.changes")

# A series that takes its number early may commit late: look back as far as a transaction can last.
OVERLAP_S = 60.0


class Deploys:
    """The watch's job; it reads only what is new, the first time everything. `clock` gives seconds that only rise."""

    def __init__(self, db: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self.db = db
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque()  # when, and the newest series then
        self._looked_at = -1  # all up to this series, for as long as a transaction can last; -1: not yet so long

    def given(self) -> dict[str, object]:
        """What `store.SERIES_COME` depends on."""
        return {"series_looked_at": self._looked_at}

    async def run(self, term: int = 0) -> None:
        """Record a `deploy` for each version first seen since; safe to repeat and to run twice at once."""
        now = self._clock()
        while len(self._marks) > 1 and self._marks[1][0] <= now - OVERLAP_S:
            self._marks.popleft()
        floor = self._marks[0][1] if self._marks and self._marks[0][0] <= now - OVERLAP_S else 0
        async with self.db.act() as connection:
            newest = await store.newest_series(connection)
            recorded = await store.record_first_seen(connection, floor)
        self._marks.append((now, newest))
        self._looked_at = newest if newest == floor else -1
        for service, version in recorded:
            log.info("first outcome of %s, version %s", service, version)
