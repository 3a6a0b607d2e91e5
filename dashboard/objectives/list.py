"""Objectives: what each service is held to, what is left of its budget, and how fast that goes."""

from __future__ import annotations

from msgspec import Struct

from dashboard.objectives.objective import look_of
from dashboard.shared.live import Ask, LivePage, live_page
from dashboard.shared.looks import BAD, LOOKS, Look
from dashboard.shared.page import Page
from server.alerts.alert import Alert
from server.kernel.names import is_drill
from server.parts import Parts
from server.slo.model.objective import Objective
from server.slo.model.status import ObjectiveStatus, State, by_name

ENDED = float("inf")
SHOWN = 30  # rows, before those that are fine are folded


class ObjectiveLine(Struct):
    """One objective with its look and its status (None before the first evaluation), and its alert."""

    objective: Objective
    look: Look | None
    status: ObjectiveStatus | None
    alert: Alert | None

    @property
    def total(self) -> int:
        return self.status.good + self.status.bad if self.status else 0

    @property
    def allowed(self) -> float:
        """How many may be bad among those counted; of few requests less than one."""
        return (1 - self.status.target) * self.total if self.status else 0.0

    @property
    def without(self) -> float | None:
        """What would be left if nothing were excluded; None where nothing is."""
        one = self.status
        return one.budget_left_counted if one and one.left_out_good + one.left_out_bad else None

    @property
    def troubled(self) -> bool:
        """Whether it is never folded."""
        return self.alert is not None or self.look is None or self.look.state in BAD


class ObjectivesView(Struct):
    """The table, the objective most at risk first, and the services that are held to nothing."""

    rows: list[ObjectiveLine]
    rest: list[ObjectiveLine]  # those that are fine, in short, where all are asked for
    folded: str  # `480 others OK, 3 without traffic`; nothing where all are shown
    all: bool
    service: str  # the only one that is shown; '' all of them
    services: list[str]
    unheld: list[str]
    policy_revision: int
    slo_file: str


async def objectives_view(parts: Parts, ask: Ask, now: float) -> ObjectivesView:
    """The table from the picture that this process holds."""
    picture = parts.relay.picture
    objectives = parts.policies.of_production
    held = {objective.service for objective in objectives}
    service = ask.get("service")
    rows = sorted((row for row in objective_lines(parts) if service in ("", row.objective.service)), key=risk)
    everything = ask.get("all") == "1"
    many = max(SHOWN, sum(row.troubled for row in rows))
    shown, rest = rows[:many], rows[many:]
    sending = [found.name for found in picture.services if not is_drill(found.name)] if picture else []
    return ObjectivesView(
        rows=shown,
        rest=rest if everything else [],
        folded="" if everything else folded(rest),
        all=everything,
        service=service,
        services=sorted(held),
        unheld=sorted(name for name in sending if name not in held and service in ("", name)),
        policy_revision=parts.policies.number,
        slo_file=str(parts.env.slo_file.name),
    )


def objective_lines(parts: Parts) -> list[ObjectiveLine]:
    """Every objective as the picture has it."""
    statuses = by_name(parts.relay.status)
    alerts = {alert.objective: alert for alert in parts.relay.alerts if alert.state != "resolved"}
    return [line_of(one, statuses.get(one.name), alerts.get(one.name)) for one in parts.policies.of_production]


def line_of(objective: Objective, status: ObjectiveStatus | None, alert: Alert | None) -> ObjectiveLine:
    """One objective. Nothing is healthy before its alert is over."""
    return ObjectiveLine(objective, look_of(status, alert), status, alert)


def risk(line: ObjectiveLine) -> tuple[int, int, float, float, str]:
    """Worst state first, then the worst alert, then what is gone soonest, then the least budget that can be judged."""
    status = line.status if line.status and line.status.judged else None
    gone = ENDED if status is None or status.exhausted_in_s is None else status.exhausted_in_s
    left = ENDED if status is None or status.budget_left is None else status.budget_left
    severity = line.alert.severity if line.alert else len(LOOKS)
    return line.look.rank if line.look else len(LOOKS), severity, gone, left, line.objective.name


def folded(rows: list[ObjectiveLine]) -> str:
    """What is not shown, each state named: `480 others OK, 3 without traffic`."""
    words: dict[State, str] = {"ok": "OK", "no_traffic": "without traffic"}
    counted = [
        (sum(row.look is not None and row.look.state == state for row in rows), word) for state, word in words.items()
    ]
    parts = [f"{n:,} {word}" for n, word in counted if n]
    return f"Not shown: {', '.join(parts)}." if parts else ""


def objectives_title(view: ObjectivesView) -> str:
    look = view.rows[0].look if view.rows else None
    return f"{look.mark + ' ' if look else ''}Objectives · Evenkeel"


OBJECTIVES = live_page(
    LivePage(
        name="objectives",
        template="objectives.html",
        context=objectives_view,
        regions={"objectives": "objectives/table.html", "objectives-rest": "objectives/rest.html"},
        args=("service", "all"),
        title="Objectives · Evenkeel",
        titles=objectives_title,
    )
)


class ObjectivesPage(Page):
    """GET /objectives."""

    async def get(self) -> None:
        await self.show_live(OBJECTIVES)
