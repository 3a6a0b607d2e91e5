"""A staged revision: in force in some processes, and everywhere once it has proven itself there.

While it runs or is paused its base is in force in all other processes. The bake
clock runs only while it is known how every objective stands and every chosen
process has applied it; an objective that starts to burn ends it. Time comes in
as Unix seconds.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from msgspec import Struct, field

from server.config.receipts import GONE_S, WebProcess, labels
from server.config.revisions import Revision
from server.kernel.errors import ApiError, invalid
from server.kernel.names import OWN
from server.kernel.text import plural, span
from server.kernel.times import Instant, utc


class ObjectivesNow(Struct, frozen=True):
    """How the objectives stand: what burns and what is not known, each by objective and in words."""

    age_s: float | None = None  # since the evaluation; None: there was none
    count: int = 0  # of objectives
    burning: dict[str, str] = field(default_factory=dict)  # evenkeel-availability burns 14x
    unsure: dict[str, str] = field(default_factory=dict)  # checkout is partial
    onsets: dict[str, float] = field(default_factory=dict)  # of those that burn, Unix seconds, where it is known


State = Literal["running", "paused", "promoted", "rolled_back"]
LIVE: tuple[State, ...] = ("running", "paused")

ONSET_S = 60  # an estimated onset may be so much too early
LOOK_S = 2.5  # the watch looks each second; after a longer gap nobody knows what happened in it
STALE_S = 3.0
BAKE_MINUTES_MAX = 24 * 60


class StagingAsked(Struct, forbid_unknown_fields=True):
    """How a revision is staged: the share of the web processes, above 0 and below 1, and for how long."""

    share: float
    bake_minutes: int


class Staged(Struct):
    """One staged revision, as stored."""

    revision: int  # as somebody made it
    newest: int  # the number that it has now: the end of a temporary value makes another
    base: int  # in force in all other processes
    state: State
    state_by: str
    state_at: float
    why: str  # why it ended
    share: float
    bake_s: int
    chosen: dict[int, float]  # the processes in which it is in force, and since when they are chosen
    known: list[str]  # objectives that burned before, so that they do not end it
    baked_s: float = 0.0
    checked_at: float | None = None  # when the watch last looked
    held: str = "the watch has not looked yet"  # why the bake clock stood at that look; empty: it ran

    @property
    def live(self) -> bool:
        return self.state in LIVE


def checked_staging(asked: StagingAsked, minutes: int | None) -> None:
    """ApiError INVALID for what cannot be staged; `minutes` is how long the values are to last."""
    if not 0 < asked.share < 1:
        raise invalid("stage.share", "give a share of the processes above 0 and below 1, such as 0.25")
    if not 1 <= asked.bake_minutes <= BAKE_MINUTES_MAX:
        raise invalid("stage.bake_minutes", f"give a whole number from 1 to {BAKE_MINUTES_MAX}")
    if minutes is not None and minutes <= asked.bake_minutes:
        reason = f"a value for {minutes} min would end before it was promoted; bake it for less, or let it last longer"
        raise invalid("stage.bake_minutes", reason)


def choose(live: Sequence[int], share: float) -> Sequence[int]:
    """The first processes of those that live, as many as the share asks for: at least one, and never all."""
    if len(live) < 2:
        reason = (
            "one web process runs, and a share of one cannot be staged; leave `stage` out to apply it at once, "
            "or run more processes (WEB_CONCURRENCY)"
        )
        raise invalid("stage", reason)
    return live[: min(len(live) - 1, max(1, math.ceil(share * len(live))))]


def kept_up(chosen: Mapping[int, float], there: Collection[int], fresh: Sequence[int], now: float) -> dict[int, float]:
    """The chosen processes with those that have gone replaced by the newest others; never all that are `there`.

    One that nobody can stand in for stays in its place, so that it is known how many there should be.
    """
    gone = [one for one in chosen if one not in there]
    others = sorted((one for one in fresh if one not in chosen), reverse=True)
    room = max(0, len(there) - 1 - (len(chosen) - len(gone)))
    found = dict(chosen)
    for old, new in zip(gone, others[:room], strict=False):
        del found[old]
        found[new] = now
    return found


def burned_before(objectives: ObjectivesNow, staged_at: float) -> list[str]:
    """What burns of which the failure began before the revision was staged: it does not answer for that."""
    return [name for name in objectives.burning if objectives.onsets.get(name, staged_at) < staged_at - ONSET_S]


def starts_to_burn(staged: Staged, objectives: ObjectivesNow) -> str:
    """What burns that did not burn before, in words; empty: nothing."""
    return ", ".join(words for name, words in objectives.burning.items() if name not in staged.known)


def still_known(staged: Staged, objectives: ObjectivesNow) -> list[str]:
    """What has burned since before. What recovers and burns again ends it after all."""
    return [name for name in staged.known if name in objectives.burning or name in objectives.unsure]


def stale(objectives: ObjectivesNow) -> str:
    """That the objectives are not evaluated just now, in words; empty: they are."""
    age_s = objectives.age_s
    if age_s is not None and age_s <= STALE_S:
        return ""
    return "objectives have not been evaluated " + ("yet" if age_s is None else f"for {span(age_s)}")


def unsure_words(objectives: ObjectivesNow) -> str:
    """What is not known well enough to judge a revision by; the first three."""
    return ", ".join(list(dict.fromkeys(objectives.unsure.values()))[:3])


def held_by(staged: Staged, objectives: ObjectivesNow, unproven: Sequence[str]) -> str:
    """Why the bake clock stands; empty: it runs. `unproven` names the chosen processes without a receipt."""
    if staged.state == "paused":
        return "paused"
    if not_evaluated := stale(objectives):
        return not_evaluated
    if not objectives.count:
        return "there is no objective to judge it by"
    if objectives.unsure:
        return unsure_words(objectives)
    if unproven:
        return f"{', '.join(unproven)} {'has' if len(unproven) == 1 else 'have'} not applied it"
    return ""


def baked_s(staged: Staged, held: str, now: float) -> float:
    """The clock after a look at `now`: what lies between two looks counts where nothing was held at either."""
    if held or staged.held or staged.checked_at is None:
        return staged.baked_s
    return staged.baked_s + min(LOOK_S, max(0.0, now - staged.checked_at))


def ends_at(staged: Staged) -> float | None:
    """When it will be promoted if all stays well; None while the clock stands."""
    if staged.state != "running" or staged.held or staged.checked_at is None:
        return None
    return staged.checked_at + max(0.0, staged.bake_s - staged.baked_s)


def where(staged: Staged, of: int) -> str:
    """Revision 15 staged on 1 of 4 processes; once it has ended, where it went."""
    if staged.state == "promoted":
        return f"Revision {staged.newest} promoted to every process"
    if staged.state == "rolled_back":
        return f"Revision {staged.newest} rolled back from {plural(len(staged.chosen), 'process', 'processes')}"
    return f"Revision {staged.newest} staged on {len(staged.chosen)} of {plural(of, 'process', 'processes')}"


def clock_words(staged: Staged, now: float) -> str:
    """Whether it goes well, in words."""
    if staged.state == "paused":
        return f"paused by {person(staged.state_by)}"
    if staged.checked_at is not None and now - staged.checked_at > STALE_S:
        return f"the bake clock stands: the watch has not looked for {span(now - staged.checked_at)}"
    if staged.held:
        return f"the bake clock stands: {staged.held}"
    if staged.known:
        return f"no objective burns but {', '.join(staged.known)}, which burned before"
    return "no objective burns"


def how_it_ended(staged: Staged) -> str:
    """Rolled back by Evenkeel: evenkeel-availability burns 14x."""
    verb = "Promoted" if staged.state == "promoted" else "Rolled back"
    return f"{verb} by {person(staged.state_by)}: {staged.why}"


def baked_words(staged: Staged) -> str:
    whole = staged.bake_s // 60
    if staged.baked_s < 60:
        return f"baked {staged.baked_s:.0f} s of {whole} min"
    return f"baked {min(whole, int(staged.baked_s // 60))} of {whole} min"


def person(author: str) -> str:
    return "Evenkeel" if author == OWN else author


def refused(staged: Staged) -> ApiError:
    """409 for a change while one is staged."""
    where = plural(len(staged.chosen), "process", "processes")
    detail = f"Revision {staged.newest} is staged on {where}: promote it or roll it back first."
    return ApiError("CONFLICT", f"{detail} What only tightens, at once, ends it. Nothing was saved.")


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


def staged_view(staged: Staged, processes: Sequence[WebProcess], now: float) -> StagedView:
    named = labels(processes)
    there = [one for one in processes if one.silent_s <= GONE_S]
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


def still_shown(staged: Staged | None, last_act: Revision) -> bool:
    """Whether the page tells of it: while it is live, and after its end until somebody's next act."""
    if staged is None or staged.live:
        return staged is not None
    rollback = staged.newest + 1 if staged.state == "rolled_back" else staged.revision
    return last_act.number in (staged.revision, rollback)
