"""Revisions as people and the API see them: each with its difference from the one before."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from server.config.offers import Offer, offer
from server.config.resolve import Difference, Lens, differences
from server.config.revisions import Kind, Revision
from server.kernel.times import Instant, utc


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
