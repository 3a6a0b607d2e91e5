"""An alert in words: what a telephone shows at night, and what its timeline says."""

from __future__ import annotations

from datetime import UTC, datetime

from server.alerts.alert import Alert
from server.kernel.text import ms, percent, span
from server.slo.model.status import Evidence, Slowness

FAST = "fast"
UNITS = {"s": "s", "m": "min", "h": "h", "d": "d"}


def message(alert: Alert) -> str:
    """`SEV-2 checkout: 4.1 % of requests fail (objective 0.1 %) since 03:04:40 UTC. Likely: version 5f2c1a9.`"""
    sentence = f"SEV-{alert.severity} {alert.service}: {failing(alert)}{since(alert)}."
    if alert.evidence.provisional:
        sentence += " The objective is provisional."
    found = alert.evidence.slowness
    sentence += f" Slow: {found.route}." if found and found.route else ""
    return sentence + (f" Likely: {alert.evidence.likely}." if alert.evidence.likely else "")


def since(alert: Alert) -> str:
    """` since 03:04:40 UTC`, of the last outage; where only a window is known to burn, ` over 6 h and 30 min,
    found 03:04:40 UTC`."""
    now, beginning = alert.evidence, alert.beginning
    if now.onset is not None and now.onset_method == "change point":
        return f" since {clock(max(now.onset, beginning.onset) if alert.estimated else now.onset)}"
    if alert.estimated:
        return f" since {clock(beginning.onset)}"
    return f" over {windows(alert.tier)}, found {clock(beginning.detected_at)}"


def failing(alert: Alert) -> str:
    """`4.1 % of requests fail (objective 0.1 %)`: what is bad now, and what may be. Of latency `41 of 1,000 requests
    take over 300 ms (objective 1 %), p95 1.24 s, 180 ms before`: since the onset, or in the window that decides. Of one
    that is resolved what failed since the onset."""
    evidence, over = alert.evidence, alert.state == "resolved"
    if evidence.threshold_ms is not None:
        return slow(evidence, evidence.threshold_ms, "took" if over else "take")
    if over and evidence.total:
        counts = f"{evidence.bad:,} of {evidence.total:,} requests"
        return f"{counts} failed (objective {percent(1 - evidence.target)})"
    ratio = evidence.bad_ratio
    if ratio is None:
        ratio = evidence.bad / evidence.total if evidence.total else None
    if ratio == 0:
        objective = f"objective {percent(1 - evidence.target)}"
        return f"none of the last requests failed, {tier_words(alert.tier)} goes on ({objective})"
    share = "requests" if ratio is None else f"{percent(ratio)} of requests"
    return f"{share} {'failed' if over else 'fail'} (objective {percent(1 - evidence.target)})"


def slow(evidence: Evidence, threshold_ms: float, take: str = "take") -> str:
    """A latency burn, by counts over the threshold and p95."""
    counts = f"{evidence.bad:,} of {evidence.total:,} requests" if evidence.total else "requests"
    text = f"{counts} {take} over {threshold_ms:.10g} ms (objective {percent(1 - evidence.target)})"
    found = evidence.slowness
    if found is None or found.p95_ms is None:
        return text
    return f"{text}, p95 {p95(found)}"


def p95(found: Slowness) -> str:
    """`1.24 s, 180 ms before`, where that is known."""
    return ms(found.p95_ms) + ("" if found.before_ms is None else f", {ms(found.before_ms)} before")


def resolved(alert: Alert, why: str) -> str:
    """`Recovered: checkout at 17:41:02 UTC, after 7 min 40 s. Clear for 60 s.`, the length that of the failure."""
    ended = alert.ended or alert.began
    after = f"{span(ended - alert.began)}{'' if alert.estimated else ' known'}"
    return f"Recovered: {alert.service} at {clock(ended)}, after {after}. {why}"


def tier_words(tier: str) -> str:
    """What holds, for people: `the fast test`, `the burn over 6 h and 30 min`."""
    return "the fast test" if tier == FAST else f"the burn over {windows(tier)}"


def windows(tier: str) -> str:
    """The two windows of a tier such as `6h/30m`: `6 h and 30 min`; of the fast test `the last minutes`."""
    if tier == FAST:
        return "the last minutes"
    return " and ".join(f"{one[:-1]} {UNITS.get(one[-1:], one[-1:])}" for one in tier.split("/"))


def clock(at: float) -> str:
    """`03:04:40 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")
