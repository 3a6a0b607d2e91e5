"""The webhook of Alertmanager, version 4: bytes to what it says of its alerts. See docs/connect/alertmanager.md.

Alertmanager tells groups: all alerts of one that it would tell now, or the first `max_alerts` and how many more. An
alert is known by its fingerprint, which is of its labels, and has one start at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from server.kernel.errors import ApiError, invalid
from server.kernel.field_fault import field_and_reason

NO_END_YEAR = 1  # 0001-01-01T00:00:00Z: it has not ended
EARLIEST_S, LATEST_S = 0.0, 253_370_764_799.0  # the years 1970 to 9998; what lies beyond is told as the nearest
LABELS_MAX, NAME_MAX, VALUE_MAX, SUMMARY_MAX, LINK_MAX = 64, 200, 500, 1000, 2000  # what is kept of one alert
SUMMARIES = ("summary", "description", "message")  # the annotation that says it in words
OWN_PAYLOAD = "send Alertmanager's own payload (version 4), without a template of its own in `payload`"

Moment = Annotated[datetime, Meta(tz=True)]


class WebhookAlert(Struct, rename="camel"):
    """One alert of the group. `ends_at` is 0001-01-01T00:00:00Z while it fires."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    starts_at: Moment
    fingerprint: Annotated[str, Meta(min_length=1, max_length=64)]
    ends_at: Moment | None = None
    annotations: dict[str, str] | None = None
    generator_url: str = field(name="generatorURL", default="")


class AlertmanagerWebhook(Struct, rename="camel"):
    """What Alertmanager sends of one group. `truncated_alerts` more are in it; fields beside these are not read."""

    version: Literal["4"]
    group_key: str
    alerts: list[WebhookAlert]
    receiver: str = ""
    truncated_alerts: Annotated[int, Meta(ge=0)] = 0


class ToldSignal(Struct):
    """What a sender says of one alert. Times are Unix seconds; `ended_at` None: it fires, or ended at a time that was
    not told."""

    fingerprint: str
    starts_at: float
    firing: bool
    ended_at: float | None
    labels: dict[str, str]
    summary: str
    link: str


class ToldGroup(Struct):
    """What a sender says of one group: `whole` where what is not in it does not fire any more."""

    key: str
    whole: bool
    signals: list[ToldSignal]


def read(body: bytes) -> ToldGroup:
    """What a body says; ApiError INVALID names the field, BAD_REQUEST where it is not JSON."""
    try:
        sent = msgspec.json.decode(body, type=AlertmanagerWebhook)
    except msgspec.ValidationError as error:
        at, reason = field_and_reason(str(error), AlertmanagerWebhook)
        raise invalid(at or "body", f"{reason}; {OWN_PAYLOAD}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        raise ApiError("BAD_REQUEST", f"The body is not JSON: {error}; {OWN_PAYLOAD}. Nothing was done.") from None
    # Alertmanager has a fingerprint once; of what somebody else sends, what fires and is the latest stands.
    ordered = sorted(sent.alerts, key=lambda one: (one.status == "firing", one.starts_at))
    told = {one.fingerprint: told_of(one) for one in ordered}
    key = blake2b(f"{sent.receiver}\n{sent.group_key}".encode(errors="replace"), digest_size=16).hexdigest()
    return ToldGroup(key, sent.truncated_alerts == 0, list(told.values()))


def told_of(alert: WebhookAlert) -> ToldSignal:
    """One alert, with what is too long cut and what cannot be shown left out."""
    firing, notes = alert.status == "firing", alert.annotations or {}
    ends = None if firing or alert.ends_at is None or alert.ends_at.year == NO_END_YEAR else seconds(alert.ends_at)
    return ToldSignal(
        fingerprint=shown(alert.fingerprint, NAME_MAX),
        starts_at=seconds(alert.starts_at),
        firing=firing,
        ended_at=ends,
        labels=labels_of(alert.labels),
        summary=shown(next((notes[name] for name in SUMMARIES if notes.get(name)), ""), SUMMARY_MAX),
        link=shown(alert.generator_url, LINK_MAX),
    )


def labels_of(labels: Mapping[str, str]) -> dict[str, str]:
    """The first LABELS_MAX labels in the order of the alphabet, and those by which an alert is told whatever comes."""
    names = sorted(labels, key=lambda name: (name not in TOLD_BY, name))[:LABELS_MAX]
    return {shown(name, NAME_MAX): shown(labels[name], VALUE_MAX) for name in sorted(names)}


TOLD_BY = frozenset({"alertname", "severity", "service", "job", "namespace"})


def shown(text: str, most: int) -> str:
    """On one line, without what cannot be shown, at most so many characters."""
    text = text[: 2 * most]
    if not text.isprintable():
        text = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def seconds(moment: datetime) -> float:
    """Unix seconds, within what can be told."""
    return min(max(moment.timestamp(), EARLIEST_S), LATEST_S)
