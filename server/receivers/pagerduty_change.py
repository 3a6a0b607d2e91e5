"""PagerDuty's change events, as its clients send them to `/v2/change/enqueue`. See docs/connect/changes.md.

They name no version and no service of ours: a deploy is what says its version in `custom_details`.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from server.kernel.errors import invalid
from server.receivers.told_change import (
    NAME_MAX,
    SUMMARY_MAX,
    VERSION_MAX,
    ToldChange,
    decoded,
    link,
    moment,
    shown,
)

VERSIONS = ("version", "sha", "commit", "commit_sha", "git_sha", "revision", "tag", "image_tag")


class ChangePayload(Struct):
    """What was changed, where and when."""

    summary: Annotated[str, Meta(min_length=1, max_length=1024)]
    source: str | None = None
    timestamp: str | None = None
    custom_details: Any = None


class ChangeEvent(Struct):
    """A change event. `routing_key` is an API key of ours with the scope act; fields beside these are not read."""

    routing_key: str
    payload: ChangePayload
    links: list[Any] = []
    event_action: str | None = None  # of alerts alone, which are another address of PagerDuty's


class ChangeEventTaken(Struct):
    """What PagerDuty answers."""

    status: str = "success"
    message: str = "Change event processed"


def read(body: bytes) -> ChangeEvent:
    """The event in a body. ApiError INVALID names the field."""
    sent = decoded(body, ChangeEvent)
    if sent.event_action is not None:
        raise invalid("event_action", "is of alerts, which are not taken: a change event has none")
    return sent


def change_of(sent: ChangeEvent, sender: int) -> ToldChange:
    """What it says; `sender` is the id of its key. Clients send it again with equal content and no name."""
    payload = sent.payload
    details: dict[str, Any] = payload.custom_details if isinstance(payload.custom_details, dict) else {}
    at = None if payload.timestamp is None else moment("payload.timestamp", payload.timestamp)
    version = next((text for name in VERSIONS if (text := shown(details.get(name), VERSION_MAX))), "")
    content = msgspec.json.encode([payload, sent.links], order="sorted")
    links = [link(one.get("href")) for one in sent.links if isinstance(one, dict)]
    return ToldChange(
        platform="pagerduty",
        event=f"{sender}/{hashlib.sha256(content).hexdigest()[:32]}",
        service=shown(details.get("service") or payload.source, NAME_MAX),
        kind="deploy" if version else "other",
        version=version,
        summary=shown(payload.summary, SUMMARY_MAX),
        environment=shown(details.get("environment"), NAME_MAX),
        began=at,
        ended=at,
        actor=shown(details.get("actor") or details.get("author"), NAME_MAX),
        link=next((one for one in links if one), ""),
    )
