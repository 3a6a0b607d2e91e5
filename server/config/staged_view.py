"""A staged revision as people and the API see it, while it is one and after it has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from server.config.receipts import GONE_S, Due, Seen, labels
from server.config.revisions import Revision
from server.config.staged import LIVE, Staged, State, baked_words, clock_words, ends_at, how_it_ended, where
from server.kernel.times import Instant, utc


class StagedView(Struct):
    """The newest revision that was staged. Times of the bake are seconds."""

    revision: int
    base: int  # in force in all other processes
    state: State
    by: str  # who brought it into this state
    at: Instant  # since when
    share: float
    bake_s: int
    baked_s: float
    ends_at: Instant | None  # when it is promoted if all stays well; None while the clock stands
    held: str  # why the clock stands; empty: it runs
    known: list[str]  # objectives that burned before: they do not end it
    processes: list[str]  # that it is in force in
    applied: int  # of those, with a receipt
    of: int  # web processes
    why: str  # why it ended
    where: str  # for people: Revision 15 staged on 1 of 4 processes, or how it ended
    text: str  # for people: baked 3 of 10 min · no objective burns; once it has ended, how

    @property
    def live(self) -> bool:
        return self.state in LIVE


def staged_view(staged: Staged, seen: Sequence[Seen], now: float) -> StagedView:
    named = labels(seen)
    there = [one for one in seen if one.silent_s <= GONE_S]
    ends = ends_at(staged)
    return StagedView(
        revision=staged.newest,
        base=staged.base,
        state=staged.state,
        by=staged.state_by,
        at=utc(staged.state_at),
        share=staged.share,
        bake_s=staged.bake_s,
        baked_s=round(staged.baked_s, 1),
        ends_at=None if ends is None else utc(ends),
        held=staged.held if staged.live else "",
        known=staged.known,
        processes=[named[one] for one in staged.chosen if one in named],
        applied=sum(one.id in staged.chosen and one.revision == staged.newest for one in there),
        of=len(there),
        why=staged.why,
        where=where(staged, len(there)),
        text=f"{baked_words(staged)} · {clock_words(staged, now)}" if staged.live else how_it_ended(staged),
    )


def told_of(staged: Staged | None, last_act: Revision) -> bool:
    """Whether the page tells of it: while it is live, and after its end until somebody's next act."""
    if staged is None or staged.live:
        return staged is not None
    rollback = staged.newest + 1 if staged.state == "rolled_back" else staged.revision
    return last_act.number in (staged.revision, rollback)


def dues(current: Revision, base: Revision, staged: Mapping[int, Staged], seen: Sequence[Seen]) -> dict[int, Due]:
    """What is in force in each process, and since when. `staged` has, by number, those of the two that were staged."""
    mine = staged.get(current.number)
    live = mine is not None and mine.live
    found = {}
    for one in seen:
        revision = base if live and mine is not None and one.id not in mine.chosen else current
        found[one.id] = Due(revision.number, since(revision, staged.get(revision.number), one.id))
    return found


def since(revision: Revision, staged: Staged | None, process: int) -> float:
    """When a revision came into force in a process: when it was made, chosen or promoted."""
    if staged is None or staged.newest != revision.number:
        return revision.at
    if process in staged.chosen:
        return max(revision.at, staged.chosen[process])
    return staged.state_at if staged.state == "promoted" else revision.at
