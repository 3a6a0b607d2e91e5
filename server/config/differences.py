"""How two revisions differ: in words, whether one is looser, what going back would change, and the history.

A change loosens a limit where at any moment from now on more may come in than before: lower
limits, a looser value that ends sooner and a tighter one that lasts longer tighten. Storing
outcomes is load, so off is tighter than on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct, field

from server.config.registry import SETTINGS, Value
from server.config.revisions import ALL, Entries, Environment, Kind, Resolved, Revision, Source, resolve, unexpired
from server.kernel.times import Instant, utc


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
        text=words_of(name, a, b) + ("" if scope == ALL else f" for {scope_name}"),
    )


def words_of(name: str, a: Resolved, b: Resolved) -> str:
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


def loosened(before: Entries, after: Entries, environment: Environment, now: float) -> list[str]:
    """The names of the settings that are looser at some moment from `now` on, in any scope; Unix seconds."""
    named = {(e.setting, e.scope) for e in set(before) ^ set(after) if e.setting in SETTINGS}
    found = {
        name
        for name, scope in named
        if looser(name, resolve(before, environment, name, scope), resolve(after, environment, name, scope), now)
    }
    return [name for name in SETTINGS if name in found]


def looser(name: str, before: Resolved, after: Resolved, now: float) -> bool:
    """Whether the value lets more in at any of the moments at which either changes."""
    lets_in = SETTINGS[name].lets_in
    moments = [now, *(one.until for one in (before, after) if one.until is not None)]
    return any(lets_in(at(after, moment)) > lets_in(at(before, moment)) for moment in moments)


def at(one: Resolved, moment: float) -> Value:
    """The value at a moment: a temporary one has ended at its end."""
    return one.value if one.until is None or moment < one.until else one.standing


class Offer(Struct):
    """A rollback that can be asked for as it stands: POST /api/v1/config/rollback with `from` and `to`."""

    from_: int = field(name="from")
    to: int
    undo: bool  # whether it undoes a rollback
    label: str  # Roll back to 13: batch items 100 -> 1000
    differences: list[Difference]


def offer(current: Revision, target: Revision, lens: Lens) -> Offer | None:
    """Going back from the revision in force; None where it would change nothing."""
    found = differences(current.entries, unexpired(target.entries, lens.now), lens)
    if not found:
        return None
    undo = current.kind == "rollback" and target.number == current.number - 1
    shown = f"{target.number} (= {target.restores})" if target.kind == "rollback" else str(target.number)
    values = ", ".join(one.text for one in found)
    label = f"Undo: {values}, back to {shown}" if undo else f"Roll back to {shown}: {values}"
    return Offer(current.number, target.number, undo, label, found)


class RevisionView(Struct):
    """One revision. `rollback` is None where going back to it would change nothing."""

    revision: int
    kind: Kind
    restores: int | None
    author: str
    reason: str
    at: Instant
    differences: list[Difference]  # from the revision before it
    rollback: Offer | None  # going back to it from the revision in force


def history(newest_first: Sequence[Revision], current: Revision, lens: Lens) -> list[RevisionView]:
    """The revisions, each compared with the one it was made from; one whose is not in the list, with itself."""
    listed = {one.number: one for one in newest_first}
    shown = []
    for one in newest_first:
        before = listed.get(one.previous, one).entries
        shown.append(
            RevisionView(
                revision=one.number,
                kind=one.kind,
                restores=one.restores,
                author=one.author,
                reason=one.reason,
                at=utc(one.at),
                differences=differences(before, one.entries, lens),
                rollback=offer(current, one, lens),
            )
        )
    return shown
