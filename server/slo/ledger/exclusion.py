"""An exclusion: time that people take out of the budgets of a service, for maintenance or a load test.

What it takes out of each budget, and of what policy allows to be taken out at all: the
union of a service's exclusions is capped within any window of its longest objective.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from server.kernel.text import percent, span
from server.kernel.times import Instant
from server.slo.model.budget import budget_left
from server.slo.model.counts import Counts
from server.slo.model.objective import Objective
from server.slo.model.status import ObjectiveStatus

Span = tuple[int, int]  # whole minutes in Unix seconds, half-open
MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86_400

Name = Annotated[str, Meta(max_length=200)]
Route = Annotated[str, Meta(max_length=500)]


class ExclusionAsked(Struct, forbid_unknown_fields=True):
    """[start, stop), widened to whole minutes. `route`, `version`, `method`: only these; '' is any."""

    service: Annotated[str, Meta(min_length=1, max_length=200)]
    start: Instant
    stop: Instant
    reason: str
    route: Route = ""
    version: Name = ""
    method: Name = ""


class Exclusion(Struct):
    """What is taken out of the budgets of a service: whole minutes [start, stop). '' is any route, version, method."""

    id: int
    service: str
    route: str
    version: str
    method: str
    start: Instant
    stop: Instant
    reason: str
    author: str
    created_at: Instant
    revoked_at: Instant | None
    revoked_by: str


class ExclusionSaved(Struct):
    """What making or revoking did. With `already`, it was done before and nothing was changed."""

    exclusion: Exclusion
    already: bool
    message: str


class Use(NamedTuple):
    """One window, Unix seconds, and the seconds of it that are taken out without and with what is asked."""

    start: int
    stop: int
    used: int
    wanted: int

    @property
    def asked(self) -> int:
        """What is asked takes out so much more of it."""
        return self.wanted - self.used


def union(spans: Iterable[Span]) -> list[Span]:
    """The spans without overlaps, rising."""
    found: list[Span] = []
    for start, stop in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def within(spans: Iterable[Span], start: int, stop: int) -> int:
    """The seconds of [start, stop) that are in the spans, which do not overlap."""
    return sum(max(0, min(stop, last) - max(start, first)) for first, last in spans)


def most_used(others: Sequence[Span], asked: Span, window_s: int) -> Use:
    """The window of `window_s` that would have most taken out, of those that touch what is asked.

    What is in a window changes its slope only where a span begins at its start or ends
    at its end, so these and the outermost windows that still touch are all to look at.
    """
    before, after = union(others), union([*others, asked])
    starts = {first for first, _ in after} | {last - window_s for _, last in after}
    touching = {at for at in starts if at < asked[1] and at + window_s > asked[0]}
    touching |= {asked[1] - MINUTE_S, asked[0] - window_s + MINUTE_S}
    worst = max(sorted(touching), key=lambda at: within(after, at, at + window_s))
    stop = worst + window_s
    return Use(worst, stop, within(before, worst, stop), within(after, worst, stop))


class Cap(NamedTuple):
    """What policy allows to be taken out of a service within its longest window, and what of it would be used."""

    use: Use
    window_s: int
    allowed_s: int


class BudgetChange(Struct):
    """What is left of an objective's budget now, and what would be; None: nothing counted."""

    objective: str
    now: float | None
    then: float | None

    @property
    def sentence(self) -> str:
        """`checkout-works 31 % → 34 %`."""
        return f"{self.objective} {percent(self.now)} → {percent(self.then)}"


class ExclusionEffect(Struct):
    """What was counted so far in the minutes that are asked for, and how much of the cap they take, in seconds."""

    total: int
    failed: int
    budgets: list[BudgetChange]
    used_s: int
    asked_s: int
    allowed_s: int
    window_s: int

    @property
    def sentence(self) -> str:
        """`Takes out 12,345 outcomes, 412 of them failed. Budget left: checkout-works 31 % → 34 %. …`"""
        counted = (
            f"Takes out {self.total:,} outcomes that were counted so far, {self.failed:,} of them failed."
            if self.total
            else "Takes out nothing that was counted so far."
        )
        changed = [one.sentence for one in self.budgets if percent(one.now) != percent(one.then)]
        budgets = f" Budget left: {', '.join(changed)}." if changed else ""
        return f"{counted}{budgets} {self.cap}"

    @property
    def cap(self) -> str:
        """How much of what policy allows it takes."""
        allowed = f"the {hours(self.allowed_s)} that the policy allows within {self.window_s // DAY_S} days"
        if self.used_s + self.asked_s > self.allowed_s:
            return f"It would be refused: {span(self.used_s)} of {allowed} are used, and this is {span(self.asked_s)}."
        used = f"{span(self.used_s)} are used already" if self.used_s else "nothing of it is used yet"
        return f"{span(self.asked_s)} of {allowed}; {used}."


def budget_change(objective: Objective, status: ObjectiveStatus, out: Counts) -> BudgetChange:
    """What is left of an objective's budget, and what would be without `out`."""
    whole, allowed = Counts(status.good, status.bad), objective.allowed
    return BudgetChange(objective.name, budget_left(whole, allowed), budget_left(whole.without(out), allowed))


def hours(seconds: int) -> str:
    """A sum of excluded minutes, as the policy tells it: `25 h`, `3 h 10 min`, `0 h`."""
    whole, rest = divmod(seconds, HOUR_S)
    return f"{whole} h {rest // MINUTE_S} min" if rest else f"{whole} h"
