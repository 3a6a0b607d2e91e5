"""Whether an incident is open. Until there are incidents, a page that fires and that somebody acknowledged is one."""

from __future__ import annotations

from collections.abc import Sequence

from server.alerts.alert import Alert


def open_incident(alerts: Sequence[Alert]) -> Alert | None:
    """The page that somebody works on, of the service's open alerts; the earliest taken first.

    One that was a ticket when somebody acknowledged it was not acknowledged as a page.
    """
    taken = [alert for alert in firing_pages(alerts) if alert.acknowledged_as == "page"]
    return min(taken, key=lambda alert: alert.acknowledged_at or 0.0, default=None)


def firing_pages(alerts: Sequence[Alert]) -> list[Alert]:
    """The alerts that fire and wake somebody; also of an objective that nobody configured."""
    return [alert for alert in alerts if alert.state == "firing" and alert.urgency == "page"]
