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
from server.receivers.access_log.quick import KnownAnswers, KnownMoments, KnownRequests, KnownTimes, NotQuick, new
from server.receivers.access_log.taken import MAX_US, UNITS

PARTS = ("time", "status", "request", "method", "target", "taken", "id")
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
        self._usual = tuple(usual.values())
        self._scale = UNITS[sense.unit] if sense.unit else None
        self._starts = sense.starts
        self._moments, self._requests = KnownMoments(sense.zone), KnownRequests()
        self._answers, self._times = KnownAnswers(("status",)), KnownTimes(sense.unit)

    def read(self, line: str) -> LoggedRequest | None:
        """The request of a line; None: it is for the form to say."""
        try:
            time, status, request, method, target, taken, given, *rest = self._values(self._decode(line))
            for value, usual in zip(rest, self._usual, strict=True):
                if value is not UNSET and not usual(value):
                    return None
            if request is UNSET:
                request = f"{method if type(method) is str else text_of(method)} {text_of(target)} HTTP/1.1"
            method, route, timed = self._requests[request if type(request) is str else text_of(request)]
            answered, left = self._answers[status if type(status) is int else text_of(status)]
            at, zoned = self._moments[time if type(time) is str else text_of(time)]
            took = self._taken(taken) if timed else None
        except (ValueError, TypeError, AttributeError, NotQuick):  # no JSON, or of another shape
            return None
        if took is not None and self._starts:
            at += took
        given = None if given is UNSET else given if type(given) is str else text_of(given)
        if given is not None and (given == "-" or not REQUEST_ID.fullmatch(given)):
            given = None
        return new((method, route, answered, at, took, left, given, zoned))

    def _taken(self, value: Any) -> int | None:
        kind = type(value)
        if (kind is float or kind is int) and self._scale is not None and (LEAST <= value < MOST or not value):
            micros = value * self._scale
            return int(micros + 0.5) if micros <= MAX_US else None
        return None if value is UNSET else self._times[text_of(value)]


def text_of(value: Any) -> str:
    """A value as the form has it; NotQuick: of one that it prints in its own way."""
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is int or (kind is float and LEAST <= value < MOST):
        return str(value)
    raise NotQuick


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
