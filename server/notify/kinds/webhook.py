"""A webhook: JSON for whatever its owner makes of it, signed in our own way and as Standard Webhooks says."""

from __future__ import annotations

import hashlib
import hmac

import msgspec
from msgspec import Struct

from server.kernel import standard_webhooks
from server.kernel.errors import invalid
from server.notify.kind import SECRET, Kind, Parcel, Post
from server.notify.message import AlertFacts, Event, IncidentFacts, MaintenanceFacts, facts_of, link


class Webhook(Kind):
    """Its secret signs what is sent."""

    name = "webhook"
    title = "Webhook"
    place = 1
    hint = "a URL; without a secret one is made"
    takes_secret = True

    def checked_secret(self, secret: str) -> str:
        if secret and not SECRET.fullmatch(secret):
            raise invalid("secret", "give 16 to 255 printable characters, or none to have one made")
        return standard_webhooks.checked_secret(secret)

    def new_secret(self) -> str:
        return standard_webhooks.new_secret()

    def messages(self, parcel: Parcel, public_url: str, now: float) -> list[Post]:
        facts = facts_of(parcel.alert) if parcel.alert is not None else None
        address = link(public_url, parcel.alert, parcel.incident, parcel.maintenance)
        made = WebhookBody(parcel.key, parcel.event, parcel.text, address, facts, parcel.incident, parcel.maintenance)
        body = msgspec.json.encode(made)
        return [Post(body, headers(parcel.target.secret, parcel.key, int(now), body))]


class WebhookBody(Struct):
    """What a webhook receives. `id` is the same when it is sent again."""

    id: str
    event: Event
    text: str
    link: str
    alert: AlertFacts | None
    incident: IncidentFacts | None
    maintenance: MaintenanceFacts | None  # all three null: a test


def headers(secret: str, key: str, timestamp: int, body: bytes) -> dict[str, str]:
    """When, the signatures, and what a second copy is known by."""
    return {
        **standard_webhooks.headers(secret, key, timestamp, body),
        "Evenkeel-Timestamp": str(timestamp),
        "Evenkeel-Signature": signature(secret, timestamp, body),
        "Evenkeel-Delivery": key,
    }


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """`v1=HEX`: HMAC-SHA256 over `TIMESTAMP.BODY`, so that an old message cannot be passed off as new."""
    return f"v1={hmac.new(secret.encode(), b'%d.' % timestamp + body, hashlib.sha256).hexdigest()}"


KIND = Webhook()
