"""CDEvents of services, in CloudEvents of both modes or alone: what they say of changes. See docs/connect/changes.md.

`context.timestamp` is when it happened. The `time` of the CloudEvent around it may be that of a relay, which fills it
in where there is none; where neither is told, the time is that of the receipt.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import Raw, Struct

from server.kernel.errors import invalid
from server.receivers.told_change import (
    NAME_MAX,
    VERSION_MAX,
    NothingTold,
    ToldChange,
    decoded,
    moment,
    shown,
    version_of_purl,
)

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
MEDIA = ("application/json", STRUCTURED)
SERVICE = re.compile(r"dev\.cdevents\.service\.(deployed|upgraded|rolledback|removed|published)\.")


class EventContext(Struct):
    """Which event it is; `id` is its own within `source`."""

    id: str
    source: str
    type: str
    timestamp: str | None = None


class EventEnvironment(Struct):
    """Where."""

    id: str = ""


class ServiceContent(Struct, rename="camel"):
    """What came there; a service that was removed or published names no artifact."""

    environment: EventEnvironment | None = None
    artifact_id: str | None = None


class EventSubject(Struct):
    """The service."""

    id: str
    content: ServiceContent


class CDEvent(Struct):
    """A CDEvent of a service; fields beside these are not read."""

    context: EventContext
    subject: EventSubject


class EventType(Struct):
    """Of any CDEvent, what it is."""

    context: EventContext


class CloudEvent(Struct):
    """A CloudEvent in structured mode."""

    specversion: str
    data: Raw = Raw(b"")
    data_base64: str | None = None
    time: str | None = None


def read(body: bytes, media: str, headers: Mapping[str, str]) -> ToldChange | NothingTold:
    """What a body says, with the headers of a CloudEvent in binary mode. ApiError INVALID names the field."""
    data, time = body, headers.get("Ce-Time")
    if media == STRUCTURED:
        event = decoded(body, CloudEvent)
        data, time = content_of(event), event.time
    kind = decoded(data, EventType).context.type
    found = SERVICE.match(kind)
    if found is None:
        return NothingTold(f"{shown(kind, NAME_MAX)} says nothing of a service that changed.")
    return change_of(found[1], decoded(data, CDEvent), time)


def content_of(event: CloudEvent) -> bytes:
    """The CDEvent in a CloudEvent."""
    if bytes(event.data):
        return bytes(event.data)
    try:
        return b64decode(event.data_base64 or "", validate=True)
    except ValueError:
        raise invalid("data_base64", "is not base64") from None


def change_of(what: str, event: CDEvent, time: str | None) -> ToldChange:
    content, context = event.subject.content, event.context
    version = shown(version_of_purl(content.artifact_id or ""), VERSION_MAX)
    at = when(context.timestamp, time)
    return ToldChange(
        platform="cdevents",
        event=msgspec.json.encode([context.source, context.id]).decode(),
        service=shown(event.subject.id, NAME_MAX),
        kind="deploy" if version and what not in ("removed", "published") else "other",
        version=version,
        summary=what if not version else "",
        environment=shown(content.environment.id, NAME_MAX) if content.environment else "",
        began=at,
        ended=at,
        returns=what == "rolledback",
    )


def when(timestamp: str | None, time: str | None) -> datetime | None:
    if timestamp:
        return moment("context.timestamp", timestamp)
    return moment("time", time) if time else None
