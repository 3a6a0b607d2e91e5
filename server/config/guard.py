"""How the objectives stand, as a staged revision is judged by it.

Every objective counts, whichever service it holds: a limit of ours stands before
the outcomes of all of them.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct, field

from server.slo.model.status import ObjectiveStatus, Status

UNSURE = ("blind", "partial")


class OpenAlert(Struct):
    """What is read of an alert in the picture."""

    objective: str
    state: str


class Standing(Struct, frozen=True):
    """What burns and what is not known, each by objective and in words."""

    age_s: float | None = None  # since the evaluation; None: there was none
    objectives: int = 0
    burning: dict[str, str] = field(default_factory=dict)  # evenkeel-availability burns 14x
    unsure: dict[str, str] = field(default_factory=dict)  # checkout is partial


def standing(slo: Raw, alerts: Raw, now: float) -> Standing:
    """From the picture's two opaque parts, the Status and the open alerts; `now` by the clock of the watch."""
    status = msgspec.json.decode(slo, type=Status | None)
    if status is None:
        return Standing()
    burning = {one.name: burns(one) for one in status.objectives if one.state == "burning"}
    for alert in msgspec.json.decode(alerts, type=list[OpenAlert]):
        if alert.state == "firing":
            burning.setdefault(alert.objective, f"the alert of {alert.objective} fires")
    unsure = {one.name: f"{one.service} is {one.state}" for one in status.objectives if one.state in UNSURE}
    return Standing(max(0.0, now - status.evaluated_at), len(status.objectives), burning, unsure)


def burns(objective: ObjectiveStatus) -> str:
    """The burn rate over the shortest window that decides, else over 5 minutes."""
    rates = [one.burn for one in objective.windows if one.window_s in objective.decided_by and one.burn is not None]
    rate = rates[0] if rates else objective.burn_5m
    return f"{objective.name} burns" if rate is None else f"{objective.name} burns {rate:.3g}x"
