"""What people are told of an alert: the words of the alert, made to fit a lock screen, and the link to it."""

from __future__ import annotations

from typing import Literal

from server.alerts.alert import Alert
from server.alerts.notice import NoticeEvent

Event = NoticeEvent | Literal["test"]

CHARACTERS = 178  # before the link; what a lock screen shows
NAME_CHARACTERS = 60  # of a service, or of what is likely
ESCALATED = "Not acknowledged: "


def fit(alert: Alert, text: str) -> str:
    """The alert's message as one line of at most CHARACTERS. A long name is cut before what is said of it."""
    for name in (alert.service, alert.evidence.likely, alert.acknowledged_by):
        if len(name) > NAME_CHARACTERS:
            text = text.replace(name, short(name, NAME_CHARACTERS))
    line = short(text, len(text) + 1)
    if len(line) <= CHARACTERS:
        return line
    return line[: CHARACTERS - 1].rpartition(" ")[0].rstrip(".,:") + "…"


def escalated(text: str) -> str:
    """The message for the next step: its first words say why it comes."""
    return ESCALATED + text.removeprefix(ESCALATED)


def subject(alert: Alert, event: Event) -> str:
    """The subject of an e-mail: `SEV-2: checkout, alert 17`."""
    word = {"acknowledge": "Acknowledged", "resolve": "Resolved"}.get(event, f"SEV-{alert.severity}")
    return f"{word}: {short(alert.service, NAME_CHARACTERS)}, alert {alert.id}"


def link(public_url: str, alert_id: int) -> str:
    """Where the alert is looked at. Nothing is done by following it."""
    return f"{public_url}/alerts/{alert_id}"


def test_text(name: str) -> str:
    """The test message."""
    return f"Test from Evenkeel to {short(name, NAME_CHARACTERS)}: alerts will arrive here. Nothing is wrong."


def short(text: str, characters: int) -> str:
    """Any text as one line, cut to a length; what cannot be printed could end a line or turn the text around."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= characters else line[: characters - 1] + "…"
