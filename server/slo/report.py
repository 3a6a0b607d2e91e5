"""What the API answers about objectives."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, structs
from sqlalchemy.ext.asyncio import AsyncConnection

from server.errors import invalid
from server.live import asked
from server.live.picture import Picture
from server.slo import ledger_store
from server.slo.budget import budget_left, exhausted_in_s
from server.slo.burn import burn_rate, spent
from server.slo.objective import Objective
from server.slo.policies import Policies
from server.slo.rules import H1
from server.slo.status import BurnWindow, ObjectiveStatus, State, Status
from server.slo.view import status_in, text, urgency
from server.slo.windows import Windows, first_minute
from server.times import Instant, utc

SHORTEST_S = 300


class StatusAnswer(Struct):
    """An ObjectiveStatus, where the fields are described, with `since` as a time."""

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


class ObjectiveAnswer(Struct):
    """An objective. `status` null: the watch has not evaluated it yet."""

    name: str
    title: str
    text: str
    service: str
    kind: Literal["availability", "latency"]
    target: float
    threshold_ms: float | None
    window_days: int
    status: StatusAnswer | None


class ObjectivesAnswer(Struct):
    """Every objective. `evaluated_at` null: not evaluated yet."""

    policy_revision: int
    evaluated_at: Instant | None
    objectives: list[ObjectiveAnswer]
    services: dict[str, State]  # the state of every service


class BudgetAnswer(Struct, rename={"from_": "from"}):
    """Counts over [from, to), `from` a whole minute; ratios from 0 to 1.

    `state` no_traffic: nothing was counted in the window, so there is no ratio and no
    burn rate. `budget_left` and `exhausted_in_s` are of the objective's own window;
    `spent` is the share of that budget which this window's burn rate takes in it.
    """

    name: str
    service: str
    window_s: int
    from_: Instant
    to: Instant
    state: Literal["counted", "no_traffic"]
    good: int
    bad: int
    excluded: int
    total: int
    bad_ratio: float | None
    burn_rate: float | None
    spent: float | None
    budget_left: float | None
    exhausted_in_s: float | None
    counted_since: Instant


def objectives(policies: Policies, picture: Picture | None) -> ObjectivesAnswer:
    """Every objective as the last picture has it, the worst first."""
    status = status_in(picture)
    standing = by_name(status)
    ordered = sorted(policies.objectives, key=lambda each: urgency(each.name, standing.get(each.name)))
    found = [answer(each, standing.get(each.name)) for each in ordered]
    states = dict(status.services) if status else {}
    return ObjectivesAnswer(policies.number, utc(status.evaluated_at) if status else None, found, states)


def objective(one: Objective, picture: Picture | None) -> ObjectiveAnswer:
    """One objective as the last picture has it."""
    return answer(one, by_name(status_in(picture)).get(one.name))


def by_name(status: Status | None) -> dict[str, ObjectiveStatus]:
    """How each objective stands; empty before the first evaluation."""
    return {each.name: each for each in status.objectives} if status else {}


def answer(one: Objective, standing: ObjectiveStatus | None) -> ObjectiveAnswer:
    """An objective and how it stands."""
    return ObjectiveAnswer(
        name=one.name,
        title=one.title,
        text=text(one),
        service=one.service,
        kind=one.kind,
        target=float(one.target),
        threshold_ms=None if one.threshold_us is None else one.threshold_us / 1000,
        window_days=one.window_days,
        status=status_answer(standing) if standing else None,
    )


def status_answer(one: ObjectiveStatus) -> StatusAnswer:
    """How an objective stands, with its time as the API tells it."""
    since = None if one.since is None else utc(one.since)
    return StatusAnswer(**(structs.asdict(one) | {"since": since}))


def window_s(text: str, objective: Objective) -> int:
    """`5m` as seconds, at least 5 minutes; the objective's own window where nothing is asked. ApiError 422."""
    seconds = asked.window_s(text) if text else objective.window_s
    if seconds < SHORTEST_S:
        raise invalid("window", "is at least 5m: objectives are counted by the minute")
    return seconds


async def budget(connection: AsyncConnection, objective: Objective, window: int, now: float) -> BudgetAnswer:
    """The exact counts of one snapshot: the ledger, and what is committed and not in it yet."""
    read = await Windows((window, H1)).read(connection, (objective,), now)
    counts, whole, hour = (read[objective.id][each] for each in (window, objective.window_s, H1))
    burn, allowed = burn_rate(counts, objective.allowed), objective.allowed
    left = budget_left(whole, allowed)
    return BudgetAnswer(
        name=objective.name,
        service=objective.service,
        window_s=window,
        from_=utc(first_minute(now, window)),
        to=utc(int(now) + 1),
        state="counted" if counts.total else "no_traffic",
        good=counts.good,
        bad=counts.bad,
        excluded=counts.excluded,
        total=counts.total,
        bad_ratio=counts.bad / counts.total if counts.total else None,
        burn_rate=burn,
        spent=None if burn is None else spent(burn, window, objective.window_s),
        budget_left=left,
        exhausted_in_s=exhausted_in_s(left, burn_rate(hour, allowed), objective.window_s),
        counted_since=utc(await ledger_store.counted_since(connection, objective.id)),
    )
