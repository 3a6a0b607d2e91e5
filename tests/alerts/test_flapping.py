"""Flapping is not told over and over; an outage after it is told all the same. Who acknowledged hears no more."""

from __future__ import annotations

from dataclasses import replace as with_

import pytest
from msgspec.structs import replace

from server.alerts.machine import FLAPPING_RESOLVE_S, RESOLVE_S
from server.alerts.telling import STAYS_S, TICKET_HOLD_S
from server.alerts.words import clock
from tests.alerts.making import burning, clear
from tests.alerts.stepping import CONTEXT, SILENCE, Objective, told


def test_flapping_is_said_once_and_held_open() -> None:
    one = Objective()
    for expected in (["trigger"], ["trigger"], ["trigger"]):
        assert told(one.second(burning())) == expected
        if one.alert is not None and not one.alert.flapping:
            one.seconds(clear(), RESOLVE_S + 1)
    assert one.alert is not None
    assert one.alert.flapping
    for _ in range(5):  # what would have been four more pages
        assert one.seconds(clear(), FLAPPING_RESOLVE_S - 1) == []
        assert one.seconds(burning(), 5) == []
    assert one.seconds(clear(), FLAPPING_RESOLVE_S + 1) == ["resolve"]


def flapping() -> Objective:
    """One that has fired three times within minutes, each told, and burns."""
    one = Objective()
    for turn in range(3):
        assert told(one.second(burning())) == ["trigger"]
        if turn < 2:
            one.seconds(clear(), RESOLVE_S + 1)
    assert one.alert is not None
    assert one.alert.flapping
    return one


def test_once_clear_for_long_what_flapped_pages_like_any_other() -> None:
    one = flapping()
    assert one.seconds(clear(), FLAPPING_RESOLVE_S + 1) == ["resolve"]
    assert told(one.second(burning(), after_s=300)) == ["trigger"]
    assert one.alert is not None
    assert (one.alert.id, one.alert.flapping) == (1, False)


def test_an_outage_after_flapping_is_told_once_it_lasts() -> None:
    one = flapping()
    for _ in range(2):
        assert one.seconds(clear(), RESOLVE_S + 30) == []
        assert one.seconds(clear(known=False), 30) == []  # blind in between: it was clear all the same
        begun = one.now + 1
        assert one.seconds(burning(), STAYS_S) == []
        events = one.second(burning())
        assert told(events) == ["resolve", "trigger"]
        assert events[-1].text.endswith(f"It flapped, and is back since {clock(begun)}.")
        assert one.seconds(clear(), RESOLVE_S - 1) == []
        assert one.seconds(burning(), STAYS_S * 4) == []  # the same outage
    assert one.seconds(clear(), FLAPPING_RESOLVE_S + 1) == ["resolve"]


def test_an_outage_after_flapping_that_is_worse_is_told_at_once() -> None:
    one = flapping()
    one.seconds(clear(), RESOLVE_S + 1)
    assert told(one.second(burning(bad_ratio=0.9))) == ["resolve", "trigger"]
    assert one.seconds(burning(bad_ratio=0.9), STAYS_S * 2) == []
    one.seconds(clear(), RESOLVE_S + 1)
    silenced = with_(CONTEXT, silences=(SILENCE,))
    assert one.seconds(burning(bad_ratio=0.9), STAYS_S * 2, silenced) == []
    assert told(one.second(burning(bad_ratio=0.9))) == ["resolve", "trigger"]


def test_an_acknowledgement_is_of_the_outage_that_went_before() -> None:
    one = flapping()
    acknowledge(one)
    one.seconds(clear(), RESOLVE_S + 1)
    assert one.seconds(burning(), STAYS_S + 1) == ["resolve", "trigger"]
    assert one.alert is not None
    assert one.alert.acknowledged_at is None
    one.seconds(clear(), RESOLVE_S + 1)
    one.seconds(burning(), 10)
    acknowledge(one)  # whoever acknowledges it now knows of it
    assert one.seconds(burning(), STAYS_S * 2) == []


def acknowledge(one: Objective) -> None:
    assert one.alert is not None
    taken = {"acknowledged_at": one.now, "acknowledged_by": "mira", "acknowledged_as": one.alert.urgency}
    one.alert = replace(one.alert, **taken)


def test_nobody_is_told_of_what_somebody_has_acknowledged_before() -> None:
    one, silenced = Objective(), with_(CONTEXT, silences=(SILENCE,))
    one.second(burning(due=False))
    acknowledge(one)
    assert one.seconds(burning(), 20) == []
    assert one.state == "firing"
    assert told(one.second(burning(bad_ratio=0.9))) == []
    assert one.seconds(clear(), RESOLVE_S + 1) == []
    assert one.seconds(burning(), 1, silenced) == []
    acknowledge(one)
    assert one.seconds(burning(), 20) == []  # the silence is over


def test_a_ticket_that_was_acknowledged_pages_when_it_becomes_a_page() -> None:
    one, ticket = Objective(), burning(urgency="ticket", tier="24h/2h")
    one.second(ticket)
    acknowledge(one)
    assert one.seconds(ticket, TICKET_HOLD_S + 1) == []
    assert told(one.second(burning(tier="1h/5m"), with_(CONTEXT, silences=(SILENCE,)))) == []
    assert told(one.second(burning(tier="1h/5m"))) == ["trigger"]


def test_what_an_incident_spent_only_grows() -> None:
    one = Objective()
    one.second(replace(burning(), spent=0.3))
    one.second(replace(burning(), spent=0.1))
    assert one.alert is not None
    assert one.alert.evidence.spent == 0.3
    one.seconds(clear(), RESOLVE_S + 1)
    one.second(replace(burning(), spent=0.05))
    assert (one.alert.id, one.alert.evidence.spent) == (1, pytest.approx(0.35)), "both outages"
    one.second(replace(burning(), spent=0.2))
    one.second(replace(burning(), spent=0.1))
    assert one.alert.evidence.spent == pytest.approx(0.5), "the second has grown"
    one.second(replace(burning(), spent=0.4, onset_method="window"))
    assert one.alert.evidence.spent == pytest.approx(0.5), "a window reaches back into the first"
