"""Whether a change of the settings loosens a limit: at any moment from now on, more may come in than before.

Lower limits, a looser value that ends sooner and a tighter one that lasts longer
tighten. Storing outcomes is load, so off is tighter than on.
"""

from __future__ import annotations

from server.config.registry import SETTINGS, Value
from server.config.resolve import Environment, Resolved, resolve
from server.config.revisions import Entries


def loosened(before: Entries, after: Entries, environment: Environment, now: float) -> list[str]:
    """The titles of the settings that are looser at some moment from `now` on, in any scope; Unix seconds."""
    named = {(e.setting, e.scope) for e in set(before) ^ set(after) if e.setting in SETTINGS}
    found = {
        name
        for name, scope in named
        if looser(name, resolve(before, environment, name, scope), resolve(after, environment, name, scope), now)
    }
    return [SETTINGS[name].title for name in SETTINGS if name in found]


def looser(name: str, before: Resolved, after: Resolved, now: float) -> bool:
    """Whether the value is greater at any of the moments at which either changes."""
    moments = [now, *(one.until for one in (before, after) if one.until is not None)]
    return any(size(name, at(after, moment)) > size(name, at(before, moment)) for moment in moments)


def at(one: Resolved, moment: float) -> Value:
    """The value at a moment: a temporary one has ended at its end."""
    return one.value if one.until is None or moment < one.until else one.standing


def size(name: str, value: Value) -> float:
    """How much a value lets in. No throttle is the most."""
    return float("inf") if name == "INGEST_MAX_ITEMS_PER_SECOND" and value == 0 else float(value)
