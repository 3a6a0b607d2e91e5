"""The scope of an incident as it began: how many requests failed, by route, version, client, status and the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from server.incidents.incident import Share
from server.incidents.suspect_rows import FIELDS, Material, SampledPart, parts_of

# Of outcomes only a sample is read, and of what it says the rest is estimated.
SHOWN = 5  # values of each
ALWAYS = ("route", "version", "status", "error_class")  # of the others one value of every request tells nothing
TOLD = (*(name for name in FIELDS if name != "revision"), "status", "error_class")


def scope_of(read: Material) -> dict[str, list[Share]]:
    """Bad of n requests by each value of each field since it fails, most failures first; fields that say nothing, the
    same of every request, or nothing of one that failed, are left out. What a sample says is rounded to whole ones."""
    parts = list(parts_of(read, read.start, read.stop, ""))
    several = [name for name in TOLD if name in ALWAYS or len({value_of(name, part) for part in parts}) > 1]
    found = {name: shares(name, parts) for name in several}
    return {name: told for name, told in found.items() if told}


def shares(name: str, parts: Sequence[SampledPart]) -> list[Share]:
    """The values of a field with failures; of what only failures say, such as an error class, out of all requests."""
    bad: dict[str, float] = defaultdict(float)
    every: dict[str, float] = defaultdict(float)
    for part in parts:
        value = value_of(name, part)
        every[value] += part.n
        bad[value] += part.n * part.fails
    of_failures = name == "status" or not any(value_of(name, part) for part in parts if not part.fails)
    whole = sum(every.values())
    failing = [
        Share(value, round(bad[value]), round(whole if of_failures else every[value]))
        for value in every
        if value and round(bad[value])
    ]
    return sorted(failing, key=lambda one: (-one.bad, one.name))[:SHOWN]


def value_of(name: str, part: SampledPart) -> str:
    """What a part says of a field; '' where it says nothing."""
    if name == "status":
        return part.status
    if name == "error_class":
        return part.outcome.error_class
    return part.values[FIELDS.index(name)]
