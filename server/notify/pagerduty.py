"""PagerDuty's V3 webhooks: whoever acknowledges an incident there has acknowledged the alert here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from server.alerts import acts
from server.alerts.list_store import one
from server.kernel.errors import ApiError
from server.notify import store
from server.notify.message import short
from server.notify.payloads import alert_of
from server.notify.signing import signed_by
from server.notify.targets import no_target

if TYPE_CHECKING:
    from server.kernel.db import Database
    from server.parts import Parts

ACKNOWLEDGED = "incident.acknowledged"
NAME_CHARACTERS = 100


class Agent(Struct):
    """Who did it in PagerDuty."""

    summary: str | None = None


class Incident(Struct):
    """The incident; its key is what we triggered it with."""

    incident_key: str | None = None


class WebhookEvent(Struct):
    """One thing that happened in PagerDuty."""

    event_type: str
    agent: Agent | None = None
    data: Incident | None = None


class Webhook(Struct):
    """What PagerDuty posts."""

    event: WebhookEvent


class Done(Struct):
    """What became of it here."""

    message: str


async def verify(db: Database, target_id: int, signatures: str, body: bytes) -> None:
    """ApiError FORBIDDEN unless PagerDuty signed it for this target, NOT_FOUND where there is none.

    Who asks is a stranger until then: nothing of the acts' pool is his.
    """
    async with db.ask() as connection:
        found = await store.one(connection, target_id)
    if found is None:
        raise no_target(target_id)
    secret = found.inbound_secret
    if not secret or not signed_by(secret, signatures, body):
        detail = "X-PagerDuty-Signature is not of this body by this target's inbound secret. Nothing was done."
        raise ApiError("FORBIDDEN", detail)


async def receive(parts: Parts, webhook: Webhook, request_id: str) -> Done:
    """Acknowledge the alert; anything else is accepted and changes nothing, so that PagerDuty does not repeat it."""
    event = webhook.event
    key = alert_of((event.data.incident_key or "") if event.data else "")
    if event.event_type != ACKNOWLEDGED or key is None:
        return Done("Not an acknowledgement of an alert of ours; nothing was done.")
    alert_id, detected_at = key
    async with parts.db.ask() as connection:
        alert = await one(connection, alert_id)
    if alert is None or int(alert.detected_at) != detected_at:
        return Done("The alert is not one of ours; nothing was done.")
    by = f"pagerduty:{short((event.agent.summary if event.agent else None) or 'somebody', NAME_CHARACTERS)}"
    try:
        return Done((await acts.acknowledge(parts, alert_id, by, request_id)).message)
    except ApiError as error:
        if error.code != "CONFLICT":
            raise
        return Done(error.detail)
