"""What is looked at first: the alert that pages; the worst service, its cause before its symptoms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from server.alerts.alert import Alert
from server.alerts.order import alert_order, causes, open_by_service, service_order
from tests.notify.making import an_alert


def alert(id: int, service: str = "checkout", **given: Any) -> Alert:
    return an_alert(id=id, service=service, objective=f"{service}-{id}", **given)


def order(*alerts: Alert) -> list[int]:
    return [one.id for one in sorted(alerts, key=alert_order)]


def test_the_alert_that_pages_is_first() -> None:
    ticket, page = alert(1, urgency="ticket", severity=1), alert(2, severity=2)
    assert order(ticket, page) == [2, 1]
    assert order(page, alert(3, severity=1), alert(4, severity=2, detected_at=0.0)) == [3, 4, 2]
    pending, silenced = alert(5, state="pending", severity=1), alert(6, silence_id=1, severity=1)
    assert order(pending, silenced, ticket) == [1, 6, 5]
    assert order(alert(7, state="resolving", severity=1), page) == [7, 2]


def test_services_by_severity_then_cause_then_share() -> None:
    paying, buying = alert(1, "payments"), alert(2, suppressed_by=1)
    mail = replace(alert(3, "mail"), evidence=replace(paying.evidence, bad_ratio=0.9))
    cart = alert(4, "cart", severity=1)
    found = open_by_service([buying, paying, mail, cart, alert(5, "old", state="resolved")])
    assert sorted(found, key=lambda service: service_order(found[service], 0.05)) == [
        "cart",
        "mail",
        "payments",
        "checkout",
    ]
    assert causes(found) == {"checkout": "payments"}


def test_what_no_alert_speaks_of_goes_by_its_share() -> None:
    none: Sequence[Alert] = ()
    assert service_order(none, 0.2) < service_order(none, 0.1) < service_order(none, None)
    assert service_order([alert(1, severity=3)], None) < service_order(none, 0.9)
