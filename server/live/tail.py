"""The tail: new deltas into the windows, each writer by its own sequence.

A writer has one flush at a time, so its sequence is its commit order: in one
snapshot, everything up to its newest number is there, and nothing is seen twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from server.live import tail_store as store
from server.live.deltas import Delta
from server.live.service import LiveService
from server.live.silence import USUAL_S
from server.live.windows import POINTS_S, LiveWindows

SLICE_S = 10  # a rebuild reads this many seconds at once, so that its memory is bounded
AHEAD_S = 310  # outcomes are accepted up to 5 minutes ahead
LATE_S = 60


class Hear(Protocol):
    """Who else wants the deltas of the last minutes; `anew`: all over again, from a rebuild."""

    def __call__(self, deltas: Sequence[Delta], *, anew: bool = False) -> None: ...


class Tail:
    """Where this watch has read to. `hear` is told of every delta that is read."""

    def __init__(self, hear: Hear) -> None:
        self.hear = hear
        self.read: dict[int, int] = {}  # writer -> sequence

    async def rebuild(
        self, connection: AsyncConnection, end: int, last: Iterable[LiveService], unheard: float = math.inf
    ) -> LiveWindows:
        """New windows from the deltas that are kept, and what the `last` picture knew of silence and failures.

        `hear` is told of the seconds from `unheard` on, Unix seconds: at least of those of the windows, at most of
        15 minutes. `connection` holds one snapshot.
        """
        windows = LiveWindows(end - 1)
        self.read = await store.heads(connection)
        for count in await store.counts(connection, end - USUAL_S, end - POINTS_S):
            windows.add_counts(*count)
        self.hear((), anew=True)
        for start in range(first_slice(end, unheard), end + AHEAD_S, SLICE_S):
            deltas = await store.between(connection, start, start + SLICE_S)
            self.hear(deltas)
            if start >= end - POINTS_S:
                for delta in deltas:
                    windows.add(delta)
        for service, second in await store.arrivals(connection, end - USUAL_S):
            windows.arrived(service, second)
        for before in last:
            windows.recall(before)
        windows.advance(end)
        return windows

    async def follow(self, connection: AsyncConnection, windows: LiveWindows, end: int) -> None:
        """Add what was counted since; `connection` holds one snapshot."""
        windows.advance(end)
        heads = await store.heads(connection)
        new = {writer: seq for writer, seq in heads.items() if seq > self.read.get(writer, 0)}
        if not new:
            return
        deltas = await store.since(connection, self.read, new, end - USUAL_S)
        self.hear(deltas)
        for delta in deltas:
            windows.add(delta)
        for service in {delta.series.service for delta in deltas if not delta.imported}:
            windows.arrived(service, end - 1)
        for service, n in await store.late(connection, self.read, new, end - LATE_S):
            windows.late(service, end - 1, n)
        self.read |= new


def first_slice(end: int, unheard: float) -> int:
    """The second at which a rebuild begins to read, whole slices before those of the windows."""
    further = min(max(0.0, end - POINTS_S - unheard), USUAL_S - POINTS_S)
    return end - POINTS_S - math.ceil(further / SLICE_S) * SLICE_S
