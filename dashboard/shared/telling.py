"""An alert in the words of the pages: how it looks, and who was told of it or why nobody was."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from dashboard.shared.looks import PageState
from server.alerts.alert import Alert, AlertState


class AlertLook(NamedTuple):
    """The shape of a state, and the word beside it. What fires no more is not OK before it is resolved."""

    shape: PageState
    word: str


RECOVERING = AlertLook("recovering", "Recovering")
ALERT_LOOKS: dict[AlertState, AlertLook] = {
    "firing": AlertLook("burning", "Firing"),
    "resolving": RECOVERING,
    "pending": AlertLook("at_risk", "Pending"),
    "resolved": AlertLook("ok", "Resolved"),
}


def alert_look(alert: Alert) -> AlertLook:
    """How an alert looks: what fires, and is over by all that is seen, recovers."""
    return RECOVERING if alert.state != "resolved" and alert.recovery is not None else ALERT_LOOKS[alert.state]


class Telling(Struct):
    """`page sent`, and when; or why nobody was told."""

    text: str
    at: float | None = None  # Unix seconds


class AlertLine(Struct):
    """An open alert in a line: `SEV-2 · page sent`, and when."""

    id: int
    severity: int
    telling: Telling
    acknowledged_by: str


def alert_line(alert: Alert, targets: int | None) -> AlertLine:
    """An alert in a line. `targets`: how many there are; None: not known."""
    return AlertLine(alert.id, alert.severity, telling(alert, targets), alert.acknowledged_by)


def telling(alert: Alert, targets: int | None = None) -> Telling:
    """Who was told. `targets`: how many there are, where that is known."""
    if alert.notified_at is not None:
        return Telling(f"{alert.told or alert.urgency} sent", alert.notified_at)
    if alert.told is not None:
        return Telling("nobody was told: there is no target" if targets == 0 else f"{alert.told} not sent yet")
    if alert.state == "resolved":
        return Telling("nobody was told")
    return Telling(f"nobody was told: {quiet(alert)}")


def quiet(alert: Alert) -> str:
    """Why it is quiet."""
    if alert.silence_id is not None:
        return "silenced"
    if alert.suppressed_by is not None:
        return f"explained by alert {alert.suppressed_by}"
    if alert.state == "pending":
        return "pending, not enough yet"
    return "acknowledged before" if alert.acknowledged_as == alert.urgency else "about to be"
