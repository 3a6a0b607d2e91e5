"""Flags by their content: what of a document of flags differs from the one before.

Documents are compared, never events: SDKs announce every flag at start, and change values without one after they were
cut off. The order of keys, blanks and the way a number is written say nothing: 1 is 1.0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from server.kernel.errors import ApiError, invalid
from server.receivers.told_change import shown

FLAGS_MAX = 2000
APART_MAX = 20  # changes of one look; what differs beyond them is one together
NAME_MAX, VALUE_MAX = 100, 60  # characters that are told
ABOUT = ("$schema", "$evaluators", "metadata")  # what of a document is no flag


class Flag(Struct, frozen=True, array_like=True):
    """One flag: what it is told by, and a digest of all that decides its value."""

    value: str
    digest: str


class FlagDifference(Struct):
    """One flag that differs: what it was and is, None: it was or is not there."""

    name: str
    before: str | None
    after: str | None

    @property
    def version(self) -> str:
        """`new-cart on`, as a change of a flag is called."""
        return f"{self.name} {'removed' if self.after is None else self.after}"

    @property
    def summary(self) -> str:
        """`new-cart: off -> on`."""
        if self.before is None:
            return f"{self.name}: new, {self.after}"
        if self.after is None:
            return f"{self.name}: removed, was {self.before}"
        if self.before == self.after:
            return f"{self.name}: {self.after}, by other rules"
        return f"{self.name}: {self.before} -> {self.after}"


def read(body: bytes) -> dict[str, Flag]:
    """The flags of a document: flagd's, or an object of names and values, alone or as its `flags`. ApiError INVALID,
    BAD_REQUEST."""
    try:
        document = msgspec.json.decode(body)
        if not isinstance(document, dict):
            raise invalid("body", "is no object of flags")
        inner = document.get("flags")
        flags = inner if isinstance(inner, dict) else {k: v for k, v in document.items() if k not in ABOUT}
        if len(flags) > FLAGS_MAX:
            raise invalid("body", f"has {len(flags)} flags; at most {FLAGS_MAX} are compared")
        rules = document.get("$evaluators")
        return {name: flag_of(value, rules if isinstance(rules, dict) else {}) for name, value in flags.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        raise ApiError("BAD_REQUEST", f"The body is not JSON: {error}. Nothing was done.") from None


def flag_of(value: Any, rules: dict[str, Any]) -> Flag:
    """A flag, with the shared rules that it refers to."""
    used = {name: rules.get(name) for name in sorted(referred(value, rules))}
    content = msgspec.json.encode(canonical([value, used]), order="sorted")
    return Flag(shown_as(value), hashlib.sha256(content).hexdigest()[:32])


def canonical(value: Any) -> Any:
    """The same for what JSON writes in several ways."""
    if isinstance(value, dict):
        return {name: canonical(one) for name, one in value.items()}
    if isinstance(value, list):
        return [canonical(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def referred(value: Any, rules: dict[str, Any]) -> set[str]:
    """The names of the shared rules that a flag needs, those that these need too."""
    found: set[str] = set()
    left = list(references(value))
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += references(rules.get(name))
    return found


def references(value: Any) -> Iterator[str]:
    """The values of `$ref` in it."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict) and isinstance(value.get("$ref"), str):
        yield value["$ref"]
    for one in inner:
        yield from references(one)


def shown_as(value: Any) -> str:
    """What a flag is told by: `on`, `blue`, of flagd's its default variant, `disabled`."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, dict) and "defaultVariant" in value:
        return "disabled" if value.get("state") == "DISABLED" else shown_as(value["defaultVariant"])
    text = value if isinstance(value, str) else msgspec.json.encode(canonical(value), order="sorted").decode()
    return shown(text, VALUE_MAX) or '""'


def differences(before: dict[str, Flag], after: dict[str, Flag]) -> list[FlagDifference]:
    """What differs, by name."""
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None or new is None or old.digest != new.digest:
            was, now = old.value if old else None, new.value if new else None
            found.append(FlagDifference(shown(name, NAME_MAX), was, now))
    return found


def as_told(found: list[FlagDifference]) -> list[tuple[str, str]]:
    """The version and the summary of each change that they are: many are one together."""
    each = [(one.version, one.summary) for one in found[:APART_MAX]]
    more = len(found) - APART_MAX
    return [*each, (f"{more} more flags", f"{more} more flags differ")] if more > 0 else each
