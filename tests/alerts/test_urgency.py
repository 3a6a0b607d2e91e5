"""Tickets, pages and severity, and when news of them is told."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from server.alerts.alert import Beginning
from server.alerts.machine import REOPEN_S, RESOLVE_S
from server.alerts.telling import TICKET_HOLD_S
from server.alerts.words import clock, failing
from server.slo.model.status import Slowness
from tests.alerts.making import burning
from tests.alerts.stepping import Objective, told


def test_a_ticket_becomes_a_page_on_the_same_alert_and_stays_one() -> None:
    one, worse = Objective(), replace(burning(tier="1h/5m"), onset_method="window")
    assert one.seconds(burning(urgency="ticket", tier="24h/2h"), TICKET_HOLD_S + 1) == ["trigger"]
    assert told(one.second(worse)) == ["trigger"]
    assert one.seconds(burning(urgency="ticket", tier="24h/2h"), RESOLVE_S - 1) == []
    assert one.alert is not None
    assert (one.alert.urgency, one.alert.id, one.alert.fired_times) == ("page", 1, 1)
    assert "trigger" not in one.seconds(worse, 5)


def test_an_outage_while_a_ticket_burns_is_another_one_with_its_own_onset() -> None:
    one = Objective()
    slow = replace(burning(urgency="ticket", tier="24h/2h"), onset_method="window", onset=-86_400.0)
    one.seconds(slow, TICKET_HOLD_S + 1)
    assert told(one.second(burning())) == ["trigger"]
    assert one.alert is not None
    assert one.alert.again == Beginning(2, one.now - 3, "change point", one.now)
    assert one.seconds(burning(), 30) == []


def test_the_next_outage_pages_though_a_slow_tier_still_burns_from_the_last() -> None:
    one, slow = Objective(), burning(urgency="ticket", tier="3d/6h", bad_ratio=0.0)
    one.second(burning())
    assert one.seconds(slow, RESOLVE_S + 1) == ["resolve"]
    assert one.seconds(slow, REOPEN_S) == []  # what is back by then is that page again
    assert one.seconds(slow, TICKET_HOLD_S + 2) == ["trigger"]
    assert one.alert is not None
    assert (one.alert.id, one.alert.urgency) == (2, "ticket")
    one.seconds(slow, 3600)
    events = one.second(burning(bad_ratio=0.9))
    assert told(events) == ["trigger"]
    assert f"since {clock(one.now - 3)}" in events[-1].text  # of this outage, not of the first
    assert one.alert.beginning.number == 2
    assert (one.alert.id, one.alert.urgency, one.alert.severity) == (2, "page", 1)
    assert one.previous is not None
    assert (one.previous.id, one.previous.severity) == (1, 2)  # the first outage stays what it was


def test_a_ticket_that_is_a_page_a_second_later_is_one_message() -> None:
    one = Objective()
    assert told(one.second(burning(urgency="ticket", tier="1d/2h"))) == []
    assert told(one.second(burning(tier="1h/5m"))) == ["trigger"]
    assert one.seconds(burning(tier="1h/5m"), TICKET_HOLD_S) == []


def test_what_is_not_due_yet_makes_no_page_of_a_ticket() -> None:
    one, fast = Objective(), burning(due=False)
    one.second(fast)
    assert one.seconds(burning(urgency="ticket", tier="3d/6h"), TICKET_HOLD_S + 1) == ["trigger"]
    assert one.alert is not None
    assert "trigger" not in one.seconds(fast, 30)
    assert one.alert.urgency == "ticket"


def test_a_worse_impact_is_an_update() -> None:
    one = Objective()
    one.second(burning(bad_ratio=0.005))
    assert one.alert is not None
    assert one.alert.severity == 3
    events = one.second(burning(bad_ratio=0.6))
    assert told(events) == ["update"]
    assert events[-1].text.startswith("SEV-1 checkout: 60 % of requests fail (objective 0.1 %) since ")
    assert one.seconds(burning(bad_ratio=0.02), 5) == []
    assert one.alert.severity == 1


def test_another_tier_is_told_once_a_minute_at_most() -> None:
    one = Objective()
    one.second(burning())
    updates = [tell for turn in range(240) for tell in told(one.second(burning(tier=("fast", "1h/5m")[turn % 2])))]
    assert updates == ["update"] * len(updates)
    assert 1 <= len(updates) <= 4


def test_the_waking_message_fits_a_lock_screen() -> None:
    one = Objective()
    text = one.second(burning())[-1].text
    assert text == (
        "SEV-2 checkout: 4.1 % of requests fail (objective 0.1 %) since 14:13:18 UTC. Likely: version 5f2c1a9."
    )
    over = Objective().second(burning(bad_ratio=0.0, tier="1h/5m"))[-1].text
    assert "none of the last requests failed, the burn over 1 h and 5 min goes on (objective 0.1 %)" in over
    how = Slowness(1240.0, None, "POST /pay")
    slow = replace(burning(bad_ratio=0.0405), kind="latency", threshold_ms=300.0, target=0.99, likely="", slowness=how)
    other = Objective()
    text = other.second(slow)[-1].text
    assert text == (
        "SEV-2 checkout: 41 of 1,000 requests take over 300 ms (objective 1 %), p95 1.24 s since 14:13:18 UTC."
        " Slow: POST /pay."
    )
    other.second(replace(slow, slowness=replace(how, before_ms=180.0)))
    other.second(replace(slow, slowness=replace(how, p95_ms=900.0, before_ms=700.0)))
    assert other.alert is not None
    assert failing(other.alert).endswith("p95 900 ms, 180 ms before")  # as it was before it began


@pytest.mark.parametrize(("ratio", "severity"), [(0.5, 1), (0.49, 2), (0.01, 2), (0.0099, 3), (0.0, 3)])
def test_severity_comes_from_the_impact(ratio: float, severity: int) -> None:
    one = Objective()
    one.second(burning(bad_ratio=ratio, tier="1h/5m"))
    assert one.alert is not None
    assert one.alert.severity == severity
