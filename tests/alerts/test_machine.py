"""The states of an alert: told once for each urgency, never worse than it was, over only when that is known."""

from __future__ import annotations

from dataclasses import replace as with_

from msgspec.structs import replace

from server.alerts.alert import Beginning
from server.alerts.machine import GONE, RESOLVE_S
from server.alerts.telling import HOLD_S
from server.alerts.words import clock
from server.kernel.text import span
from server.notify.kinds.pagerduty import incident_key
from server.slo.model.memory import Recovery
from tests.alerts.making import NOW, burning, clear
from tests.alerts.stepping import CONTEXT, SILENCE, Objective, fired_page, told


def test_from_detection_to_resolution() -> None:
    one = Objective()
    assert told(one.second(burning(due=False))) == []
    assert one.state == "pending"
    assert told(one.second(burning())) == ["trigger"]
    assert one.state == "firing"
    assert one.seconds(burning(), 30) == []
    assert told(one.second(clear())) == []
    assert one.state == "resolving"
    assert one.seconds(clear(), RESOLVE_S - 1) == []
    assert one.state == "resolving"
    assert told(one.second(clear())) == ["resolve"]
    assert one.state == "ok"
    assert one.previous is not None
    assert one.previous.onset == NOW + 2 - 3  # of the evidence by which it fired
    assert one.previous.detected_at == NOW + 1
    assert one.previous.fired_at == NOW + 2


def test_what_was_pending_goes_without_a_word() -> None:
    one = Objective()
    one.second(burning(due=False))
    assert one.seconds(clear(), RESOLVE_S + 1) == []
    assert one.state == "ok"
    assert one.previous is not None
    assert one.previous.fired_times == 0


def test_back_while_resolving_is_the_same_firing() -> None:
    one = Objective()
    one.second(burning())
    one.seconds(clear(), RESOLVE_S - 1)
    assert one.seconds(burning(), 3) == []
    assert one.state == "firing"
    one.seconds(clear(), RESOLVE_S - 1)  # the clock began anew
    assert one.state == "resolving"


def test_while_blind_nothing_is_over() -> None:
    one = Objective()
    one.second(burning())
    one.seconds(clear(), RESOLVE_S - 1)
    assert one.seconds(clear(known=False), 600) == []
    assert one.state == "resolving"
    one.seconds(clear(), RESOLVE_S)
    assert one.state == "resolving"
    one.second(clear())
    assert one.state == "ok"


def test_soon_back_is_the_same_alert_told_again_and_later_another() -> None:
    one = Objective()
    one.second(burning())
    one.seconds(clear(), RESOLVE_S + 1)
    assert told(one.second(burning(), after_s=500)) == ["trigger"]
    assert one.alert is not None
    assert (one.alert.id, one.alert.fired_times) == (1, 2)
    one.seconds(clear(), RESOLVE_S + 1)
    assert told(one.second(burning(), after_s=3700)) == ["trigger"]
    assert (one.alert.id, one.alert.fired_times, one.alert.flapping) == (2, 1, False)


def test_a_second_outage_has_an_onset_of_its_own_and_the_first_keeps_its() -> None:
    one = Objective()
    one.second(burning())
    assert one.alert is not None
    first = one.alert
    one.seconds(clear(), RESOLVE_S + 1)
    one.second(burning(), after_s=300)
    second = one.alert
    assert (second.id, second.onset, second.detected_at) == (first.id, first.onset, first.detected_at)
    assert second.beginning == Beginning(2, one.now - 3, "change point", one.now)
    assert incident_key(second) == incident_key(first)


def test_the_failure_ends_where_the_evidence_says_and_not_when_that_is_sure() -> None:
    one = Objective()
    one.second(burning())
    assert one.alert is not None
    began = one.alert.began
    one.seconds(burning(), 100)
    said = Recovery(one.now - 5, 0, 402, 120.0)
    one.second(replace(burning(), recovery=said))
    assert (one.state, one.alert.recovery) == ("firing", replace(said, sure_in_s=120 + RESOLVE_S))
    over = replace(clear(), recovery=replace(said, total=900, sure_in_s=0.0))
    one.seconds(over, 20)
    assert one.alert.recovery == Recovery(said.since, 0, 900, RESOLVE_S - 19)
    one.seconds(over, RESOLVE_S - 20)
    events = one.second(over)
    assert one.previous is not None
    assert (one.previous.ended, one.previous.recovery) == (said.since, None)
    assert events[-1].text == (
        f"Recovered: checkout at {clock(said.since)}, after {span(said.since - began)}. Clear for 60 s."
    )
    one.second(replace(burning(), recovery=said))  # what was seen of the outage before says nothing of this one
    assert (one.alert.beginning.number, one.alert.recovery) == (2, None) if one.alert else False


def test_what_was_likely_stays_so_when_it_is_the_only_version_that_is_left() -> None:
    one = Objective()
    one.second(burning())
    one.second(replace(burning(), likely=""))
    assert one.alert is not None
    assert one.alert.evidence.likely == "version 5f2c1a9"
    one.second(replace(burning(), likely="version 77aa001"))
    assert one.alert.evidence.likely == "version 77aa001"


def test_silenced_it_is_shown_and_told_when_that_ends() -> None:
    one, silenced = Objective(), with_(CONTEXT, silences=(SILENCE,))
    assert one.seconds(burning(), 20, silenced) == []
    assert one.state == "firing"
    assert told(one.second(burning())) == ["trigger"]
    assert one.seconds(burning(), 20, silenced) == []
    assert one.seconds(clear(), RESOLVE_S + 1, silenced) == ["resolve"]  # who was told is told that it is over


def test_a_silence_that_ends_after_the_recovery_wakes_nobody() -> None:
    one, silenced = Objective(), with_(CONTEXT, silences=(SILENCE,))
    one.seconds(burning(), 20, silenced)
    over = replace(burning(), recovery=Recovery(one.now, 0, 402, 120.0))  # a window burns on
    assert one.seconds(over, 5, silenced) == []
    assert one.seconds(over, 20) == []
    assert one.state == "firing"
    assert told(one.second(burning())) == ["trigger"]  # it was not over


def test_a_dependent_waits_and_is_told_when_its_explanation_is_over() -> None:
    parent = replace(fired_page("payments"), id=9)
    one, alone = Objective(), with_(CONTEXT, depends=True)
    assert one.seconds(burning(), HOLD_S, alone) == []
    assert one.seconds(burning(), 60, with_(alone, suppressor=parent)) == []
    assert one.alert is not None
    assert one.alert.suppressed_by == 9
    assert told(one.second(burning(), alone)) == ["trigger"]
    other = Objective()
    assert other.seconds(burning(), HOLD_S, alone) == []
    assert other.seconds(burning(), 1, alone) == ["trigger"]


def test_an_objective_that_is_gone_ends_its_alert() -> None:
    one = Objective()
    one.second(burning())
    events = one.second(None, with_(CONTEXT, gone=True))
    assert told(events) == ["resolve"]
    assert GONE in events[-1].text
    assert told(one.second(burning(), with_(CONTEXT, gone=True))) == []
    assert one.state == "ok"


def test_while_nothing_is_evaluated_nothing_is_over() -> None:
    one = Objective()
    one.second(burning())
    one.seconds(clear(), RESOLVE_S - 1)
    for _ in range(100):
        assert one.second(None) == []
    one.seconds(clear(), RESOLVE_S)
    assert one.state == "resolving"
