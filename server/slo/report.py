"""What the API answers about objectives."""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from server.errors import invalid
from server.live.picture import Picture
from server.slo import ledger_store
from server.slo.budget import budget_left, exhausted_in_s
from server.slo.burn import burn_rate, spent
from server.slo.objective import Objective
from server.slo.policies import Policies
from server.slo.rules import H1
from server.slo.status import ObjectiveStatus, State, Status
from server.slo.view import status_in, text, urgency
from server.slo.windows import Windows, first_minute

UNITS_S = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
MIN_S, MAX_S = 300, 90 * 86_400


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
    status: ObjectiveStatus | None


class ObjectivesAnswer(Struct):
    """Every objective. `evaluated_at` is Unix seconds; null: not evaluated yet."""

    policy_revision: int
    evaluated_at: float | None
    objectives: list[ObjectiveAnswer]
    services: dict[str, State]  # the state of every service


class BudgetAnswer(Struct, rename={"from_": "from"}):
    """Counts over [from, to), Unix seconds, `from` a whole minute; ratios from 0 to 1.

    `state` no_traffic: nothing was counted in the window, so there is no ratio and no
    burn rate. `budget_left` and `exhausted_in_s` are of the objective's own window;
    `spent` is the share of that budget which this window's burn rate takes in it.
    """

    name: str
    service: str
    window_s: int
    from_: int
    to: int
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
    counted_since: float


def objectives(policies: Policies, picture: Picture | None) -> ObjectivesAnswer:
    """Every objective as the last picture has it, the worst first."""
    status = status_in(picture)
    found = [answer(each, status) for each in policies.objectives]
    found.sort(key=lambda each: urgency(each.name, each.status))
    states = dict(status.services) if status else {}
    return ObjectivesAnswer(policies.number, status.evaluated_at if status else None, found, states)


def objective(asked: Objective, picture: Picture | None) -> ObjectiveAnswer:
    """One objective as the last picture has it."""
    return answer(asked, status_in(picture))


def answer(asked: Objective, status: Status | None) -> ObjectiveAnswer:
    """An objective and how it stands."""
    standing = [each for each in status.objectives if each.name == asked.name] if status else []
    return ObjectiveAnswer(
        name=asked.name,
        title=asked.title,
        text=text(asked),
        service=asked.service,
        kind=asked.kind,
        target=float(asked.target),
        threshold_ms=None if asked.threshold_us is None else asked.threshold_us / 1000,
        window_days=asked.window_days,
        status=standing[0] if standing else None,
    )


def window_s(asked: str, objective: Objective) -> int:
    """`5m` to `90d` as seconds; the objective's own window where nothing is asked; ApiError 422."""
    if not asked:
        return objective.window_s
    match = re.fullmatch(r"([1-9][0-9]{0,6})([mhdw])", asked, re.ASCII)
    seconds = int(match[1]) * UNITS_S[match[2]] if match else 0
    if not MIN_S <= seconds <= MAX_S:
        raise invalid("window", "give 5m to 90d, such as 1h or 28d")
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
        from_=first_minute(now, window),
        to=int(now) + 1,
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
        counted_since=await ledger_store.counted_since(connection, objective.id),
    )
