"""Objectives: what each service is held to, what is left of its budget, and how fast that goes."""

from __future__ import annotations

from msgspec import Struct

from dashboard.live import Ask, LivePage, live_page
from dashboard.looks import LOOKS, Look
from dashboard.page import Page
from server.parts import Parts
from server.slo.status import ObjectiveStatus
from server.slo.view import ObjectiveRow, objective_rows, status_in

ENDED = float("inf")


class Standing(Struct):
    """One objective with its look and its counts over the window; both None before the first evaluation."""

    row: ObjectiveRow
    look: Look | None
    counted: ObjectiveStatus | None

    @property
    def total(self) -> int:
        return self.counted.good + self.counted.bad if self.counted else 0

    @property
    def allowed(self) -> float:
        """How many may be bad among those counted; of few requests less than one."""
        return (1 - self.counted.target) * self.total if self.counted else 0.0


class ObjectivesView(Struct):
    """The table, the objective most at risk first, and the services that are held to nothing."""

    rows: list[Standing]
    unheld: list[str]
    policy_revision: int
    slo_file: str


async def objectives_view(parts: Parts, ask: Ask, now: float) -> ObjectivesView:
    """The table from the picture that this process holds."""
    picture = parts.relay.picture
    status = status_in(picture)
    counted = {one.name: one for one in status.objectives} if status else {}
    objectives = parts.policies.objectives
    rows = [
        Standing(row, LOOKS[row.state] if row.state else None, counted.get(row.name))
        for row in objective_rows(objectives, status)
    ]
    held = {row.row.service for row in rows}
    return ObjectivesView(
        rows=sorted(rows, key=risk),
        unheld=sorted(service.name for service in picture.services if service.name not in held) if picture else [],
        policy_revision=parts.policies.number,
        slo_file=str(parts.env.slo_file.name),
    )


def risk(standing: Standing) -> tuple[int, float, float, str]:
    """Worst state first, then what is gone soonest, then the least budget."""
    row = standing.row
    gone = ENDED if row.exhausted_in_s is None else row.exhausted_in_s
    left = ENDED if row.budget_left is None else row.budget_left
    return standing.look.rank if standing.look else len(LOOKS), gone, left, row.name


def objectives_title(view: ObjectivesView) -> str:
    look = view.rows[0].look if view.rows else None
    return f"{look.mark + ' ' if look else ''}Objectives · Evenkeel"


OBJECTIVES = live_page(
    LivePage(
        name="objectives",
        template="objectives.html",
        context=objectives_view,
        regions={"objectives": "objectives/table.html"},
        title="Objectives · Evenkeel",
        titles=objectives_title,
    )
)


class ObjectivesPage(Page):
    """GET /objectives."""

    async def get(self) -> None:
        await self.show_live(OBJECTIVES)
