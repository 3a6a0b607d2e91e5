"""How many connections each process may have in its pools: what the server lets in, shared by all who use it."""

from __future__ import annotations

from typing import NamedTuple

OWN = 11  # that a process has beside its pools, at most


class PoolSizes(NamedTuple):
    """The most connections of each pool."""

    control: int
    read: int


MOST = PoolSizes(10, 5)  # acts of 20 people at the same moment: those that find no connection wait for one
LEAST = PoolSizes(3, 3)


class SharedConnections(NamedTuple):
    """What the server lets in for us, and how many processes share it."""

    allowed: int
    processes: int

    @property
    def sizes(self) -> PoolSizes:
        """The pools of each process; all together stay within what is allowed where that is `enough`."""
        left = self.allowed // max(1, self.processes) - OWN
        read = min(MOST.read, max(LEAST.read, left // 3))
        return PoolSizes(min(MOST.control, max(LEAST.control, left - read)), read)

    @property
    def needed(self) -> int:
        """What these processes need at least."""
        return self.processes * (OWN + sum(LEAST))

    @property
    def enough(self) -> bool:
        return self.allowed >= self.needed

    def __str__(self) -> str:
        shared = f"{self.allowed} connections are let in for {self.processes} processes"
        if not self.enough:
            return f"{shared}, which need {self.needed}: start fewer (WEB_CONCURRENCY), or raise the limit."
        return f"{shared}: in the pools of each {self.sizes.control} for acts and {self.sizes.read} for questions"
