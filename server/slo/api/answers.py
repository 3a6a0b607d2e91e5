"""What the API answers about objectives: how they stand, and the budget of one over a window, a month or any span."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct, structs
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.errors import invalid
from server.kernel.times import Instant, utc
from server.live.ranges import asked_window_s
from server.slo.judge.judgement import gone_in_s
from server.slo.ledger import ledger_store, recount_store, spans
from server.slo.ledger.ledger_store import Granularity
from server.slo.ledger.recount_store import Exactness
from server.slo.ledger.spans import Span, Split, granularity_of
from server.slo.ledger.windows import ByWindow, LedgerWindows, first_minute, first_of
from server.slo.model.budget import budget_left, burn_rate, judged, spent
from server.slo.model.calendar import Calendar, Unit
from server.slo.model.comparison import Finding
from server.slo.model.objective import Objective
from server.slo.model.status import (
    SEVERITY,
    BurnWindow,
    ObjectiveStatus,
    State,
    Status,
    TierState,
    VersionVerdict,
    by_name,
)
from server.slo.model.tiers import H1

SHORTEST_S = 300


class StatusAnswer(Struct):
    """An ObjectiveStatus, where the fields are described, with its times as such."""

    name: str
    service: str
    kind: Literal["availability", "latency"]
    target: float
    threshold_ms: float | None
    window_days: int
    state: State
    good: int
    bad: int
    excluded: int
    budget_left: float | None
    budget_worst: float | None
    budget_best: float | None
    burn_5m: float | None
    burn_1h: float | None
    exhausted_in_s: float | None
    since: Instant | None  # when this state began
    windows: list[BurnWindow]
    decided_by: list[int]
    judged: bool
    tier: str | None
    onset: Instant | None  # the first bad second of what burns, estimated
    suspicion: float
    provisional: bool
    left_out_good: int
    left_out_bad: int
    budget_left_counted: float | None
    tiers: dict[str, TierState]  # those whose windows both burn at their rate
    recounting: bool = False
    began: Instant | None = None  # of a calendar window: when this period began
    resets_at: Instant | None = None  # and when the next one does, with a budget of its own
    unseen: int | None = None  # outcomes that may be missing, which the range is over


class CalendarAnswer(Struct):
    """A window that begins anew every `many` units from `start_time` on, by the clock of `time_zone`."""

    many: int
    unit: Unit
    start_time: str
    time_zone: str


class ObjectiveAnswer(Struct):
    """An objective. `status` null: the watch has not evaluated it yet.

    `provisional`: the default of a service that nobody configured. `exact_since`: from
    then on every outcome is counted exactly; with `recounting`, older ones still will be.
    """

    name: str
    title: str
    text: str
    service: str
    kind: Literal["availability", "latency"]
    target: float
    threshold_ms: float | None
    window_days: int
    provisional: bool
    exact_since: Instant
    recounting: bool
    status: StatusAnswer | None
    calendar: CalendarAnswer | None = None  # None: the window rolls


class VersionAnswer(Struct):
    """The newest version of a service against the one before, on the routes that both served.

    `bad` of `n` against `other_bad` of `other_n`; `beside`: in the same minutes, as both
    run, else since it was first seen against the hour before. `ratio`: how many times as
    often it fails on the same route, null where the other never does; `p`: the chance of
    a difference as large where there is none. `serves`: it still counts.
    """

    service: str
    version: str
    first_seen: Instant
    other: str
    beside: bool
    serves: bool
    finding: Finding
    bad: int
    n: int
    other_bad: int
    other_n: int
    ratio: float | None
    p: float
    text: str  # 12 of 458 fail since v2, 1 of 1,830 before


class ObjectivesAnswer(Struct):
    """Every objective. `evaluated_at` null: not evaluated yet."""

    policy_revision: int
    evaluated_at: Instant | None
    objectives: list[ObjectiveAnswer]
    services: dict[str, State]  # the state of every service
    versions: list[VersionAnswer]  # of every service that has a new one


def objectives(
    number: int, held: Iterable[Objective], status: Status | None, exact: Mapping[int, Exactness]
) -> ObjectivesAnswer:
    """The objectives of a policy revision as they were evaluated last, the worst first; `exact` by ledger."""
    statuses = by_name(status)
    ordered = sorted(held, key=lambda each: urgency(each.name, statuses.get(each.name)))
    found = [answer(each, statuses.get(each.name), exact[each.id]) for each in ordered]
    states = dict(status.services) if status else {}
    versions = [version_answer(each) for each in status.versions.values()] if status else []
    return ObjectivesAnswer(number, utc(status.evaluated_at) if status else None, found, states, versions)


def version_answer(one: VersionVerdict) -> VersionAnswer:
    """A verdict, with its time and words as the API tells it."""
    return VersionAnswer(**(structs.asdict(one) | {"first_seen": utc(one.first_seen), "text": one.text}))


def urgency(name: str, status: ObjectiveStatus | None) -> tuple[int, float, str]:
    """Sorts by state, the worst first, then by the budget left, the least first; one without a status is last."""
    if status is None:
        return len(SEVERITY), 1.0, name
    return SEVERITY.index(status.state), 1.0 if status.budget_left is None else status.budget_left, name


def objective(one: Objective, status: Status | None, exact: Mapping[int, Exactness]) -> ObjectiveAnswer:
    """One objective as it was evaluated last."""
    return answer(one, by_name(status).get(one.name), exact[one.id])


def answer(one: Objective, status: ObjectiveStatus | None, exact: Exactness) -> ObjectiveAnswer:
    """An objective and how it stands."""
    return ObjectiveAnswer(
        name=one.name,
        title=one.title,
        text=one.text,
        service=one.service,
        kind=one.kind,
        target=float(one.target),
        threshold_ms=None if one.threshold_us is None else one.threshold_us / 1000,
        window_days=one.window_days,
        provisional=one.provisional,
        exact_since=utc(exact.since),
        recounting=exact.recounting,
        status=status_answer(status) if status else None,
        calendar=calendar_answer(one.calendar) if one.calendar else None,
    )


def calendar_answer(every: Calendar) -> CalendarAnswer:
    """A calendar as the API tells it."""
    return CalendarAnswer(every.many, every.unit, every.start.isoformat(sep=" "), every.zone)


def status_answer(one: ObjectiveStatus) -> StatusAnswer:
    """How an objective stands, with its times as the API tells it."""
    known = {"since": one.since, "onset": one.onset, "began": one.began, "resets_at": one.resets_at}
    times = {name: None if at is None else utc(at) for name, at in known.items()}
    kept = structs.asdict(one)
    del kept["period"], kept["minute"]
    return StatusAnswer(**(kept | times))


class BudgetAnswer(Struct, rename={"from_": "from"}):
    """Counts over [from, to), whole minutes or hours by `granularity`; ratios from 0 to 1.

    `good`, `bad`, `excluded` are without what exclusions take out, which is in `left_out_good`
    and `left_out_bad`. `state` no_traffic: nothing was counted, so there is no ratio and
    no burn rate. `span_left` is the budget of this span by itself, as of a calendar month;
    `budget_left` and `exhausted_in_s` are of the objective's own window; `spent` is the share of
    that budget which this span's burn rate takes in it. `_counted`: with nothing
    taken out. `judged` false: too little traffic in the objective's own window to judge `budget_left`. From
    `exact_since` on every outcome is counted exactly; with `recounting`, older ones still will be. `oldest`: the
    minute of the first that is counted, its hour where minutes are not kept any more; null: none is.
    """

    name: str
    service: str
    window_s: int
    from_: Instant
    to: Instant
    granularity: Granularity
    state: Literal["counted", "no_traffic"]
    good: int
    bad: int
    excluded: int
    total: int
    left_out_good: int
    left_out_bad: int
    bad_ratio: float | None
    burn_rate: float | None
    spent: float | None
    span_left: float | None
    span_left_counted: float | None
    budget_left: float | None
    budget_left_counted: float | None
    exhausted_in_s: float | None
    judged: bool
    counted_since: Instant
    exact_since: Instant
    oldest: Instant | None
    recounting: bool


def window_s(text: str) -> int:
    """`5m` as seconds, at least 5 minutes. ApiError 422."""
    seconds = asked_window_s(text)
    if seconds < SHORTEST_S:
        raise invalid("window", "is at least 5m: objectives are counted by the minute")
    return seconds


async def budget(connection: AsyncConnection, objective: Objective, window: int, now: float) -> BudgetAnswer:
    """Over a window that ends now; one snapshot of the ledger and of what is committed and not in it yet."""
    read = (await LedgerWindows((window, H1)).read(connection, (objective,), now))[objective.id]
    start = first_minute(now, window)
    span = Span(start, int(now) + 1, granularity_of(start, now))
    split = Split(read[window], read.out(window))
    return await budget_answer(connection, objective, read, split, span, window, now)


async def own_budget(connection: AsyncConnection, objective: Objective, now: float) -> BudgetAnswer:
    """Over the objective's own window: of a calendar, its period so far."""
    if objective.calendar is None:
        return await budget(connection, objective, objective.window_s, now)
    start = first_of(objective, now)
    return await span_budget(connection, objective, Span(start, int(now) + 1, granularity_of(start, now)), now)


