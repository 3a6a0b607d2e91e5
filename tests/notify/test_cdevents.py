"""Alerts and incidents as CDEvents: the same subject from the beginning to the end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.kernel import standard_webhooks
from server.kernel.times import utc
from server.notify.kind import Parcel
from server.notify.kinds import KINDS
from server.notify.message import Event, IncidentFacts
from server.notify.target import Target
from server.receivers import cdevents
from server.receivers.told_change import NothingTold
from tests.notify.making import an_alert

SECRET = standard_webhooks.new_secret()
TARGET = Target(1, "broker", "cdevents", "https://e", SECRET, "", 1)
ALERT = an_alert(service="checkout@staging", detected_at=1_796_040_000.0, resolved_at=1_796_040_600.0)
INCIDENT = IncidentFacts(7, "nobody can pay", "", 1, "resolved", utc(1_796_040_000), None, None, None, None, "", False)


def sent(event: Event, **given: Any) -> list[dict[str, Any]]:
    parcel = Parcel(TARGET, f"k/{event}", event, "It fails.", **given)
    found = []
    for post in KINDS["cdevents"].messages(parcel, "https://evenkeel.example.com", 1_796_050_000.5):
        headers = post.headers  # type: ignore[union-attr]
        assert headers["Content-Type"] == "application/cloudevents+json"
        assert standard_webhooks.signed_by(
            SECRET,
            headers["webhook-id"],
            headers["webhook-timestamp"],
            headers["webhook-signature"],
            post.body,  # type: ignore[union-attr]
        )
        found.append(json.loads(post.body))  # type: ignore[union-attr]
    return found


def test_an_alert_is_detected_and_resolved() -> None:
    (begun,), (over,) = sent("trigger", alert=ALERT), sent("resolve", alert=ALERT)
    assert begun["data"] == {
        "context": {
            "specversion": "0.5.0",
            "id": "k/trigger",
            "source": "https://evenkeel.example.com",
            "type": "dev.cdevents.incident.detected.0.3.0",
            "timestamp": "2026-11-30T12:00:00.000+00:00",
        },
        "subject": {
            "id": "alert-1-1796040000",
            "source": "https://evenkeel.example.com",
            "content": {
                "description": "It fails.",
                "environment": {"id": "staging"},
                "service": {"id": "checkout@staging"},
            },
        },
    }
    assert (over["type"], over["subject"]) == ("dev.cdevents.incident.resolved.0.3.0", begun["subject"])
    assert over["time"] == "2026-11-30T12:10:00.000+00:00"
    told = cdevents.read(json.dumps(begun).encode(), cdevents.STRUCTURED, {})
    assert isinstance(told, NothingTold), "what we send is well-formed to us, and no change"


@pytest.mark.parametrize("event", ["update", "acknowledge", "posted", "overdue", "planned"])
def test_of_what_cdevents_has_no_word_for_nothing_is_sent(event: Event) -> None:
    assert sent(event, incident=INCIDENT) == []


def test_an_incident_is_reported_and_resolved_and_a_test_is_both() -> None:
    (reported,), (over,) = sent("declared", incident=INCIDENT), sent("resolved", incident=INCIDENT)
    assert reported["data"]["subject"]["content"] == {
        "description": "It fails.",
        "environment": {"id": "production"},
        "ticketURI": "https://evenkeel.example.com/incidents/7",
    }
    assert over["subject"] == reported["subject"] == "incident-7-1796040000"
    assert [one["type"].split(".")[3] for one in sent("test")] == ["detected", "resolved"]
    assert len({one["id"] for one in sent("test")}) == 2, "a broker drops what has an id that it knows"
