"""How each service stands, from the picture."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from dashboard.shared.looks import BAD, LOOKS, Look, PageState
from dashboard.shared.recovery import Recovered, Waiting, beside_alerts, recovered, waiting
from server.alerts.alert import Alert
from server.alerts.order import causes, open_by_service, service_order
from server.kernel.names import is_drill
from server.live.service import LiveService
from server.picture.picture import Picture
from server.slo.model.status import ObjectiveStatus, State, Status, VersionVerdict


class ServiceNow(Struct):
    """One service: how it stands, what it is held to, and its open alerts, the worst first."""

    live: LiveService
    state: PageState
    objectives: list[ObjectiveStatus]
    alerts: list[Alert]
    cause: str = ""  # the service that explains its alert
    waits_for: Waiting | None = None  # while it recovers
    recovered: Recovered | None = None  # within an hour, where no alert is open
    version: VersionVerdict | None = None  # of its newest version
    targets: int | None = None  # whom its alerts are told

    @property
    def order(self) -> tuple[float, int, bool, float, int, str]:
        """What orders services, worst first, then busiest."""
        live = self.live
        ratio = live.bad / live.n if live.n else None
        return self.rank, *service_order(self.alerts, ratio), -live.n, live.name

    @property
    def rank(self) -> float:
        """How bad its state is: who is in trouble and held to nothing comes after all others' trouble."""
        if self.objectives or self.state not in BAD:
            return LOOKS[self.state].rank
        return LOOKS["at_risk"].rank + 0.5


def services_now(picture: Picture | None) -> list[ServiceNow]:
    """Every service, by name."""
    if picture is None:
        return []
    held: dict[str, list[ObjectiveStatus]] = {}
    for objective in picture.slo.objectives if picture.slo else ():
        held.setdefault(objective.service, []).append(objective)
    alerts, found = open_by_service(picture.alerts), list[ServiceNow]()
    over: dict[str, list[Alert]] = {}
    for alert in picture.alerts:
        if alert.state == "resolved" and alert.service not in alerts:
            over.setdefault(alert.service, []).append(alert)
    explained, versions = causes(alerts), picture.slo.versions if picture.slo else {}
    for live in picture.services:
        if is_drill(live.name) and live.silent_s is not None:
            continue  # it is over, or was stopped: that nothing comes of it any more is no silence
        its = alerts.get(live.name, [])
        state = state_of(live, picture.slo, its)
        found.append(
            ServiceNow(
                live,
                state,
                held.get(live.name, []),
                its,
                explained.get(live.name, ""),
                waiting(its) if state == "recovering" else None,
                recovered(over.get(live.name, ())),
                versions.get(live.name),
                picture.targets,
            )
        )
    return found


def state_of(service: LiveService, status: Status | None, alerts: Sequence[Alert] = ()) -> PageState:
    """The state of a service. Nothing is healthy before its `alerts`, the open ones, are over."""
    return beside_alerts(evaluated(service, status), alerts)


def evaluated(service: LiveService, status: Status | None) -> State:
    """The state that the watch gave, or without objectives what the picture alone says."""
    if status is not None and service.name in status.services:
        return status.services[service.name]
    if service.partial:
        return "partial"
    return "blind" if service.blind else "no_objective"


def worst(picture: Picture | None) -> Look | None:
    """The worst state of any service but a drill's; None: nothing is known."""
    found = min(
        (each for each in services_now(picture) if not is_drill(each.live.name)),
        key=lambda each: each.order,
        default=None,
    )
    return LOOKS[found.state] if found else None
