"""The quick way through JSON lines: only the keys that count are decoded, where most lines have them.

It says what the form says, and nothing (None) of a line that is not as most are. The form is the definition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET

from server.receivers.access_log.entry import REQUEST_ID, LoggedRequest
from server.receivers.access_log.form import Sense
from server.receivers.access_log.quick import (
    KEPT,
    KnownAnswers,
    KnownMoments,
    KnownRequests,
    KnownTargets,
    KnownTimes,
    NotQuick,
    new,
)
from server.receivers.access_log.taken import MAX_US, UNITS

PARTS = ("time", "status", "request", "method", "target", "taken", "id")
SECONDS = (1e9, 1e10)  # since 1970, with a fraction
SURE = 0.3  # of a microsecond: the nearest whole one is farther away
LEAST, MOST = 1e-4, 1e15  # of a number that is printed without an exponent
NOWHERE = "nowhere"  # stands for a part that lines do not have

Path = tuple[str, ...]  # keys as they are spelled, from the outermost


class QuickRecord:
    """Reads lines by where the parts of `Found` stand in them. Values at `usual` have to be so, or missing."""

    def __init__(self, paths: Mapping[str, Path], usual: Mapping[Path, Callable[[Any], bool]], sense: Sense) -> None:
        names: dict[Path, str] = {}
        decoded = structured(tree_of([*paths.values(), *usual]), (), "", names)
        wanted = [names.get(paths.get(part, ()), NOWHERE) for part in PARTS]
        self._decode = msgspec.json.Decoder(decoded).decode
        self._values = attrgetter(*wanted, *(names.get(path, NOWHERE) for path in usual))
        self._usual = KnownUsual(tuple(usual.values()))
        self._scale = UNITS[sense.unit] if sense.unit else None
        self._starts = sense.starts
        self._moments, self._requests, self._targets = KnownMoments(sense.zone), KnownRequests(), KnownTargets()
        self._answers, self._times = KnownAnswers(("status",)), KnownTimes(sense.unit)

    def read(self, line: str) -> LoggedRequest | None:
        """The request of a line; None: it is for the form to say."""
        try:
            time, status, request, method, target, taken, given, *rest = self._values(self._decode(line))
            if not self._usual[*rest]:
                return None
            if request is UNSET:
                method, route, timed = self._targets.of(
                    method if type(method) is str else text_of(method),
                    target if type(target) is str else text_of(target),
                )
            else:
                method, route, timed = self._requests[request if type(request) is str else text_of(request)]
            answered, left = self._answers[status if type(status) is int else text_of(status)]
            if type(time) is float and SECONDS[0] <= time < SECONDS[1]:
                at, zoned = micros_of(time), True
            else:
                at, zoned = self._moments[time if type(time) is str else text_of(time)]
            took = self._taken(taken) if timed else None
            given = None if given is UNSET else given if type(given) is str else text_of(given)
        except (ValueError, TypeError, AttributeError, NotQuick):  # no JSON, or of another shape
            return None
        if took is not None and self._starts:
            at += took
        if given is not None and (given == "-" or not REQUEST_ID.fullmatch(given)):
            given = None
        return new((method, route, answered, at, took, left, given, zoned))

    def _taken(self, value: Any) -> int | None:
        kind = type(value)
        if (kind is float or kind is int) and self._scale is not None and 0 <= value < MOST:
            if value < LEAST:
                text = f"{value:.9f}"  # as the form prints it
                if text[0] == "-":
                    raise NotQuick
                value = float(text)
            micros = value * self._scale
            return int(micros + 0.5) if micros <= MAX_US else None
        return None if value is UNSET else self._times[text_of(value)]


class KnownUsual(dict[tuple[Any, ...], bool]):
    """Whether values are as they have to be, where they are there."""

    def __init__(self, usual: tuple[Callable[[Any], bool], ...]) -> None:
        self._usual = usual

    def __missing__(self, values: tuple[Any, ...]) -> bool:
        found = all(value is UNSET or is_it(value) for value, is_it in zip(values, self._usual, strict=True))
        if len(self) >= KEPT:
            self.clear()
        self[values] = found
        return found


def text_of(value: Any) -> str:
    """A value as the form has it; NotQuick: of one that it prints in its own way."""
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is int or (kind is float and LEAST <= value < MOST):
        return str(value)
    raise NotQuick


def micros_of(seconds: float) -> int:
    """Microseconds since 1970, as those of the number that is printed for a float of so many seconds."""
    micros = seconds * 1_000_000  # exact to a quarter of one
    nearest = int(micros + 0.5)
    if nearest / 1_000_000 == seconds:
        return nearest
    if abs(micros - nearest) > SURE:
        return int(micros)
    text = str(seconds)
    return int(text[:10] + text[11:17].ljust(6, "0"))


def tree_of(paths: Sequence[Path]) -> dict[str, Any]:
    """The keys, each with those inside it."""
    tree: dict[str, Any] = {}
    for path in paths:
        inside = tree
        for key in path:
            inside = inside.setdefault(key, {})
    return tree


def structured(tree: Mapping[str, Any], path: Path, prefix: str, names: dict[Path, str]) -> type[msgspec.Struct]:
    """A struct of the keys; `names` gets where its attributes are."""
    fields: list[tuple[str, Any, Any]] = [(NOWHERE, Any, UNSET)] if not path else []
    spelled = {}
    for place, (key, inside) in enumerate(tree.items()):
        name = f"f{place}"
        spelled[name] = key
        here = (*path, key)
        if inside:
            fields.append((name, structured(inside, here, f"{prefix}{name}.", names), UNSET))
        else:
            fields.append((name, Any, UNSET))
            names[here] = prefix + name
    return msgspec.defstruct("Record", fields, rename=spelled, gc=False)
