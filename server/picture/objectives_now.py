"""How the objectives stand, as a staged revision is judged by it: for the settings, which know no objectives.

Every objective counts, whichever service it holds: a limit of ours stands before
the outcomes of all of them. A drill's fails on purpose, and does not.
"""

from __future__ import annotations

from server.config.staged import ObjectivesNow
from server.kernel.names import is_drill
from server.picture.picture import Picture
from server.slo.model.status import ObjectiveStatus

UNSURE = ("blind", "partial")


def objectives_now(picture: Picture | None, age_s: float | None) -> ObjectivesNow:
    """By a picture that is `age_s` old; nothing is known without one, or before the first evaluation."""
    if picture is None or age_s is None or picture.slo is None:
        return ObjectivesNow()
    objectives = [one for one in picture.slo.objectives if not one.drill]
    burning = {one.name: burns(one) for one in objectives if one.state == "burning"}
    onsets = {one.name: one.onset for one in objectives if one.state == "burning" and one.onset is not None}
    for alert in picture.alerts:
        if alert.state == "firing" and alert.objective not in burning and not is_drill(alert.service):
            burning[alert.objective] = f"the alert of {alert.objective} fires"
            if alert.estimated:
                onsets[alert.objective] = alert.beginning.onset
    unsure = {one.name: f"{one.service} is {one.state}" for one in objectives if one.state in UNSURE}
    evaluated_s = max(0.0, picture.at + age_s - picture.slo.evaluated_at)
    return ObjectivesNow(evaluated_s, len(objectives), burning, unsure, onsets)


def burns(objective: ObjectiveStatus) -> str:
    """The burn rate over the shortest window that decides, else over 5 minutes."""
    rates = [one.burn for one in objective.windows if one.window_s in objective.decided_by and one.burn is not None]
    rate = rates[0] if rates else objective.burn_5m
    return f"{objective.name} burns" if rate is None else f"{objective.name} burns {rate:.3g}x"
