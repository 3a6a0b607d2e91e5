"""What is sent: the body of each kind of target, from an alert and an event. Times are RFC 3339 in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from server.alerts.alert import Alert, AlertState
from server.notify.message import Event, link
from server.slo.model.tiers import Urgency

PagerDutyAction = Literal["trigger", "acknowledge", "resolve"]

PAGERDUTY_SEVERITIES = {1: "critical", 2: "error", 3: "warning"}
PAGERDUTY_KEY = re.compile(r"evenkeel-(\d{1,18})-(\d{1,12})", re.ASCII)


class Told(Struct):
    """The alert as a webhook is told of it."""

    id: int
    service: str
    objective: str
    severity: int
    urgency: Urgency
    state: AlertState
    tier: str
    onset: datetime | None  # null where only a window is known
    detected_at: datetime
    acknowledged_by: str
    resolved_at: datetime | None
    bad_ratio: float | None
    target: float
    threshold_ms: float | None
    likely: str


class WebhookBody(Struct):
    """What a webhook receives. `id` is the same when it is sent again."""

    id: str
    event: Event
    text: str
    link: str
    alert: Told | None  # null: a test


def alert_key(alert: Alert) -> str:
    """The alert's name in PagerDuty, the same for all of its events. With the time: another database counts from 1
    again, and two of them may send to one service."""
    return f"evenkeel-{alert.id}-{int(alert.detected_at)}"


def webhook(key: str, event: Event, text: str, address: str, alert: Told | None) -> bytes:
    """The JSON that is signed."""
    return msgspec.json.encode(WebhookBody(key, event, text, address, alert))


def told(alert: Alert) -> Told:
    return Told(
        id=alert.id,
        service=alert.service,
        objective=alert.objective,
        severity=alert.severity,
        urgency=alert.urgency,
        state=alert.state,
        tier=alert.tier,
        onset=datetime.fromtimestamp(alert.onset, UTC) if alert.estimated else None,
        detected_at=datetime.fromtimestamp(alert.detected_at, UTC),
        acknowledged_by=alert.acknowledged_by,
        resolved_at=datetime.fromtimestamp(alert.resolved_at, UTC) if alert.resolved_at is not None else None,
        bad_ratio=alert.evidence.bad_ratio,
        target=alert.evidence.target,
        threshold_ms=alert.evidence.threshold_ms,
        likely=alert.evidence.likely,
    )


def slack(text: str, address: str) -> bytes:
    """The JSON of an incoming webhook, as Slack and those that follow it take it.

    Escaped, so that no name of a service can call a channel or hide a link.
    """
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return msgspec.json.encode({"text": f"{escaped} <{address}>", "unfurl_links": False})


def pagerduty(routing_key: str, event: Event, alert: Alert, text: str, public_url: str) -> bytes:
    """The JSON of the Events API v2. An update is a trigger with the same key: it wakes nobody again."""
    actions: dict[Event, PagerDutyAction] = {"acknowledge": "acknowledge", "resolve": "resolve"}
    action = actions.get(event, "trigger")
    body: dict[str, Any] = {"routing_key": routing_key, "event_action": action, "dedup_key": alert_key(alert)}
    if action == "trigger":
        address = link(public_url, alert.id)
        body |= {
            "client": "Evenkeel",
            "client_url": address,
            "links": [{"href": address, "text": "The alert in Evenkeel"}],
            "payload": {
                "summary": text,
                "source": alert.service,
                "component": alert.service,
                "class": alert.objective,
                "severity": PAGERDUTY_SEVERITIES[alert.severity],
                "timestamp": datetime.fromtimestamp(alert.began, UTC).isoformat(timespec="milliseconds"),
                "custom_details": msgspec.to_builtins(told(alert)),
            },
        }
    return msgspec.json.encode(body)


def pagerduty_test(routing_key: str, key: str, text: str, action: PagerDutyAction) -> bytes:
    """A test: triggered, and resolved at once."""
    payload = {"summary": text, "source": "evenkeel", "severity": "info"}
    body = {"routing_key": routing_key, "event_action": action, "dedup_key": key, "payload": payload}
    return msgspec.json.encode(body)


def alert_of(incident_key: str) -> tuple[int, int] | None:
    """The id and the second of detection in a name made by `alert_key`; None for any other."""
    found = PAGERDUTY_KEY.fullmatch(incident_key)
    return (int(found[1]), int(found[2])) if found else None
