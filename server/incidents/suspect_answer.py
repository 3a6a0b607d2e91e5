"""The suspects of a service's failures or slowness, as they are told: read, ranked, and put beside what changed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct, field
from sqlalchemy.ext.asyncio import AsyncConnection

from server.changes import store as change_store
from server.changes.before import may_cause
from server.changes.store import Change
from server.config.registry import SETTINGS
from server.incidents import suspect_store as store
from server.incidents.suspect_rows import (
    BEFORE_MOST,
    FAILED_MOST,
    GOOD_MOST,
    Material,
    Prepared,
    by_minute,
    drawn,
    prepare,
)
from server.incidents.suspects import (
    ENOUGH,
    MINUTE_S,
    NEAR_S,
    Cause,
    Combination,
    Row,
    causes,
    failing,
    matching,
    surplus,
)
from server.kernel.db import Database
from server.kernel.times import Instant, utc
from server.live import questions, refusals_store

BEFORE_S = 600  # what fails is compared with so long before it
FOR_S = 900  # and looked for so long after the alarm
CHANGED_S = 3600  # changes are told from so long before the alarm on
AT_ONSET_S = 120  # a revision that came into force within so long of the first failing minute is a value
VERSIONED = ("version", "revision")  # values that a change brings: they have no time before them to compare with

# 30 extra failures are enough to name a suspect, 300 make it a sure one.
Certainty = Literal["nothing fails more than before", "too few to tell", "likely", "very likely"]


class FailedOf(Struct):
    """How many of how many requests failed; where slowness is looked at, took longer than the threshold."""

    bad: int
    n: int


class SuspectChange(Struct):
    """What altered production near the alarm; `before_s` is below 0 where it came after."""

    id: int
    kind: str
    version: str
    summary: str
    author: str
    at: Instant
    before_s: float


class SuspectAnswer(Struct):
    """A combination of values. Shares are from 0 to 1; `traffic` null: only failures say these values."""

    values: dict[str, str]
    share: float  # of the extra failures
    traffic: float | None
    close: bool  # the failures hardly tell it from the first
    score: float
    now: FailedOf
    before: FailedOf  # of a new version or revision: the same routes, before it
    rest: FailedOf  # everything else, now
    error_classes: list[str]  # what most of its failures say, three at most
    requests: list[str]  # two of its failing requests
    change: SuspectChange | None  # that brought its version or revision
    undo: str | None
    back_to: str | None = None  # the version that the undo goes back to


class CauseAnswer(Struct):
    """One cause, best explanation first; a further one explains what the earlier ones do not."""

    extra: int  # failures
    suspects: list[SuspectAnswer]


class SuspectsAnswer(Struct):
    """What explains that a service fails, or is slow, near a time. `from` and `to` are the minutes looked at."""

    service: str
    at: Instant
    certainty: Certainty
    start: Instant | None = field(default=None, name="from")
    stop: Instant | None = field(default=None, name="to")
    compared_from: Instant | None = None  # it is compared with this time, up to `from`
    extra: int = 0  # failures
    now: FailedOf | None = None
    before: FailedOf | None = None
    causes: list[CauseAnswer] = []
    changes: list[SuspectChange] = []  # nearest first


class SuspectsQuestion(NamedTuple):
    """Of which service, and near which time: the onset or the alarm, Unix seconds. With `over_ms` what took longer
    counts, and not what failed."""

    service: str
    at: float
    over_ms: float | None = None


async def suspects_of(db: Database, asked: SuspectsQuestion, now: float) -> SuspectsAnswer:
    """The suspects; ApiError 404 for a service that is not known. Ranked in a thread, outside the snapshot."""
    async with db.ask() as connection, db.rows_if_there(connection) as rows:
        await questions.require(connection, asked.service)
        changes = await near_changes(connection, asked)
        read = await material(connection, asked, now, changes, rows)
    if read is None:
        return SuspectsAnswer(asked.service, utc(asked.at), "nothing fails more than before", changes=changes)
    return await asyncio.to_thread(answered, asked, read, changes)


async def near_changes(connection: AsyncConnection, asked: SuspectsQuestion) -> list[SuspectChange]:
    """What may have caused it, nearest first."""
    at = asked.at
    found = await change_store.recent(connection, at - CHANGED_S, asked.service, until=at + FOR_S)
    return sorted((change_near(one, at) for one in found if may_cause(one)), key=lambda one: abs(one.before_s))


def change_near(one: Change, at: float) -> SuspectChange:
    before_s = round(at - one.at.timestamp(), 1)
    return SuspectChange(one.id, one.kind, one.version, one.summary, one.author, one.at, before_s)


async def material(
    connection: AsyncConnection,
    asked: SuspectsQuestion,
    now: float,
    changes: Sequence[SuspectChange],
    rows: AsyncConnection | None,
) -> Material | None:
    """What is kept of when it fails and of the time before; None where nothing fails more than before.

    `rows`: where outcomes are; None: they cannot be read now, and what only they say is left out.
    """
    service, at = asked.service, asked.at
    over_us = None if asked.over_ms is None else round(asked.over_ms * 1000)
    first = int(at) // MINUTE_S * MINUTE_S - NEAR_S - BEFORE_S - MINUTE_S
    counts = await store.minutes(connection, service, first, min(now, at + FOR_S), over_us)
    when = failing(by_minute(counts), at)
    if when is None:
        return None
    start, stop = when
    quiet = min(start, int(at) // MINUTE_S * MINUTE_S)
    before = quiet - BEFORE_S
    spans = ((start, stop), (before, quiet))
    failed, good = [
        await store.sample(
            rows,
            [each for span, most in zip(spans, mosts, strict=True) for each in drawn(counts, *span, most, bad=bad)],
            bad=bad,
            over_us=over_us,
        )
        for bad, mosts in ((True, (FAILED_MOST, BEFORE_MOST)), (False, (GOOD_MOST, GOOD_MOST)))
    ]
    labels = {one.id: one for one in await store.labels(connection, service)}
    revision = await revision_at(connection, service, changes, start, stop)
    return Material(start, stop, before, quiet, labels, counts, failed, good, revision, over_us is not None)


async def revision_at(
    connection: AsyncConnection, service: str, changes: Sequence[SuspectChange], start: float, stop: float
) -> str:
    """The revision that came into force about when it began to fail, where a limit that it set refused something of the
    service since; '' for none: that it came then alone says nothing."""
    near = [one for one in changes if one.kind == "revision" and -AT_ONSET_S <= one.at.timestamp() - start <= MINUTE_S]
    whole = {one.id: one for one in await change_store.several(connection, [one.id for one in near])} if near else {}
    for one in near:
        if await refusals_store.refused_between(
            connection, service, refusals_of(whole[one.id]), one.at.timestamp(), stop
        ):
            return one.version
    return ""


def refusals_of(revision: Change) -> set[str]:
    """The codes with which the limits that a revision has altered refuse; of one that does not say which, all."""
    detail = revision.detail if isinstance(revision.detail, dict) else {}
    names = {one.get("setting") for one in detail.get("differences", [])} or set(SETTINGS)
    return {one.refuses for name, one in SETTINGS.items() if name in names and one.refuses}


def answered(asked: SuspectsQuestion, read: Material, changes: list[SuspectChange]) -> SuspectsAnswer:
    """Rank, and put each suspect beside what it was before, what the rest is, and what changed."""
    prepared = prepare(read)
    more = surplus(prepared.compared)
    whole = sum(more)
    found = causes(prepared.compared)
    teller = Teller(prepared, more, changes)
    return SuspectsAnswer(
        asked.service,
        utc(asked.at),
        "too few to tell" if not found else "likely" if whole < ENOUGH else "very likely",
        utc(read.start),
        utc(read.stop),
        utc(read.before),
        round(whole),
        failed_of(prepared.compared.now, prepared.compared.now),
        failed_of(prepared.compared.before, prepared.compared.before),
        [teller.cause(one) for one in found],
        changes,
    )


class Teller:
    """Tells of each suspect what it counted: not weighted, as a person would count it."""

    def __init__(self, prepared: Prepared, more: list[float], changes: list[SuspectChange]) -> None:
        self.prepared = prepared
        self.more = more
        self.changes = changes
        self.whole = sum(more) or 1.0
        self.n = sum(row.n for row in prepared.compared.now) or 1.0

    def cause(self, one: Cause) -> CauseAnswer:
        close = {each.combination for each in one.close}
        suspects = [self.suspect(each.combination, each.combination in close, each.score) for each in one.suspects]
        return CauseAnswer(round(one.extra), suspects)

    def suspect(self, combination: Combination, close: bool, score: float) -> SuspectAnswer:
        values, now = self.prepared.named(combination), self.prepared.compared.now
        mine = matching(now, combination)
        rows = [row for row, its in zip(now, mine, strict=True) if its]
        rest = [row for row, its in zip(now, mine, strict=True) if not its]
        before = self.before(combination, rows)
        # Of what only failures say, it is not known which requests could have said it: all could.
        marked = any(place >= len(now[0].values) for place, _ in combination)
        every, earlier = (now, self.prepared.compared.before) if marked else (rows, before)
        back_to = self.back_to(values, self.without_version(combination, rows))
        return SuspectAnswer(
            values,
            sum(more for more, its in zip(self.more, mine, strict=True) if its) / self.whole,
            None if marked else sum(row.n for row in rows) / self.n,
            close,
            round(score, 3),
            failed_of(rows, every),
            failed_of(before, earlier),
            failed_of(rest, every if marked else rest),
            error_classes(rows),
            self.prepared.requests(combination),
            self.brought(values),
            undo(values, back_to),
            back_to,
        )

    def before(self, combination: Combination, rows: Sequence[Row]) -> list[Row]:
        """The same before; of what was not there, the same without version and revision, on the routes it has now."""
        same = matched(self.prepared.compared.before, combination)
        names = self.prepared.names
        if same or not any(names[place] in VERSIONED for place, _ in combination):
            return same
        return self.without_version(combination, rows)

    def without_version(self, combination: Combination, rows: Sequence[Row]) -> list[Row]:
        """What ran before of a combination, whatever its version and revision, on the routes it has now."""
        names = self.prepared.names
        left = tuple(one for one in combination if names[one[0]] not in VERSIONED)
        routes = {self.route(row) for row in rows}
        return [row for row in matched(self.prepared.compared.before, left) if self.route(row) in routes]

    def route(self, row: Row) -> str:
        return self.value(row, "route")

    def value(self, row: Row, name: str) -> str:
        """A row's value of a field; '' where all rows have the same."""
        names = self.prepared.names[: len(row.values)]
        return row.values[names.index(name)] if name in names else ""

    def brought(self, values: dict[str, str]) -> SuspectChange | None:
        """The change that brought the version or the revision of a suspect."""
        kinds = {"deploy": values.get("version"), "revision": values.get("revision")}
        return next((one for one in self.changes if one.version and kinds.get(one.kind) == one.version), None)

    def back_to(self, values: dict[str, str], before: Sequence[Row]) -> str | None:
        """The version that most requests had before the suspect's; None where there is none.

        One that ran before, if only for a second, goes back where its deploy is known, and to none deployed since.
        """
        if "version" not in values:
            return None
        had: dict[str, float] = defaultdict(float)
        for row in before:
            had[self.value(row, "version")] += row.n
        deployed = {one.version: one.at for one in reversed(self.changes) if one.kind == "deploy"}
        mine = deployed.get(values["version"])
        if values["version"] in had and mine is None:
            return None
        later = {version for version, at in deployed.items() if mine is not None and at > mine}
        others = [version for version in had if version not in {"", values["version"], *later}]
        return max(others, key=had.__getitem__) if others else None


def undo(values: dict[str, str], back_to: str | None) -> str | None:
    """What would take a suspect away, where that is known."""
    if "revision" in values:
        return f"Roll back revision {values['revision']}"
    return f"Roll back to {back_to}" if back_to else None


def matched(rows: Sequence[Row], combination: Combination) -> list[Row]:
    return [row for row, its in zip(rows, matching(rows, combination), strict=True) if its]


def failed_of(failed: Iterable[Row], every: Iterable[Row]) -> FailedOf:
    """The failures of some rows, of all requests of others."""
    return FailedOf(round(sum(row.bad for row in failed)), round(sum(row.n for row in every)))


def error_classes(rows: Sequence[Row]) -> list[str]:
    """What the failures of rows say most, three at most."""
    said: dict[str, float] = defaultdict(float)
    for row in rows:
        if row.bad and row.marks[1]:
            said[row.marks[1]] += row.bad
    return sorted(said, key=lambda one: (-said[one], one))[:3]
