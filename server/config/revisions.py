"""What a revision holds, which value is in force for whom by it, and how the next one is made from it.

A revision is an immutable set of entries. An entry gives one setting a value, for
all or for one key, to be kept or until a time. A temporary value lies over the
kept one of the same scope, which shows again when it ends. Until a revision
without it is made, a temporary value stays in force: no process decides by its
own clock.

Which value is in force, first found: the key's temporary value, the key's kept one,
the temporary one for all, the kept one for all, the environment, the default.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct, field

from server.config.registry import SETTINGS, Limits, Value, limits_of
from server.kernel.errors import ApiError, invalid

ALL = "all"
KEY = re.compile(r"key:([1-9]\d{0,8})", re.ASCII)
WARN_S = 300.0

Kind = Literal["change", "rollback", "expiry"]


class Entry(Struct, frozen=True):
    """`scope` is `all` or `key:ID`; `until` is Unix seconds, None: kept."""

    setting: str
    value: Value
    scope: str = ALL
    until: float | None = None


Entries = tuple[Entry, ...]


class Revision(Struct, frozen=True):
    """One revision as stored; `restores` is the number whose values a rollback brought back.

    It was made from the one before it. Only the end of a temporary value while a
    revision is staged makes two at once: one from what is staged, one from its base.
    """

    number: int
    kind: Kind
    restores: int | None
    author: str
    reason: str
    at: float
    entries: Entries = field(name="values")
    made_from: int | None = None  # None: the one before it
    request_id: str = ""

    @property
    def previous(self) -> int:
        """The number of the revision that it was made from; the first has only itself."""
        return self.made_from or max(1, self.number - 1)


def key_id_of(scope: str) -> int:
    """The key's id, 0 for all; ApiError INVALID for anything else."""
    if scope == ALL:
        return 0
    match = KEY.fullmatch(scope)
    if match is None:
        raise invalid("scope", "give `all` or `key:ID` with the number of a key, such as key:3")
    return int(match[1])


def changed(entries: Entries, values: Mapping[str, Value | None], scope: str, until: float | None) -> Entries:
    """The entries with these values in this scope.

    A kept value ends a temporary one; a temporary one leaves the kept one under it;
    None takes both away, so that the wider scope, the environment or the default shows.
    """
    kept = [e for e in entries if e.scope != scope or e.setting not in values or stays(e, values[e.setting], until)]
    new = [Entry(name, value, scope, until) for name, value in values.items() if value is not None]
    return ordered([*kept, *new])


def stays(entry: Entry, value: Value | None, until: float | None) -> bool:
    """Whether an entry stays under a new value of its own setting and scope."""
    return value is not None and until is not None and entry.until is None


def unexpired(entries: Entries, now: float) -> Entries:
    """The entries without the temporary ones whose time is over."""
    return tuple(e for e in entries if e.until is None or e.until > now)


def temporary(entries: Entries, setting: str, scope: str) -> Entry | None:
    """The temporary entry of a setting in a scope."""
    return next((e for e in entries if (e.setting, e.scope) == (setting, scope) and e.until is not None), None)


def ends_soon(until: float | None, now: float) -> bool:
    """Whether a value ends within 5 minutes, or is overdue."""
    return until is not None and until - now <= WARN_S


def ordered(entries: Iterable[Entry]) -> Entries:
    """One order for the same set, so that sets can be compared."""
    return tuple(sorted(entries, key=lambda e: (e.setting, e.scope, e.until is not None, e.until or 0)))


def restored(base: Revision, to: int | None, newest: int) -> int:
    """The number that a rollback of `base` brings back: the one before it unless named.

    ApiError ROLLBACK_AMBIGUOUS where `base` is itself a rollback and nothing is named,
    INVALID where there is no such revision.
    """
    if to is None and base.kind == "rollback":
        raise ambiguous(base)
    if to is None and base.number == 1:
        raise invalid("to", "revision 1 is the first: there is nothing before it")
    number = base.number - 1 if to is None else to
    if not 1 <= number <= newest:
        raise invalid("to", f"there is no revision {number}; give one from 1 to {newest}")
    return number


def ambiguous(base: Revision) -> ApiError:
    """409 that says what to name."""
    undo, further = base.number - 1, max(1, (base.restores or 1) - 1)
    detail = (
        f"Revision {base.number} is itself a rollback (to {base.restores}, by {base.author}). "
        f'Name the target: "to": {undo} undoes it, "to": {further} goes further back. Nothing was changed.'
    )
    return ApiError("ROLLBACK_AMBIGUOUS", detail, in_force=base.number, undo=undo, further=further)


def done_before(next_act: Revision | None, to: int) -> bool:
    """Whether the first act after the revision that the caller saw is the very rollback now asked for."""
    return next_act is not None and next_act.kind == "rollback" and next_act.restores == to


Source = Literal["revision", "environment", "default"]
Environment = Mapping[str, Value]


class Resolved(Struct, frozen=True):
    """A setting for one scope: the value in force, and the standing one that shows when a temporary value ends."""

    value: Value
    source: Source
    standing: Value
    standing_source: Source
    until: float | None


def resolve(entries: Entries, environment: Environment, name: str, scope: str = ALL) -> Resolved:
    """The value of a setting for a scope."""
    mine = [e for e in entries if e.setting == name and e.scope in (scope, ALL)]
    mine.sort(key=lambda e: (e.scope == ALL, e.until is None))
    first = mine[0] if mine else None
    standing, source = beneath(next((e for e in mine if e.until is None), None), environment, name)
    if first is None:
        return Resolved(standing, source, standing, source, None)
    return Resolved(first.value, "revision", standing, source, first.until)


def beneath(kept: Entry | None, environment: Environment, name: str) -> tuple[Value, Source]:
    """The kept value, else the environment's, else the default."""
    if kept is not None:
        return kept.value, "revision"
    if name in environment:
        return environment[name], "environment"
    return SETTINGS[name].default, "default"


def limits(entries: Entries, environment: Environment, scope: str = ALL) -> Limits:
    """The limits in force for a scope."""
    return limits_of({name: resolve(entries, environment, name, scope).value for name in SETTINGS})


def scopes(entries: Entries) -> list[str]:
    """The keys' scopes that have values of their own, in order; kinds of a newer version are left out."""
    return sorted({e.scope for e in entries if KEY.fullmatch(e.scope)}, key=lambda scope: (len(scope), scope))


def sources(entries: Entries, environment: Environment) -> dict[str, dict[str, Value | str | None]]:
    """What a receipt keeps: each setting's value for all, its source, and what the environment there says."""
    found = {name: resolve(entries, environment, name) for name in SETTINGS}
    return {
        name: {"value": one.value, "source": one.source, "environment": environment.get(name)}
        for name, one in found.items()
    }
