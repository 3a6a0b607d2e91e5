"""An alert in words: what a telephone shows at night, and what its timeline says."""

from __future__ import annotations

from datetime import UTC, datetime

from server.alerts.alert import Alert
from server.kernel.text import percent, span


def message(alert: Alert) -> str:
    """`SEV-2 checkout: 4.1 % of requests fail (objective 0.1 %) since 03:04:40 UTC. Likely: version 5f2c1a9.`"""
    sentence = f"SEV-{alert.severity} {alert.service}: {failing(alert)}{since(alert)}."
    if alert.evidence.provisional:
        sentence += " The objective is provisional."
    return sentence + (f" Likely: {alert.evidence.likely}." if alert.evidence.likely else "")


def since(alert: Alert) -> str:
    """` since 03:04:40 UTC`, of an alert that is back since this time; where only a window is known to burn,
    ` over 6h/30m, found 03:04:40 UTC`."""
    now = alert.evidence
    if now.onset is not None and now.onset_method == "change point":
        return f" since {clock(max(now.onset, alert.onset) if alert.estimated else now.onset)}"
    if alert.estimated:
        return f" since {clock(alert.onset)}"
    return f" over {alert.tier}, found {clock(alert.detected_at)}"


def failing(alert: Alert) -> str:
    """`4.1 % of requests fail (objective 0.1 %)`: what is bad now, and what may be."""
    evidence = alert.evidence
    ratio = evidence.bad_ratio
    if ratio is None:
        ratio = evidence.bad / evidence.total if evidence.total else None
    if ratio == 0:
        return f"none of the last requests failed, {alert.tier} still burns (objective {percent(1 - evidence.target)})"
    share = "requests" if ratio is None else f"{percent(ratio)} of requests"
    what = "fail" if evidence.threshold_ms is None else f"take over {evidence.threshold_ms:.10g} ms"
    return f"{share} {what} (objective {percent(1 - evidence.target)})"


def resolved(alert: Alert, why: str) -> str:
    """`Resolved: checkout, 12 min after the onset. Clear for 60 s.`"""
    after = span((alert.resolved_at or alert.began) - alert.began)
    return f"Resolved: {alert.service}, {after} after {'the onset' if alert.estimated else 'it was found'}. {why}"


def clock(at: float) -> str:
    """`03:04:40 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")
