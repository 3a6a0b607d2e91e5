"""A webhook: JSON for whatever its owner makes of it, signed in our own way and as Standard Webhooks says."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode

import msgspec
from msgspec import Struct

from server.kernel.errors import invalid
from server.notify.kind import SECRET, Kind, Parcel, Post
from server.notify.message import AlertFacts, Event, IncidentFacts, facts_of, link

STANDARD = "whsec_"  # before a secret in base64: https://www.standardwebhooks.com
STANDARD_BYTES = range(24, 65)


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
        if secret.startswith(STANDARD) and len(standard_bytes(secret)) not in STANDARD_BYTES:
            raise invalid("secret", f"after {STANDARD} give 24 to 64 bytes in base64")
        return secret

    def new_secret(self) -> str:
        return STANDARD + b64encode(secrets.token_bytes(32)).decode()

    def messages(self, parcel: Parcel, public_url: str, now: float) -> list[Post]:
        facts = facts_of(parcel.alert) if parcel.alert is not None else None
        address = link(public_url, parcel.alert, parcel.incident)
        made = WebhookBody(parcel.key, parcel.event, parcel.text, address, facts, parcel.incident)
        body = msgspec.json.encode(made)
        return [Post(body, headers(parcel.target.secret, parcel.key, int(now), body))]


class WebhookBody(Struct):
    """What a webhook receives. `id` is the same when it is sent again."""

    id: str
    event: Event
    text: str
    link: str
    alert: AlertFacts | None
    incident: IncidentFacts | None  # both null: a test


def headers(secret: str, key: str, timestamp: int, body: bytes) -> dict[str, str]:
    """When, the signatures, and what a second copy is known by."""
    return {
        "webhook-id": key,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": standard_signature(secret, key, timestamp, body),
        "Evenkeel-Timestamp": str(timestamp),
        "Evenkeel-Signature": signature(secret, timestamp, body),
        "Evenkeel-Delivery": key,
    }


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """`v1=HEX`: HMAC-SHA256 over `TIMESTAMP.BODY`, so that an old message cannot be passed off as new."""
    return f"v1={hmac.new(secret.encode(), b'%d.' % timestamp + body, hashlib.sha256).hexdigest()}"


def standard_signature(secret: str, key: str, timestamp: int, body: bytes) -> str:
    """`v1,BASE64`: HMAC-SHA256 over `KEY.TIMESTAMP.BODY`, as Standard Webhooks says. There is no dot in our keys."""
    signed = f"{key}.{timestamp}.".encode() + body
    made = hmac.new(standard_bytes(secret) or secret.encode(), signed, hashlib.sha256).digest()
    return f"v1,{b64encode(made).decode()}"


def standard_bytes(secret: str) -> bytes:
    """What a secret of the form `whsec_BASE64` stands for; empty for any other, which is a key as it is written."""
    if not secret.startswith(STANDARD):
        return b""
    try:
        return b64decode(secret.removeprefix(STANDARD), validate=True)
    except ValueError:
        return b""


KIND = Webhook()
