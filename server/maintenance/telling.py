"""What is told of a maintenance window to the targets. Pure."""

from __future__ import annotations

from server.kernel.text import clock, span
from server.maintenance.window import MaintenanceWindow
from server.notify.message import MaintenanceEvent, MaintenanceFacts
from server.notify.outbox import MaintenanceNotice


def notice_of(event: MaintenanceEvent, window: MaintenanceWindow) -> MaintenanceNotice:
    """One event of a window. Extended twice is told twice, anything else once."""
    key = f"{window.stop.timestamp():.0f}" if event == "extended" else "once"
    return MaintenanceNotice(event, f"Maintenance of {window.what} {said(event, window)}", facts_of(window), key)


def said(event: MaintenanceEvent, window: MaintenanceWindow) -> str:
    """What has become of it, as a sentence goes on; it ends with what is done and expected."""
    about = f"{ended_with_stop(window.reason)}{expectation(window)}"
    by = f" by {window.ended_by}" if window.ended_by else ""
    words = {
        "planned": f"planned, {window.stretch}: {about}",
        "started": f"has begun, until {clock(window.stop)}: {about}",
        "extended": f"goes on until {clock(window.stop)}: {about}",
        "ended": f"has ended{by}, after {lasted(window)}. What fails from now on is told.",
        "cancelled": f"is cancelled{by}; it was to be {window.stretch}.",
    }
    return words[event]


def expectation(window: MaintenanceWindow) -> str:
    return f" Expected: {ended_with_stop(window.expected)}" if window.expected else ""


def ended_with_stop(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def lasted(window: MaintenanceWindow) -> str:
    """How long it was."""
    if window.started_at is None or window.ended_at is None:
        return span(None)
    return span((window.ended_at - window.started_at).total_seconds())


def facts_of(window: MaintenanceWindow) -> MaintenanceFacts:
    """The facts of a window as it stands."""
    return MaintenanceFacts(
        id=window.id,
        services=window.services,
        state=window.state,
        start=window.start,
        stop=window.stop,
        reason=window.reason,
        expected=window.expected,
        author=window.author,
        started_at=window.started_at,
        ended_at=window.ended_at,
        ended_by=window.ended_by,
    )
