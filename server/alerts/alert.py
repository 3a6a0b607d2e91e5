"""An alert as it is kept, shown and sent."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from server.kernel.names import OWN
from server.slo.model.status import Evidence, OnsetMethod
from server.slo.model.tiers import Urgency

# pending: detected and shown, nobody is told yet; resolving: clear, and held for a while in case it comes back.
AlertState = Literal["pending", "firing", "resolving", "resolved"]


class Alert(Struct):
    """One alert of one objective; at most one is not resolved. Times are Unix seconds, `severity` is 1 to 3."""

    id: int
    objective: str
    service: str
    state: AlertState
    urgency: Urgency  # the highest so far
    tier: str  # that holds now, or held last
    severity: int  # the worst so far
    onset: float  # the first bad second, estimated
    onset_method: OnsetMethod
    detected_at: float
    evidence: Evidence  # the last that said that something burns; `spent` is the most of all that did
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

    @property
    def estimated(self) -> bool:
        """Whether the onset is an estimate of the first bad second, not only the beginning of a long window."""
        return self.onset_method != "window"

    @property
    def began(self) -> float:
        """What its length is counted from: the onset, where that is estimated, else its detection."""
        return self.onset if self.estimated else self.detected_at


# What another firing begins with: it is notified and acknowledged anew.
ANEW: dict[str, Any] = {"notified_at": None, "acknowledged_at": None, "acknowledged_by": "", "acknowledged_as": None}


class AlertEvent(Struct):
    """One line of an alert's timeline, written at a time in Unix seconds."""

    alert_id: int
    at: float
    kind: str
    text: str
    author: str = OWN
