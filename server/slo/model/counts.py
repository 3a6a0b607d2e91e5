"""What an objective has counted: whole numbers, added up, never averaged."""

from __future__ import annotations

from typing import NamedTuple


class Counts(NamedTuple):
    """Good and bad make up the total; excluded ones are known but do not count.

    For latency the excluded are the bad outcomes, and those that were sent while
    the threshold was not yet measured.
    """

    good: int = 0
    bad: int = 0
    excluded: int = 0

    @property
    def total(self) -> int:
        return self.good + self.bad

    def plus(self, other: Counts) -> Counts:
        """The sum."""
        return Counts(self.good + other.good, self.bad + other.bad, self.excluded + other.excluded)

    def without(self, part: Counts) -> Counts:
        """What is left when a part is taken out."""
        return Counts(self.good - part.good, self.bad - part.bad, self.excluded - part.excluded)


NOTHING = Counts()
