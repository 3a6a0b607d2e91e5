"""What the API answers about objectives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, structs

from server.kernel.times import Instant, utc
from server.picture.picture import Picture
from server.slo.judge.view import by_name, status_in, text, urgency
from server.slo.ledger.recount_store import Exactness
from server.slo.model.objective import Objective
from server.slo.model.status import BurnWindow, ObjectiveStatus, Standing, State
from server.slo.policy.policies import Policies


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
    tiers: dict[str, Standing]  # those whose windows both burn at their rate
    recounting: bool = False


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


class ObjectivesAnswer(Struct):
    """Every objective. `evaluated_at` null: not evaluated yet."""

    policy_revision: int
    evaluated_at: Instant | None
    objectives: list[ObjectiveAnswer]
    services: dict[str, State]  # the state of every service


def objectives(policies: Policies, picture: Picture | None, exact: Mapping[int, Exactness]) -> ObjectivesAnswer:
    """Every objective as the last picture has it, the worst first; `exact` by ledger."""
    status = status_in(picture)
    standing = by_name(status)
    ordered = sorted(policies.objectives, key=lambda each: urgency(each.name, standing.get(each.name)))
    found = [answer(each, standing.get(each.name), exact[each.id]) for each in ordered]
    states = dict(status.services) if status else {}
    return ObjectivesAnswer(policies.number, utc(status.evaluated_at) if status else None, found, states)


def objective(one: Objective, picture: Picture | None, exact: Mapping[int, Exactness]) -> ObjectiveAnswer:
    """One objective as the last picture has it."""
    return answer(one, by_name(status_in(picture)).get(one.name), exact[one.id])


def answer(one: Objective, standing: ObjectiveStatus | None, exact: Exactness) -> ObjectiveAnswer:
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
        provisional=one.provisional,
        exact_since=utc(exact.since),
        recounting=exact.recounting,
        status=status_answer(standing) if standing else None,
    )


def status_answer(one: ObjectiveStatus) -> StatusAnswer:
    """How an objective stands, with its times as the API tells it."""
    times = {name: None if at is None else utc(at) for name, at in (("since", one.since), ("onset", one.onset))}
    return StatusAnswer(**(structs.asdict(one) | times))