async def span_budget(connection: AsyncConnection, objective: Objective, span: Span, now: float) -> BudgetAnswer:
    """Over a span; one snapshot."""
    read = (await LedgerWindows((H1,)).read(connection, (objective,), now))[objective.id]
    split = (await spans.read(connection, [objective], span))[objective.id]
    return await budget_answer(connection, objective, read, split, span, span.stop - span.start, now)


async def budget_answer(  # noqa: PLR0917 - what was read, in its order
    connection: AsyncConnection, objective: Objective, read: ByWindow, split: Split, span: Span, window: int, now: float
) -> BudgetAnswer:
    counts, allowed, own = split.counts, objective.allowed, objective.window_key
    burn, left = burn_rate(counts, allowed), budget_left(read[own], allowed)
    exact = (await recount_store.exactness(connection, [objective.id], now))[objective.id]
    return BudgetAnswer(
        name=objective.name,
        service=objective.service,
        window_s=window,
        from_=utc(span.start),
        to=utc(span.stop),
        granularity=span.granularity,
        state="counted" if counts.total else "no_traffic",
        good=counts.good,
        bad=counts.bad,
        excluded=counts.excluded,
        total=counts.total,
        left_out_good=split.left_out.good,
        left_out_bad=split.left_out.bad,
        bad_ratio=counts.bad / counts.total if counts.total else None,
        burn_rate=burn,
        spent=None if burn is None else spent(burn, window, objective.window_s),
        span_left=budget_left(counts, allowed),
        span_left_counted=budget_left(split.counted, allowed),
        budget_left=left,
        budget_left_counted=budget_left(read.counted(own), allowed),
        exhausted_in_s=gone_in_s(objective, left, burn_rate(read[H1], allowed), now),
        judged=judged(read[own], allowed),
        counted_since=utc(await ledger_store.counted_since(connection, objective.id)),
        exact_since=utc(exact.since),
        oldest=await recount_store.oldest(connection, objective.id),
        recounting=exact.recounting,
    )
