"""Finds the change just before a failure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from server.kernel.names import OWN

if TYPE_CHECKING:
    from server.changes.store import Change

BEFORE_S = 1800.0
# A deploy is recorded with its first outcome, which may be one of the failures: at most a minute late.
AFTER_S = 60.0


def just_before(changes: Iterable[Change], start: float) -> Change | None:
    """The last change within half an hour before `start`, Unix seconds."""
    close = [one for one in changes if -AFTER_S <= start - one.at.timestamp() <= BEFORE_S and may_cause(one)]
    return max(close, key=lambda change: change.at, default=None)


def may_cause(change: Change) -> bool:
    """Whether it altered what runs: policies, exclusions and overrides say how failures count and what may go out."""
    return change.kind not in ("policy", "exclusion", "override") and not brought_back(change)


def brought_back(change: Change) -> bool:
    """Whether Evenkeel rolled back by itself: that follows from a failure and causes none."""
    detail = change.detail if isinstance(change.detail, dict) else {}
    return change.author == OWN and detail.get("kind") == "rollback"
