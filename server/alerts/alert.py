"""An alert as it is kept, shown and sent."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from server.kernel.names import OWN
from server.slo.model.memory import Recovery
from server.slo.model.status import Evidence, OnsetMethod
from server.slo.model.tiers import Urgency

# pending: detected and shown, nobody is told yet; resolving: clear, and held for a while in case it comes back.
AlertState = Literal["pending", "firing", "resolving", "resolved"]


class Beginning(Struct):
    """How an outage began: the `number`th of its alert. Times are Unix seconds."""

    number: int
    onset: float  # the first bad second, estimated
    onset_method: OnsetMethod
    detected_at: float


class Alert(Struct):
    """One alert of one objective; at most one is not resolved. Times are Unix seconds, `severity` is 1 to 3.

    What comes back soon is another outage of the same alert. How the first began stays; whatever was done and told is
    of the last outage. Those before it are kept as `Outage`.
    """

    id: int
    objective: str
    service: str
    state: AlertState
    urgency: Urgency  # the highest so far
    tier: str  # that holds now, or held last
    severity: int  # the worst so far
    onset: float  # the first bad second of the first outage, estimated
    onset_method: OnsetMethod
    detected_at: float
    evidence: Evidence  # the last that said that something burns; `spent` is of all its outages
    fired_at: float | None = None
    notified_at: float | None = None
    acknowledged_at: float | None = None
    acknowledged_by: str = ""
    acknowledged_as: Urgency | None = None  # the urgency that it had when it was acknowledged
    clear_since: float | None = None
    resolved_at: float | None = None
    fired_times: int = 0
    flapping: bool = False
    suppressed_by: int | None = None  # the alert of a dependency
    silence_id: int | None = None
    told: Urgency | None = None  # the highest urgency that was told of this firing; None: nobody was told
    firings: list[float] = []  # of the objective, within an hour before the last one; the last one is the last
    tier_at: float | None = None  # when `tier` was last told of
    calmed: bool = False  # it flaps, and was clear for so long that another alert would have been over
    returned_at: float | None = None  # since when it is back after that, while nobody was told
    again: Beginning | None = None  # of the outage that is not the first
    over_at: float | None = None  # when the last outage seems to have ended
    recovery: Recovery | None = None  # what says so, until it is sure

    @property
    def beginning(self) -> Beginning:
        """How its last outage began."""
        return self.again or Beginning(1, self.onset, self.onset_method, self.detected_at)

    @property
    def estimated(self) -> bool:
        """Whether that onset is an estimate of the first bad second, not only the beginning of a long window."""
        return self.beginning.onset_method != "window"

    @property
    def began(self) -> float:
        """What its length is counted from: the onset, where that is estimated, else its detection."""
        return self.beginning.onset if self.estimated else self.beginning.detected_at

    @property
    def ended(self) -> float | None:
        """When the failure ended, which is before that was sure; None while it goes on."""
        return None if self.resolved_at is None else self.resolved_at if self.over_at is None else self.over_at


# What another firing begins with: it is notified and acknowledged anew.
ANEW: dict[str, Any] = {"notified_at": None, "acknowledged_at": None, "acknowledged_by": "", "acknowledged_as": None}


class Outage(Struct):
    """One outage of an alert, whole. `over_at` is when it seems to have ended, `resolved_at` when that was sure."""

    alert_id: int
    number: int
    service: str
    objective: str
    urgency: Urgency
    severity: int
    onset: float
    onset_method: OnsetMethod
    detected_at: float
    fired_at: float | None
    notified_at: float | None
    acknowledged_at: float | None
    acknowledged_by: str
    over_at: float | None
    resolved_at: float | None

    @property
    def state(self) -> AlertState:
        """How far it is; what came before another is over."""
        if self.resolved_at is not None:
            return "resolved"
        return "pending" if self.fired_at is None else "firing" if self.over_at is None else "resolving"

    @property
    def time_to_detect_s(self) -> float | None:
        """From the onset; None where that is only where a long window begins."""
        return None if self.onset_method == "window" else max(0.0, self.detected_at - self.onset)

    @property
    def time_to_acknowledge_s(self) -> float | None:
        """From when somebody was told."""
        told_at = self.fired_at if self.notified_at is None else self.notified_at
        return None if self.acknowledged_at is None or told_at is None else max(0.0, self.acknowledged_at - told_at)

    @property
    def lasted_s(self) -> float | None:
        """From the onset, or else the detection, to the end of the failure; None while it goes on."""
        if self.resolved_at is None:
            return None
        began = self.detected_at if self.onset_method == "window" else self.onset
        return max(0.0, (self.resolved_at if self.over_at is None else self.over_at) - began)


class AlertEvent(Struct):
    """One line of an alert's timeline, written at a time in Unix seconds."""

    alert_id: int
    at: float
    kind: str
    text: str
    author: str = OWN
