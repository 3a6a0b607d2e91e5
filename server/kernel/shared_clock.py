"""The time by the database's clock, which all machines share: what they stamp and compare is of one clock.

A machine's own clock may be minutes off. Each question to the database that tells the time bounds how far:
the database read its clock after it was asked and before it answered.
"""

from __future__ import annotations

import time


class Offset:
    """`ahead_s`: so many seconds this machine's clock is ahead of the database's; 0 until it was measured."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def measure(self, asked: float, answered: float, database: float) -> None:
        """Take the database's time, got between two times of this machine. What may still be right stays."""
        least, most = asked - database, answered - database
        if not least <= self.ahead_s <= most:
            self.ahead_s = (least + most) / 2


offset = Offset()


def machine() -> float:
    """Unix seconds by this machine's own clock."""
    return time.time()


def now() -> float:
    """Unix seconds by the database's clock."""
    return corrected(machine())


def corrected(at: float) -> float:
    """A time of this machine's clock by the database's."""
    return at - offset.ahead_s
