"""CDEvents of incidents, each in a CloudEvent, for an event broker: https://cdevents.dev.

What an alert tells is *detected*, an incident that people declare *reported*, the end of either *resolved*. CDEvents
has no word for what lies between.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from server.kernel import standard_webhooks
from server.kernel.errors import invalid
from server.notify.kind import SECRET, Kind, Parcel, Post
from server.notify.message import Event, link

CDEVENTS, EVENT = "0.5.0", "0.3.0"  # versions of the specification and of its incident events
MEDIA = "application/cloudevents+json"

Predicate = Literal["detected", "reported", "resolved"]
OF_ALERTS: dict[Event, Predicate] = {"trigger": "detected", "resolve": "resolved"}
OF_INCIDENTS: dict[Event, Predicate] = {"declared": "reported", "reopened": "reported", "resolved": "resolved"}


class Cdevents(Kind):
    """Its secret signs what is sent, as Standard Webhooks says. A drill is none of production's."""

    name = "cdevents"
    title = "CDEvents"
    place = 5
    hint = "a URL that takes CloudEvents; without a secret one is made"
    takes_secret = True
    takes_updates = False
    takes_drills = False

    def checked_secret(self, secret: str) -> str:
        if secret and not SECRET.fullmatch(secret):
            raise invalid("secret", "give 16 to 255 printable characters, or none to have one made")
        return standard_webhooks.checked_secret(secret)

    def new_secret(self) -> str:
        return standard_webhooks.new_secret()

    def messages(self, parcel: Parcel, public_url: str, now: float) -> list[Post]:
        return [self.post(parcel, one, public_url, now) for one in predicates(parcel)]

    def post(self, parcel: Parcel, predicate: Predicate, public_url: str, now: float) -> Post:
        """One event, signed."""
        key = parcel.key if parcel.event != "test" else f"{parcel.key}/{predicate}"
        body = event_body(parcel, predicate, key, public_url, now)
        signed = standard_webhooks.headers(parcel.target.secret, key, int(now), body)
        return Post(body, {"Content-Type": MEDIA} | signed)


def predicates(parcel: Parcel) -> list[Predicate]:
    """What is told of it: a test is detected and resolved at once, of some things there is nothing to tell."""
    if parcel.event == "test":
        return ["detected", "resolved"]
    found = (OF_ALERTS if parcel.alert is not None else OF_INCIDENTS).get(parcel.event)
    return [] if found is None or parcel.maintenance is not None else [found]


def event_body(parcel: Parcel, predicate: Predicate, key: str, public_url: str, now: float) -> bytes:
    """The JSON of a CloudEvent in structured mode with the CDEvent as its data. Its id is the same at every try."""
    kind = f"dev.cdevents.incident.{predicate}.{EVENT}"
    subject, service, at = about(parcel, predicate, now)
    time = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    content: dict[str, Any] = {"description": parcel.text, "environment": {"id": environment_of(service)}}
    content |= {"service": {"id": service}} if service else {}
    if predicate == "reported":
        content["ticketURI"] = link(public_url, parcel.alert, parcel.incident)
    context = {"specversion": CDEVENTS, "id": key, "source": public_url, "type": kind, "timestamp": time}
    data = {"context": context, "subject": {"id": subject, "source": public_url, "content": content}}
    event = {"specversion": "1.0", "id": key, "source": public_url, "type": kind, "subject": subject, "time": time}
    return msgspec.json.encode(event | {"datacontenttype": "application/json", "data": data})


def about(parcel: Parcel, predicate: Predicate, now: float) -> tuple[str, str, float]:
    """The incident by its name there, the same from its beginning to its end; its service, '' for none; and when it was
    detected, reported or over, Unix seconds."""
    if parcel.alert is not None:
        over = parcel.alert.resolved_at or parcel.alert.over_at or now
        at = parcel.alert.detected_at if predicate == "detected" else over
        return f"alert-{parcel.alert.id}-{int(parcel.alert.detected_at)}", parcel.alert.service, at
    if parcel.incident is not None:
        told = parcel.incident
        when = told.declared_at if predicate == "reported" else told.resolved_at
        subject = f"incident-{told.id}-{int(told.onset.timestamp())}"
        return subject, told.service, when.timestamp() if when else now
    return parcel.key, "evenkeel", now


def environment_of(service: str) -> str:
    """What stands after the @ of a service that is not production's."""
    return service.partition("@")[2] or "production"


KIND = Cdevents()
