"""Which field behind the status is the time that a request took: where a name, a unit or the caller says so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from server.receivers.access_log.line import Shape, Takes, with_units
from server.receivers.access_log.taken import (
    BY_RANK,
    LIST,
    NUMBER,
    SECONDS_BESIDE,
    UNIT_OF,
    UNITLESS,
    taken_us,
)

NGINX = ("rt", "request_time", "urt", "upstream_response_time")  # nginx's names: its lines are stamped at the end
MILLISECONDS = re.compile(r"\d+\.\d{3}")  # as nginx writes all its times
NONE = re.compile(r"-|-1|0")
SHOWN = 3


@dataclass(slots=True, frozen=True)
class LogAsk:
    """What the caller says: the server's format string; the field that is the time taken, by name or as the N-th
    bare one behind the size; its unit; whether the time of a line is the start."""

    format: str | None = None
    time: str | None = None
    unit: str | None = None
    starts: bool | None = None


@dataclass(slots=True)
class Decided:
    """What is taken; `took` in words, or `hint`: why nothing is. `ends`: the time of a line is surely the end."""

    takes: Takes = field(default_factory=Takes)
    unit: str | None = None
    took: str = ""
    hint: str = ""
    ends: bool = False


def decide(shapes: Sequence[Shape], asked: LogAsk) -> Decided:
    """What of these lines is the time taken. ValueError: what was asked for is not there."""
    if asked.time is not None:
        decided = as_asked(shapes, asked.time, asked.unit)
    else:
        decided = (
            by_name(shapes, asked.unit) or by_unit(shapes) or by_upstreams(shapes) or by_number(shapes, asked.unit)
        )
    decided.takes.aborted_column = aborted_column(shapes)
    return decided


def as_asked(shapes: Sequence[Shape], wanted: str, unit: str | None) -> Decided:
    """The field that the caller names."""
    if re.fullmatch(r"-?\d+", wanted):
        place = int(wanted) - (int(wanted) > 0)
        values = [shape.tail.bare[place] for shape in shapes if -len(shape.tail.bare) <= place < len(shape.tail.bare)]
        takes, called = Takes(column=place), f"number {wanted} of the bare fields behind the size"
    else:
        values = [shape.tail.named[wanted] for shape in shapes if wanted in shape.tail.named]
        takes, called = Takes(name=wanted), f"{wanted}="
        unit = unit or UNIT_OF.get(wanted)
    if not values:
        raise ValueError(f"no line has {called}")
    if unit is None and not timed(values, None):
        raise ValueError(f"{called} says no unit: give --unit s, ms or us")
    if not timed(values, unit):
        raise ValueError(f"{called} is no time: {values[0]}")
    return Decided(takes, unit, in_words(called, unit), ends=wanted in NGINX)


def by_name(shapes: Sequence[Shape], unit: str | None) -> Decided | None:
    """A named field that says what it is, by its name and unit or with a unit in its value."""
    for name in (*BY_RANK, *sorted(UNITLESS)):
        values = [shape.tail.named[name] for shape in shapes if name in shape.tail.named]
        given = unit or UNIT_OF.get(name)
        if values and name == "D" and unit is None and in_milliseconds(shapes):
            given = "ms"
        if timed(values, given):
            return Decided(Takes(name=name), given, in_words(f"{name}=", given), ends=name in NGINX)
    return None


def by_unit(shapes: Sequence[Shape]) -> Decided | None:
    """The only bare field that has a unit."""
    found = [with_units(shape.tail) for shape in shapes]
    if not any(found) or any(len(one) > 1 for one in found):
        return None
    return Decided(Takes(with_unit=True), None, "the only field with a unit, in that")


def by_upstreams(shapes: Sequence[Shape]) -> Decided | None:
    """nginx's own time before those of its upstreams: a list that adds up to it in every line that has one."""
    count, columns = common_columns(shapes)
    for place in range(count - 1):
        pairs = list(zip(columns[place], columns[place + 1], strict=True))
        lists = [(own, behind) for own, behind in pairs if LIST.search(behind)]
        if lists and all(MILLISECONDS.fullmatch(own) for own, _ in pairs) and all(adds_up(*pair) for pair in lists):
            called = f"number {place + 1} of the bare fields, $request_time: the list behind it adds up to it"
            return Decided(Takes(column=place, columns=count), "s", in_words(called, "s"), ends=True)
    return None


