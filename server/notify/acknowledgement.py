"""Acknowledgements that come back: whoever acknowledges an incident in PagerDuty has acknowledged the alert here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from server.alerts import acts
from server.alerts.store import one
from server.kernel.errors import ApiError
from server.kernel.sealed import Unreadable
from server.notify import secrets, store
from server.notify.acts import no_target
from server.notify.kinds import pagerduty

if TYPE_CHECKING:
    from server.kernel.db import Database
    from server.parts import Parts


class AcknowledgementAnswer(Struct):
    """What became of it here."""

    message: str


async def verify(db: Database, secret_key: str, target_id: int, signatures: str, body: bytes) -> None:
    """ApiError FORBIDDEN unless PagerDuty signed it for this target, NOT_FOUND where there is none, UNAVAILABLE
    where its secret cannot be opened.

    Who asks is a stranger until then: nothing of the acts' pool is his.
    """
    async with db.ask() as connection:
        found = await store.one(connection, target_id)
    if found is None:
        raise no_target(target_id)
    try:
        secret = secrets.inbound(secret_key, found)
    except Unreadable:
        detail = "What this target's webhooks are signed with cannot be opened. Nothing was done; Setup says why."
        raise ApiError("UNAVAILABLE", detail) from None
    if not secret or not pagerduty.signed_by(secret, signatures, body):
        detail = "X-PagerDuty-Signature is not of this body by this target's inbound secret. Nothing was done."
        raise ApiError("FORBIDDEN", detail)


async def receive(parts: Parts, webhook: pagerduty.PagerDutyWebhook, request_id: str) -> AcknowledgementAnswer:
    """Acknowledge the alert; anything else is accepted and changes nothing, so that PagerDuty does not repeat it."""
    key = pagerduty.acknowledged(webhook)
    if key is None:
        return AcknowledgementAnswer("Not an acknowledgement of an alert of ours; nothing was done.")
    alert_id, detected_at = key
    async with parts.db.ask() as connection:
        alert = await one(connection, alert_id)
    if alert is None or int(alert.detected_at) != detected_at:
        return AcknowledgementAnswer("The alert is not one of ours; nothing was done.")
    try:
        return AcknowledgementAnswer(
            (await acts.acknowledge(parts, alert_id, pagerduty.who(webhook), request_id)).message
        )
    except ApiError as error:
        if error.code != "CONFLICT":
            raise
        return AcknowledgementAnswer(error.detail)
