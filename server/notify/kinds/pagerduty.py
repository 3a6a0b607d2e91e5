"""PagerDuty: its Events API v2, and its V3 webhooks, by which an acknowledgement there comes back."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from server.alerts.alert import Alert
from server.kernel.errors import invalid
from server.notify.kind import SECRET, Kind, Parcel, Post
from server.notify.message import Event, facts_of, link, short

Action = Literal["trigger", "acknowledge", "resolve"]

EVENTS_URL = "https://events.pagerduty.com/v2/enqueue"  # in the EU region https://events.eu.pagerduty.com/v2/enqueue
ROUTING_KEY = re.compile(r"[0-9A-Za-z]{32}")
ACTIONS: dict[Event, Action] = {"acknowledge": "acknowledge", "resolve": "resolve"}  # of other events: trigger
SEVERITIES = {1: "critical", 2: "error", 3: "warning"}
INCIDENT_KEY = re.compile(r"evenkeel-(\d{1,18})-(\d{1,12})", re.ASCII)
ACKNOWLEDGED = "incident.acknowledged"
SIGNATURES_MAX = 10  # more in one header are not looked at
NAME_CHARACTERS = 100


class PagerDuty(Kind):
    """Its secret is the integration key of a service there. It wakes people, so a ticket is not sent to it.

    Of an incident it hears nothing: the alerts in it are incidents there already. Nor of maintenance, nor of a drill,
    so that one can be left to itself at night.
    """

    name = "pagerduty"
    title = "PagerDuty"
    place = 3
    hint = "the integration key of an Events API V2 integration as the secret; the address only for the EU region"
    takes_secret = True
    takes_tickets = False
    takes_incidents = False
    takes_drills = False
    inbound = "In PagerDuty, add a Generic Webhook (v3) for incident.acknowledged to"

    def checked_address(self, address: str, *, private: bool) -> str:
        return super().checked_address(address or EVENTS_URL, private=private)

    def checked_secret(self, secret: str) -> str:
        if not ROUTING_KEY.fullmatch(secret):
            raise invalid("secret", "give the integration key of the service in PagerDuty, 32 letters and digits")
        return secret

    def checked_inbound_secret(self, secret: str) -> str:
        if not SECRET.fullmatch(secret):
            raise invalid("inbound_secret", "give the secret that PagerDuty showed with the webhook subscription")
        return secret

    def messages(self, parcel: Parcel, public_url: str, now: float) -> list[Post]:
        if parcel.alert is None:
            return [Post(test_body(parcel, action)) for action in ("trigger", "resolve")]
        return [Post(event_body(parcel.target.secret, parcel.event, parcel.alert, parcel.text, public_url))]


def event_body(routing_key: str, event: Event, alert: Alert, text: str, public_url: str) -> bytes:
    """The JSON of an event. An update is a trigger with the same key: it wakes nobody again."""
    action = ACTIONS.get(event, "trigger")
    body: dict[str, Any] = {"routing_key": routing_key, "event_action": action, "dedup_key": incident_key(alert)}
    if action == "trigger":
        address = link(public_url, alert)
        body |= {
            "client": "Evenkeel",
            "client_url": address,
            "links": [{"href": address, "text": "The alert in Evenkeel"}],
            "payload": {
                "summary": text,
                "source": alert.service,
                "component": alert.service,
                "class": alert.objective,
                "severity": SEVERITIES[alert.severity],
                "timestamp": datetime.fromtimestamp(alert.began, UTC).isoformat(timespec="milliseconds"),
                "custom_details": msgspec.to_builtins(facts_of(alert)),
            },
        }
    return msgspec.json.encode(body)


def test_body(parcel: Parcel, action: Action) -> bytes:
    """The JSON of a test, which is triggered and resolved at once."""
    payload = {"summary": parcel.text, "source": "evenkeel", "severity": "info"}
    secret, key = parcel.target.secret, parcel.key
    return msgspec.json.encode({"routing_key": secret, "event_action": action, "dedup_key": key, "payload": payload})


def incident_key(alert: Alert) -> str:
    """The alert's name in PagerDuty, the same for all of its events. With the time: another database counts from 1
    again, and two of them may send to one service."""
    return f"evenkeel-{alert.id}-{int(alert.detected_at)}"


def alert_of(incident_key: str) -> tuple[int, int] | None:
    """The id and the second of detection in a name made by `incident_key`; None for any other."""
    found = INCIDENT_KEY.fullmatch(incident_key)
    return (int(found[1]), int(found[2])) if found else None


class Agent(Struct):
    """Who did it in PagerDuty."""

    summary: str | None = None


class PagerDutyIncident(Struct):
    """The incident; its key is what we triggered it with."""

    incident_key: str | None = None


class WebhookEvent(Struct):
    """One thing that happened in PagerDuty."""

    event_type: str
    agent: Agent | None = None
    data: PagerDutyIncident | None = None


class PagerDutyWebhook(Struct):
    """What PagerDuty posts."""

    event: WebhookEvent


def acknowledged(webhook: PagerDutyWebhook) -> tuple[int, int] | None:
    """Of an acknowledgement of an alert of ours the alert's id and second of detection; None for anything else."""
    event = webhook.event
    if event.event_type != ACKNOWLEDGED:
        return None
    return alert_of((event.data.incident_key or "") if event.data else "")


def who(webhook: PagerDutyWebhook) -> str:
    """Who did it: `pagerduty:NAME`."""
    agent = webhook.event.agent
    return f"pagerduty:{short((agent.summary if agent else None) or 'somebody', NAME_CHARACTERS)}"


def signed_by(secret: str, header: str, body: bytes) -> bool:
    """Whether one of PagerDuty's signatures (`v1=HEX,v1=HEX`, several while its secret is changed) is of this body."""
    expected = f"v1={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}".encode()
    given = [one.strip().encode() for one in header.split(",")[:SIGNATURES_MAX]]
    matches = [hmac.compare_digest(expected, one) for one in given]  # every one, so that time tells nothing
    return any(matches)


KIND = PagerDuty()
