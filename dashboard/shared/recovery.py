"""What the open alerts say of the end of a failure, and what those say that are over since an hour at most."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from msgspec import Struct

from dashboard.shared.looks import BAD, PageState
from server.alerts.alert import Alert
from server.alerts.order import alert_order
from server.kernel.text import ms, span
from server.slo.model.status import State

CALM_S = 10  # how long it takes until it is sure is told in steps of this, so that it can be read


class Waiting(Struct):
    """`0 of 402 failed` since when (Unix seconds), and when that will be enough: `sure in 2 min`."""

    counted: str  # `Clear`, where nothing was counted
    since: float
    sure: str


class Recovered(Struct):
    """A failure that ended: its alert, when it ended (Unix seconds) and how long it had lasted."""

    alert_id: int
    at: float
    after_s: float


def waiting(alerts: Iterable[Alert]) -> Waiting | None:
    """What open alerts wait for, all of which say that what they are of is over; None: one does not, or there is
    none. Of several the one that waits longest."""
    open_ = sorted(alerts, key=alert_order)
    found = [(alert, alert.recovery) for alert in open_ if alert.recovery is not None]
    if not found or len(found) < len(open_):
        return None
    alert, recovery = max(found, key=lambda each: each[1].sure_in_s)
    over = alert.evidence.threshold_ms
    bad = "failed" if over is None else f"over {ms(over)}"
    counted = f"{recovery.bad:,} of {recovery.total:,} {bad}" if recovery.total else "Clear"
    return Waiting(counted, recovery.since, sure_in(recovery.sure_in_s))


def sure_in(seconds: float) -> str:
    """`sure in 2 min`."""
    return f"sure in {span(math.ceil(seconds / CALM_S) * CALM_S)}" if seconds > 0 else "sure any moment"


def beside_alerts(state: State, alerts: Sequence[Alert]) -> PageState:
    """A state beside the open alerts: nothing is healthy before they are over, and where it is not known whether all
    outcomes arrive, nothing recovers."""
    if not alerts or state in ("blind", "partial"):
        return state
    if waiting(alerts) is not None:
        return "recovering"
    return state if state in BAD else "at_risk"


def recovered(alerts: Iterable[Alert]) -> Recovered | None:
    """The newest failure that ended, of alerts that were resolved lately."""
    over = [(alert.ended, alert) for alert in alerts if alert.state == "resolved" and alert.fired_at is not None]
    known = [(ended, alert) for ended, alert in over if ended is not None]
    if not known:
        return None
    ended, alert = max(known, key=lambda each: (each[0], each[1].id))
    return Recovered(alert.id, ended, max(0.0, ended - alert.began))
