"""What the values of an SLO document mean: what is counted, the target, the window."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from server.slo.model.calendar import QUARTER, Calendar, Unit
from server.slo.model.objective import Kind
from server.slo.policy import openslo

MIN_DAYS, MAX_DAYS = 1, 90
MAX_THRESHOLD_MS = 600_000
DECIMALS = 7

AVAILABILITY = (("good", "good", "all"), ("bad", "bad", "all"))  # which of good and bad, its count, the total's
FORMS = (
    "count it in one of these ways: good {count: good} of total {count: all}; bad {count: bad} of total {count: all}; "
    "or good {count: good, at_most_ms: N} of total {count: good}"
)


class ValueFault(Exception):
    """A problem in one document, by its path, as in `$.spec.objectives[0].target`."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


class Faults(Exception):
    """Several problems in one document; empty where the fault is another document's and reported there."""

    def __init__(self, found: Sequence[ValueFault] = ()) -> None:
        super().__init__()
        self.found = found


def count(metric: openslo.RatioMetric, at: str) -> tuple[Kind, int | None]:
    """Availability or latency, from what is counted as good or bad of which total."""
    path = f"{at}.ratioMetric"
    if (metric.good is None) == (metric.bad is None):
        raise ValueFault(path, "give one of good and bad")
    total = metric.total.metric_source.spec
    part = metric.good or metric.bad
    assert part is not None, "one of the two was given"
    chosen = part.metric_source.spec
    side = "good" if metric.good else "bad"
    pair = (side, chosen.count, total.count)
    if total.at_most_ms is None and chosen.at_most_ms is None and pair in AVAILABILITY:
        return "availability", None
    if total.at_most_ms is None and chosen.at_most_ms is not None and pair == ("good", "good", "good"):
        return "latency", microseconds(chosen.at_most_ms, f"{path}.good.metricSource.spec.at_most_ms")
    raise ValueFault(f"{path}.{side}", FORMS)


def microseconds(milliseconds: Decimal, path: str) -> int:
    """A threshold in whole microseconds."""
    if (
        not milliseconds.is_finite()
        or not 0 < milliseconds <= MAX_THRESHOLD_MS
        or milliseconds != round(milliseconds, 3)
    ):
        raise ValueFault(path, f"give milliseconds above 0 and up to {MAX_THRESHOLD_MS}, with 3 decimals at most")
    return int(milliseconds * 1000)


def target(given: Decimal | None, percent: Decimal | None, path: str) -> Fraction:
    """The target as an exact share; one that can neither be met nor missed is refused."""
    if (given is None) == (percent is None):
        raise ValueFault(path, "give one of target and targetPercent")
    if given is not None:
        return share(given, Decimal(1), f"{path}.target")
    assert percent is not None, "one of the two was given"
    return share(percent, Decimal(100), f"{path}.targetPercent")


def share(value: Decimal, whole: Decimal, path: str) -> Fraction:
    """`value` of `whole`, between 0 and 1 without either; Fault otherwise."""
    if not value.is_finite() or not 0 < value < whole:
        raise ValueFault(path, f"is {value}; give a number above 0 and below {whole}: one that can be met and missed")
    if value != round(value, DECIMALS):  # before it is made a fraction: 1e-999999999 would fill the memory
        raise ValueFault(path, f"give {DECIMALS} decimals at most")
    return Fraction(value) / Fraction(whole)


def number(value: Decimal, low: Decimal, high: Decimal, path: str) -> Fraction:
    """An exact number from `low` to `high`; Fault otherwise."""
    if not value.is_finite() or not low <= value <= high:
        raise ValueFault(path, f"is {value}; give a number from {low} to {high}")
    if value != round(value, DECIMALS):
        raise ValueFault(path, f"give {DECIMALS} decimals at most")
    return Fraction(value)


UNITS: dict[str, tuple[Unit, int]] = {"d": ("day", 1), "w": ("week", 1), "M": ("month", 1), "Q": ("month", QUARTER)}


def time_window(given: openslo.TimeWindow, path: str) -> tuple[int, Calendar | None]:
    """The days of a window, and the calendar where it does not roll; ValueFault otherwise."""
    if given.calendar is None:
        if given.is_rolling is None:
            raise ValueFault(f"{path}.isRolling", "is missing")
        if not given.is_rolling:
            raise ValueFault(f"{path}.calendar", "is missing; give startTime and timeZone, or isRolling: true")
        return days(given.duration, f"{path}.duration"), None
    if given.is_rolling:
        raise ValueFault(f"{path}.calendar", "is of windows that do not roll; take it out, or write isRolling: false")
    match = re.fullmatch(r"([1-9][0-9]?)([dwMQ])", given.duration, re.ASCII)
    unit, each = UNITS[match[2]] if match else ("day", 0)
    start = start_time(given.calendar.start_time, f"{path}.calendar.startTime")
    found = Calendar(int(match[1]) * each if match else 0, unit, start, given.calendar.time_zone)
    if not MIN_DAYS <= found.days <= MAX_DAYS:
        most = "up to 90d, 12w, 3M or 1Q"
        raise ValueFault(f"{path}.duration", f"is {given.duration!r}; give a period such as 1w, 1M or 1Q, {most}")
    try:
        found.period(0)
    except (OSError, ValueError, KeyError):  # an odd name can be a folder, no path, or not there
        reason = f"is {found.zone[:60]!r}; give a name of the IANA database, such as UTC or Europe/Berlin"
        raise ValueFault(f"{path}.calendar.timeZone", reason) from None
    return found.days, found


def start_time(text: str, path: str) -> datetime:
    """A day and a minute of a clock, as `2026-01-01 00:00:00`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is not None or found.second or found.microsecond or not 1970 <= found.year < 2100:
        reason = "give a day and a whole minute without a zone, as 2026-01-01 00:00:00"
        raise ValueFault(path, f"is {text[:60]!r}; {reason}")
    return found


def days(duration: str, path: str) -> int:
    """A rolling window in whole days, from `28d` or `4w`."""
    match = re.fullmatch(r"([1-9][0-9]{0,3})([dw])", duration, re.ASCII)
    found = int(match[1]) * (7 if match[2] == "w" else 1) if match else 0
    if not MIN_DAYS <= found <= MAX_DAYS:
        raise ValueFault(
            path, f"is {duration!r}; give days or weeks, such as 28d or 4w, from {MIN_DAYS}d to {MAX_DAYS}d"
        )
    return found
