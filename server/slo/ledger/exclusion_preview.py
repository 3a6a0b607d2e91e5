"""What an exclusion would take out, told before it is made. It changes nothing and waits for nobody."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.text import percent, span
from server.slo.ledger.exclusion_store import ALL, taken
from server.slo.ledger.exclusions import ExclusionAsked, cap_of, hours, whole_minutes
from server.slo.model.budget import budget_left
from server.slo.model.counts import NOTHING, Counts
from server.slo.model.objective import Objective
from server.slo.model.status import ObjectiveStatus
from server.slo.policy.policies import Policies

DAY_S = 86_400


class Budget(Struct):
    """What is left of an objective's budget now, and what would be; None: nothing counted."""

    objective: str
    now: float | None
    then: float | None

    @property
    def told(self) -> str:
        return f"{self.objective} {percent(self.now)} → {percent(self.then)}"


class Preview(Struct):
    """What was counted so far in the minutes that are asked for, and how much of the cap they take, in seconds."""

    total: int
    failed: int
    budgets: list[Budget]
    used_s: int
    asked_s: int
    allowed_s: int
    window_s: int

    @property
    def told(self) -> str:
        """`Takes out 12,345 outcomes, 412 of them failed. Budget left: checkout-works 31 % → 34 %. …`"""
        counted = (
            f"Takes out {self.total:,} outcomes that were counted so far, {self.failed:,} of them failed."
            if self.total
            else "Takes out nothing that was counted so far."
        )
        changed = [one.told for one in self.budgets if percent(one.now) != percent(one.then)]
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


async def preview(
    connection: AsyncConnection,
    policies: Policies,
    standing: Mapping[str, ObjectiveStatus],
    asked: ExclusionAsked,
    now: float,
) -> Preview:
    """What it would do; `standing` is how the objectives stand now, by name. ApiError INVALID as `make` gives it."""
    start, stop = whole_minutes(asked, now)
    objectives = [objective for objective in policies.objectives if objective.service == asked.service]
    use, window_s, allowed_s = await cap_of(connection, policies, asked.service, start, stop)
    found = await taken(connection, objectives, asked, start, stop)
    return Preview(
        total=found[ALL].total,
        failed=found[ALL].bad,
        budgets=[budget(o, standing[o.name], found.get(o.id, NOTHING)) for o in objectives if o.name in standing],
        used_s=use.used,
        asked_s=use.asked,
        allowed_s=allowed_s,
        window_s=window_s,
    )


def budget(objective: Objective, now: ObjectiveStatus, out: Counts) -> Budget:
    """What is left of an objective's budget, and what would be."""
    whole, allowed = Counts(now.good, now.bad), objective.allowed
    return Budget(objective.name, budget_left(whole, allowed), budget_left(whole.without(out), allowed))
