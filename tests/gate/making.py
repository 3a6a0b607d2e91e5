"""Objectives, alerts and overrides as the gate meets them."""

from __future__ import annotations

from typing import Any

from server.alerts.alert import Alert
from server.gate.answer import Override
from server.kernel.times import utc
from server.slo.model.status import Evidence, ObjectiveStatus

NOW = 1_800_000_000.0
DAY_S = 86_400


def objective(left: float | None = 0.62, name: str = "checkout-works", **given: Any) -> ObjectiveStatus:
    """An objective of 99 % over 28 days with 10,000 requests: so much of the budget of 100 failures is left."""
    bad = 0 if left is None else round(100 * (1 - left))
    usual: dict[str, Any] = {
        "service": "checkout",
        "kind": "availability",
        "target": 0.99,
        "threshold_ms": None,
        "window_days": 28,
        "state": "no_traffic" if left is None else "ok",
        "good": 0 if left is None else 10_000 - bad,
        "bad": bad,
        "excluded": 0,
        "budget_left": left,
        "budget_worst": None,
        "budget_best": None,
        "burn_5m": 1.0,
        "burn_1h": 1.0,
        "exhausted_in_s": None,
        "since": NOW - 60,
    }
    return ObjectiveStatus(name=name, **(usual | given))


def blind(worst: float, best: float, left: float | None = 0.5, **given: Any) -> ObjectiveStatus:
    """One whose senders have fallen silent."""
    return objective(left, **{"state": "blind", "budget_worst": worst, "budget_best": best} | given)


def alert(state: str = "firing", urgency: str = "page", **given: Any) -> Alert:
    """An alert of the same objective."""
    evidence = Evidence(
        objective="checkout-works",
        service="checkout",
        kind="availability",
        target=0.99,
        threshold_ms=None,
        at=NOW,
        known=True,
        tier="1h/5m",
        urgency="page",
        due=True,
        onset=NOW - 90,
        onset_method="change point",
        bad=40,
        total=1000,
        bad_ratio=0.04,
        spent=0.02,
        budget_left=0.62,
    )
    usual: dict[str, Any] = {
        "id": 12,
        "objective": "checkout-works",
        "service": "checkout",
        "tier": "1h/5m",
        "severity": 2,
        "onset": NOW - 90,
        "onset_method": "change point",
        "detected_at": NOW - 60,
        "evidence": evidence,
    }
    return Alert(state=state, urgency=urgency, **(usual | given))


def override(until: float, **given: Any) -> Override:
    """Mira's, for deploys."""
    usual: dict[str, Any] = {
        "id": 1,
        "service": "checkout",
        "kind": "deploy",
        "reason": "hotfix",
        "author": "mira@example.com",
        "created_at": utc(NOW - 600),
        "expires_at": utc(until),
    }
    return Override(**(usual | given))
