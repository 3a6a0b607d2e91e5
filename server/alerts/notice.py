"""What is handed on to be told to people: the border between alerts and notifications."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from server.alerts.alert import Alert

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

NoticeEvent = Literal["trigger", "update", "acknowledge", "resolve"]


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to be told. `alert` is as it stands after the event; `text` is the message, without a link.

    `trigger` may wake somebody: at most one for each urgency of one firing. `update` is
    for targets that take updates. `key` is the same for the same telling and for no
    other: what is stored under it twice was meant once.
    """

    alert: Alert
    event: NoticeEvent
    text: str
    key: str  # alert-12/trigger/1/page


# Stores the notices to be sent, in the transaction that makes them true; sends nothing itself.
Tell = Callable[["AsyncConnection", Sequence[Notice]], Awaitable[None]]


def key_of(alert: Alert, event: NoticeEvent, now: float) -> str:
    """The key of a telling: an urgency of a firing triggers once, an end is told once. No dot: webhooks are signed
    over the key, a dot and the rest."""
    last = {"trigger": alert.urgency, "update": f"{now * 1000:.0f}"}.get(event, "")
    return f"alert-{alert.id}/{event}/{alert.fired_times}/{last}".rstrip("/")
