"""An alert that would have been."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

from server.alerts.alert import Alert
from server.alerts.timeline import Timeline
from server.slo.ledger.history import share_of
from server.slo.model.objective import Objective
from server.slo.model.tiers import Urgency


class PastAlert(Struct):
    """Times are Unix seconds. `fired_at` None: it was shown, and nobody was told; `reset_at` None: it goes on.

    `bad`, `total` and `spent`, a share of the whole budget, are from the onset to the last moment at which it burned.
    """

    objective: str
    tier: str  # that fired it; else the last one
    urgency: Urgency  # the highest
    severity: int  # the worst
    onset: float
    detected_at: float
    fired_at: float | None
    reset_at: float | None
    times: int  # how often it fired
    bad: int
    total: int
    spent: float


@dataclass(slots=True)
class Kept:
    """An alert as it is now, as it was when it fired first, and the minute at the end of which it burned last."""

    alert: Alert
    burned: int
    fired: Alert | None = None
    severity: int = 3  # the worst

    def take(self, alert: Alert) -> None:
        """What became of it in a minute. What is over and comes back soon is the same alert."""
        self.alert = alert
        self.severity = min(self.severity, alert.severity)
        if alert.fired_at is not None and self.fired is None:
            self.fired = alert

    def told(self, line: Timeline, objective: Objective) -> PastAlert:
        """What is told of it in the end."""
        alert, first = self.alert, self.fired or self.alert
        since = line.between(line.index(alert.onset), self.burned)
        whole = line.before(self.burned, objective.window_s)
        return PastAlert(
            objective=alert.objective,
            tier=first.tier,
            urgency=alert.urgency,
            severity=self.severity,
            onset=alert.onset,
            detected_at=alert.detected_at,
            fired_at=first.fired_at,
            reset_at=alert.resolved_at,
            times=alert.fired_times,
            bad=since.bad,
            total=since.total,
            spent=share_of(since.bad, whole, objective.allowed),
        )
