"""When what is stored fills the place that it has, at the rate of now and with what the retention takes away."""

from __future__ import annotations

from itertools import pairwise

from msgspec import Struct

HORIZON_DAYS = 400.0  # as long as anything that is counted is kept


class Stored(Struct, frozen=True):
    """One kind of what is stored. `kept_days` None: it does not age out; `age_days` is the age of its oldest.

    `empty_bytes` of it are taken without any rows, and stay.
    """

    what: str
    bytes: int
    bytes_a_day: float = 0.0
    kept_days: float | None = None
    age_days: float = 0.0
    empty_bytes: int = 0

    @property
    def settles_bytes(self) -> float:
        """What it comes to once as much ages out as comes in, at the rate of now; of what is kept what is there."""
        return float(self.bytes) if self.kept_days is None else self.empty_bytes + self.bytes_a_day * self.kept_days

    def after(self, days: float) -> float:
        """Bytes after so many days: what comes, and what is there until it has aged out, evenly from its oldest."""
        if self.kept_days is None:
            return self.bytes + self.bytes_a_day * days
        left = self.kept_days - min(self.age_days, self.kept_days)  # until the oldest goes
        aging = max(self.kept_days - left, 1e-9)
        gone = min(max(days - left, 0.0) / aging, 1.0)
        came = self.bytes_a_day * min(days, self.kept_days)
        return self.empty_bytes + came + (self.bytes - self.empty_bytes) * (1 - gone)

    def turns(self) -> set[float]:
        """The days at which its course bends."""
        return set() if self.kept_days is None else {max(self.kept_days - self.age_days, 0.0), self.kept_days}


class Forecast(Struct, frozen=True):
    """All of it, the largest first. `room` is what the database may come to, in bytes; None: not known.

    `apart` is what the outcomes' own database has, where there is one that answers: in no sum, its room is not known.
    """

    stored: list[Stored]
    room: int | None
    apart: Stored | None = None

    @property
    def bytes(self) -> int:
        """What is there now."""
        return sum(one.bytes for one in self.stored)

    @property
    def bytes_a_day(self) -> float:
        """What comes a day now."""
        return sum(one.bytes_a_day for one in self.stored)

    @property
    def settles_bytes(self) -> float:
        """What it comes to at the rate of now, if there is room for it."""
        return sum(one.settles_bytes for one in self.stored)

    @property
    def full_in_days(self) -> float | None:
        """In how many days there is no more room; None: not within 400, or the room is not known."""
        if self.room is None:
            return None
        bends = {turn for one in self.stored for turn in one.turns() if turn < HORIZON_DAYS}
        for start, end in pairwise(sorted({0.0, HORIZON_DAYS} | bends)):
            before, after = self.after(start), self.after(end)
            if before >= self.room:
                return start
            if after >= self.room:
                return start + (end - start) * (self.room - before) / (after - before)
        return None

    def after(self, days: float) -> float:
        """Bytes of all after so many days."""
        return sum(one.after(days) for one in self.stored)


def a_day(today: int, yesterday: int, day_gone: float, age_days: float) -> float:
    """Bytes a day from those of today's part and yesterday's: of the last 24 hours, or of less where it is younger."""
    return (today + yesterday * (1 - day_gone)) / min(max(age_days, 1 / 24), 1.0)
