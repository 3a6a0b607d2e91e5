"""Which value of a setting is in force for whom, where it comes from, and how two revisions differ.

Order, first found: the key's temporary value, the key's kept one, the temporary
one for all, the kept one for all, the environment, the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from server.config.limits import Limits
from server.config.registry import SETTINGS, Value
from server.config.revisions import ALL, KEY, Entries, Entry
from server.kernel.times import Instant, utc

Source = Literal["revision", "environment", "default"]
Environment = Mapping[str, Value]


class Resolved(Struct, frozen=True):
    """A setting for one scope: the value in force, and the standing one that shows when a temporary value ends."""

    value: Value
    source: Source
    standing: Value
    standing_source: Source
    until: float | None


class Difference(Struct, frozen=True):
    """One setting in one scope, before and after. `text` has no times: a page shows those in the viewer's zone."""

    setting: str
    scope: str
    scope_name: str  # all, or the key's name
    before: Value
    after: Value
    before_source: Source
    after_source: Source
    before_until: Instant | None
    after_until: Instant | None
    text: str  # batch items 1000 -> 100 for ci-loadgen


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
    value = {name: resolve(entries, environment, name, scope).value for name in SETTINGS}
    return Limits(
        max_request_body_bytes=value["MAX_REQUEST_BODY_BYTES"],
        ingest_max_batch_items=value["INGEST_MAX_BATCH_ITEMS"],
        ingest_max_items_per_second=value["INGEST_MAX_ITEMS_PER_SECOND"],
        ingest_store_outcomes=bool(value["INGEST_STORE_OUTCOMES"]),
    )


def scopes(entries: Entries) -> list[str]:
    """The keys' scopes that have values of their own, in order; kinds of a newer version are left out."""
    return sorted({e.scope for e in entries if KEY.fullmatch(e.scope)}, key=lambda scope: (len(scope), scope))


@dataclass(frozen=True, slots=True)
class Lens:
    """How revisions are read: this process's environment, the keys' names by scope, and the time, Unix seconds."""

    environment: Environment
    names: Mapping[str, str]
    now: float

    def name(self, scope: str) -> str:
        """A scope for people: all, or the key's name."""
        return "all" if scope == ALL else self.names.get(scope, scope)


def differences(before: Entries, after: Entries, lens: Lens) -> list[Difference]:
    """What changes from one set of entries to another, in every scope where they differ.

    A setting that this version does not know is left out.
    """
    named = {(e.setting, e.scope) for e in set(before) ^ set(after) if e.setting in SETTINGS}
    order = list(SETTINGS)
    found = []
    for name, scope in sorted(named, key=lambda pair: (order.index(pair[0]), pair[1] != ALL, pair[1])):
        a, b = resolve(before, lens.environment, name, scope), resolve(after, lens.environment, name, scope)
        if a != b:
            found.append(difference(name, scope, lens.name(scope), a, b))
    return found


def difference(name: str, scope: str, scope_name: str, a: Resolved, b: Resolved) -> Difference:
    return Difference(
        setting=name,
        scope=scope,
        scope_name=scope_name,
        before=a.value,
        after=b.value,
        before_source=a.source,
        after_source=b.source,
        before_until=None if a.until is None else utc(a.until),
        after_until=None if b.until is None else utc(b.until),
        text=told(name, a, b) + ("" if scope == ALL else f" for {scope_name}"),
    )


def told(name: str, a: Resolved, b: Resolved) -> str:
    """The difference in words; where the value stays, what does change."""
    setting = SETTINGS[name]
    if a.value != b.value:
        return f"{setting.title} {setting.shown(a.value)} -> {setting.shown(b.value)}"
    stays = f"{setting.title} stays {setting.shown(b.value)}"
    if b.until != a.until:
        return f"{stays}, {'kept' if b.until is None else 'with another end'}"
    if a.standing != b.standing:
        return f"{stays}, then {setting.shown(a.standing)} -> {setting.shown(b.standing)}"
    was, is_now = (a.source, b.source) if a.source != b.source else (a.standing_source, b.standing_source)
    return f"{stays}, from the {was} -> the {is_now}"


def sources(entries: Entries, environment: Environment) -> dict[str, dict[str, Value | str | None]]:
    """What a receipt keeps: each setting's value for all, its source, and what the environment there says."""
    found = {name: resolve(entries, environment, name) for name in SETTINGS}
    return {
        name: {"value": one.value, "source": one.source, "environment": environment.get(name)}
        for name, one in found.items()
    }
