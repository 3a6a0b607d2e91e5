"""Calendar windows: a budget that begins anew every so many days, weeks or months, in a time zone."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

Unit = Literal["day", "week", "month"]

NOMINAL_DAYS: dict[Unit, int] = {"day": 1, "week": 7, "month": 30}  # as OpenSLO counts a duration
MINUTE_S = 60
DAY_S = 86_400
QUARTER = 3  # months


@dataclass(frozen=True, slots=True)
class Calendar:
    """Periods of `many` units, one of which begins at `start`, a whole minute of the time zone's clock."""

    many: int
    unit: Unit
    start: datetime  # without a zone
    zone: str  # of the IANA database

    @property
    def days(self) -> int:
        """The nominal length of a period."""
        return self.many * NOMINAL_DAYS[self.unit]

    @property
    def text(self) -> str:
        """`each month`, `each 2 weeks (America/New_York)`."""
        if self.unit == "month" and self.many == QUARTER:
            every = "quarter"
        else:
            every = self.unit if self.many == 1 else f"{self.many} {self.unit}s"
        return f"each {every}" + ("" if self.zone in ("UTC", "Etc/UTC") else f" ({self.zone})")

    def period(self, at: float) -> tuple[int, int]:
        """When the period that a time is in begins, and when the next one does, Unix seconds."""
        return period(self, int(at) // MINUTE_S * MINUTE_S)


@lru_cache(maxsize=4096)  # asked for every objective, each second
def period(every: Calendar, at: int) -> tuple[int, int]:
    """The bounds of the period that a whole minute is in."""
    local = datetime.fromtimestamp(at, ZoneInfo(every.zone)).replace(tzinfo=None)
    if every.unit == "month":
        passed = (local.year - every.start.year) * 12 + local.month - every.start.month
    else:
        passed = (local - every.start).days // NOMINAL_DAYS[every.unit]
    number = passed // every.many
    while begins(every, number) > at:
        number -= 1
    while begins(every, number + 1) <= at:
        number += 1
    return begins(every, number), begins(every, number + 1)


@lru_cache(maxsize=4096)
def begins(every: Calendar, number: int) -> int:
    """When the period of a number begins, Unix seconds; 0 is the one that begins at `start`.

    A month that is too short for the day of `start` begins on its last day.
    """
    start, units = every.start, number * every.many
    if every.unit == "month":
        year, month = divmod(start.year * 12 + start.month - 1 + units, 12)
        day = min(start.day, calendar.monthrange(year, month + 1)[1])
        local = start.replace(year=year, month=month + 1, day=day)
    else:
        local = start + timedelta(days=units * NOMINAL_DAYS[every.unit])
    return int(local.replace(tzinfo=ZoneInfo(every.zone)).astimezone(UTC).timestamp()) // MINUTE_S * MINUTE_S
