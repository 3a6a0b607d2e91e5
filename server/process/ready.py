"""Which web processes of this machine have started: a byte each, in memory that they share.

One that starts again leaves the connections to those that have. Made before the first fork.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadyFlag:
    """One process's byte."""

    shared: mmap.mmap
    number: int

    def set(self, ready: bool) -> None:
        """This process has started, or has ended."""
        self.shared[self.number] = ready

    def others(self) -> bool:
        """Whether another process has started."""
        return any(self.shared[number] for number in range(len(self.shared)) if number != self.number)


def ready_flags(count: int) -> Sequence[ReadyFlag]:
    """A flag for each of so many processes, all down."""
    shared = mmap.mmap(-1, count)
    return [ReadyFlag(shared, number) for number in range(count)]
