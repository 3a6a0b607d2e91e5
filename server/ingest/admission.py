"""How much is on its way into the database at once, and how much may wait for that, by how long commits take.

A process stores one flush at a time, and what comes meanwhile gathers for the next: more flushes at once store no more
(measured: docs/degrade.md). So what is in flight is the outcomes of a flush. A flush that is too large for a slow
database does not end in time and is undone, its work lost; so their number follows the latency of commits, as
AIMDLimit of Netflix's concurrency-limits does (github.com/Netflix/concurrency-limits): one that fails or takes too
long makes it smaller by a factor, a quick one that was at least half full makes it larger by a step. Why that settles:
D.-M. Chiu, R. Jain, Analysis of the increase and decrease algorithms for congestion avoidance, 1989.
"""

from __future__ import annotations

LEAST = 1_000  # outcomes of a flush: a batch, and fewer store no sooner
MOST = 20_000
STEP = 1_000
FACTOR = 0.5
QUICK_S = 0.4  # half of a flush's patience (server/ingest/patience.py)
NEWEST = 0.3  # the weight of the newest commit's latency


class Admission:
    """Of one process. `items`: outcomes that the next flush may take, at least one batch. `commit_s`: a commit's
    latency lately."""

    def __init__(self) -> None:
        self.items = MOST
        self.commit_s = 0.0

    @property
    def reduced(self) -> bool:
        """Whether commits took so long lately that a flush takes less than half of what it may at most."""
        return 2 * self.items < MOST

    def saw(self, items: int, seconds: float, *, stored: bool) -> None:
        """A flush of so many outcomes took so long."""
        if not stored or seconds > QUICK_S:
            self.items = max(LEAST, int(min(self.items, items) * FACTOR))
        elif 2 * items >= self.items:
            self.items = min(MOST, self.items + STEP)
        if stored:
            self.commit_s += NEWEST * (seconds - self.commit_s)

    def wait_s(self, waiting: int) -> float:
        """How long what comes behind so many outcomes waits for its flush; 0 where the next one takes it."""
        return waiting // self.items * self.commit_s
