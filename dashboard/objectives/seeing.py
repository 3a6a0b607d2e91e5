"""How fast an objective would see a failure, at the traffic it has now."""

from __future__ import annotations

from functools import lru_cache

from server.live.service import LiveService
from server.slo.judge.detection import Detection, detection
from server.slo.model.objective import Objective
from server.slo.model.status import ObjectiveStatus
from server.slo.model.tiers import H1


def seeing(objective: Objective, standing: ObjectiveStatus | None, service: LiveService | None) -> Detection | None:
    """At the rate of the last minute, else of the last hour; None without traffic."""
    minute = service.n - (service.bad if objective.kind == "latency" else 0) if service else 0
    hour = next((one.total for one in standing.windows if one.window_s == H1), 0) if standing else 0
    per_second = minute / 60 or hour / H1
    return at_rate(objective, float(f"{per_second:.2g}")) if per_second else None


@lru_cache(maxsize=1000)
def at_rate(objective: Objective, per_second: float) -> Detection:
    """To two digits of the rate, so that it is not computed each second for everybody."""
    return detection(objective, per_second)