def adds_up(own: str, behind: str) -> bool:
    """Whether a list of upstream times is within the request's own time, and makes up most of it."""
    parts = [part for part in LIST.split(behind) if part != "-"]
    if not parts or not all(MILLISECONDS.fullmatch(part) for part in parts):
        return False
    rounding = 0.001 * (len(parts) + 1)
    return float(own) * 0.5 - rounding <= sum(map(float, parts)) <= float(own) + rounding


def by_number(shapes: Sequence[Shape], unit: str | None) -> Decided:
    """The only bare number, if the caller has said its unit; else what the caller can say."""
    count, columns = common_columns(shapes)
    numbers = [place for place, values in enumerate(columns) if numeric(values)]
    if unit is not None and len(numbers) == 1:
        called = f"number {numbers[0] + 1} of the bare fields behind the size"
        return Decided(Takes(column=numbers[0], columns=count), unit, in_words(called, unit))
    if not numbers:
        unitless = next((name for name in sorted(UNITLESS) if any(name in shape.tail.named for shape in shapes)), None)
        if unitless is not None:
            return Decided(hint=f"{unitless}= says no unit: --time {unitless} --unit s|ms|us does")
        return Decided(hint="no field of it says how long a request took")
    examples = ", ".join(f"{place + 1}: {example(columns[place])}" for place in numbers[:SHOWN])
    return Decided(
        hint=f"its bare numbers ({examples}) say neither what they are nor in which unit: name one with "
        "--time N --unit s|ms|us, or give the server's format with --format"
    )


def common_columns(shapes: Sequence[Shape]) -> tuple[int, list[list[str]]]:
    """How many bare fields most lines have, and the values of each in those lines."""
    counts = Counter(len(shape.tail.bare) for shape in shapes)
    count = counts.most_common(1)[0][0] if counts else 0
    rows = [shape.tail.bare for shape in shapes if len(shape.tail.bare) == count]
    return count, [[row[place] for row in rows] for place in range(count)]


def numeric(values: Iterable[str]) -> bool:
    """Whether all are numbers, lists of them, or the word for none, and one is a number."""
    kinds = [
        taken_us(value, "us") is not None or bool(NUMBER.match(value)) for value in values if not NONE.fullmatch(value)
    ]
    return bool(kinds) and all(kinds)


def example(values: Sequence[str]) -> str:
    return next(value for value in values if not NONE.fullmatch(value))


def aborted_column(shapes: Sequence[Shape]) -> int | None:
    """Where Apache's %X stands alone: nothing but X, + and - there, and X at least once."""
    _, columns = common_columns(shapes)
    return next((place for place, values in enumerate(columns) if {"X"} <= set(values) <= {"X", "+", "-"}), None)


def in_milliseconds(shapes: Sequence[Shape]) -> bool:
    """Whether whole seconds beside D say that D is in milliseconds, as in Tomcat 9."""
    pairs = [
        (float(shape.tail.named["D"]), int(shape.tail.named[name]))
        for shape in shapes
        for name in SECONDS_BESIDE
        if shape.tail.named.get(name, "").isdigit() and NUMBER.fullmatch(shape.tail.named.get("D", ""))
    ]
    long = [(took, seconds) for took, seconds in pairs if seconds >= 1]
    return bool(long) and all(seconds * 1000 <= took < (seconds + 1) * 1000 for took, seconds in long)


def timed(values: Iterable[str], unit: str | None) -> bool:
    """Whether one of them is a time."""
    return any(taken_us(value, unit) is not None for value in values)


def in_words(called: str, unit: str | None) -> str:
    return f"{called}, in {unit}" if unit else f"{called}, in the unit it says"
