"""The states of an alert: told once for each urgency, never worse than it was, over only when that is known."""

from __future__ import annotations

from dataclasses import replace as with_
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import replace

from server.alerts.alert import Alert
from server.alerts.machine import FLAPPING_RESOLVE_S, GONE, RESOLVE_S, Context, step
from server.alerts.telling import HOLD_S, TICKET_HOLD_S
from server.alerts.words import clock
from server.slo.budget_policy import BudgetPolicy
from server.slo.evidence import Evidence
from tests.alerts.making import NOW, at, burning, clear
from tests.alerts.stepping import CONTEXT, SILENCE, Objective, told


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


def test_each_firing_has_an_onset_of_its_own() -> None:
    one = Objective()
    one.second(burning())
    assert one.alert is not None
    first = one.alert
    one.seconds(clear(), RESOLVE_S + 1)
    one.second(burning(), after_s=300)
    assert (one.alert.id, one.alert.onset - first.onset) == (first.id, one.alert.detected_at - first.detected_at)
    assert one.alert.onset > first.onset + 300


def test_what_was_likely_stays_so_when_it_is_the_only_version_that_is_left() -> None:
    one = Objective()
    one.second(burning())
    one.second(replace(burning(), likely=""))
    assert one.alert is not None
    assert one.alert.evidence.likely == "version 5f2c1a9"
    one.second(replace(burning(), likely="version 77aa001"))
    assert one.alert.evidence.likely == "version 77aa001"


def test_a_ticket_becomes_a_page_on_the_same_alert_and_stays_one() -> None:
    one = Objective()
    assert one.seconds(burning(urgency="ticket", tier="24h/2h"), TICKET_HOLD_S + 1) == ["trigger"]
    assert told(one.second(burning(tier="1h/5m"))) == ["trigger"]
    assert one.seconds(burning(urgency="ticket", tier="24h/2h"), RESOLVE_S - 1) == []
    assert one.alert is not None
    assert (one.alert.urgency, one.alert.id, one.alert.fired_times) == ("page", 1, 1)
    assert "trigger" not in one.seconds(burning(tier="1h/5m"), 5)


def test_the_next_outage_pages_though_a_slow_tier_still_burns_from_the_last() -> None:
    one, slow = Objective(), burning(urgency="ticket", tier="3d/6h", bad_ratio=0.0)
    one.second(burning())
    assert one.seconds(slow, RESOLVE_S + 1) == ["resolve"]
    assert one.seconds(slow, TICKET_HOLD_S + 2) == ["trigger"]
    assert one.alert is not None
    assert (one.alert.id, one.alert.urgency) == (2, "ticket")
    one.seconds(slow, 3600)
    events = one.second(burning(bad_ratio=0.9))
    assert told(events) == ["trigger"]
    assert f"since {clock(one.now - 3)}" in events[-1].text  # of this outage, not of the first
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


def test_silenced_it_is_shown_and_told_when_that_ends() -> None:
    one, silenced = Objective(), with_(CONTEXT, silence=SILENCE)
    assert one.seconds(burning(), 20, silenced) == []
    assert one.state == "firing"
    assert told(one.second(burning())) == ["trigger"]
    assert one.seconds(burning(), 20, silenced) == []
    assert one.seconds(clear(), RESOLVE_S + 1, silenced) == ["resolve"]  # who was told is told that it is over


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


def fired_page(service: str) -> Alert:
    alert, _ = step(None, at(burning(service), NOW), CONTEXT, NOW)
    assert alert is not None
    return alert


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


def test_the_waking_message_fits_a_lock_screen() -> None:
    one = Objective()
    text = one.second(burning())[-1].text
    assert text == (
        "SEV-2 checkout: 4.1 % of requests fail (objective 0.1 %) since 14:13:18 UTC. Likely: version 5f2c1a9."
    )
    over = Objective().second(burning(bad_ratio=0.0, tier="1h/5m"))[-1].text
    assert "none of the last requests failed, 1h/5m still burns (objective 0.1 %)" in over
    slow = replace(burning(bad_ratio=0.0405), kind="latency", threshold_ms=300.0, target=0.99, likely="")
    other = Objective()
    text = other.second(slow)[-1].text
    assert text == "SEV-2 checkout: 4 % of requests take over 300 ms (objective 1 %) since 14:13:18 UTC."


class Turn(NamedTuple):
    said: Evidence | None
    context: Context
    seconds: int


SAID = some.one_of(
    some.none(),
    some.builds(clear, known=some.booleans()),
    some.builds(
        burning,
        bad_ratio=some.sampled_from([0.0005, 0.005, 0.02, 0.7]),
        urgency=some.sampled_from(["page", "ticket"]),
        due=some.booleans(),
        tier=some.sampled_from(["fast", "run", "1h/5m", "24h/2h"]),
        known=some.booleans(),
    ),
)
CONTEXTS = some.builds(
    Context,
    policy=some.just(BudgetPolicy()),
    depends=some.booleans(),
    awaited=some.booleans(),
    suppressor=some.sampled_from([None, None, replace(fired_page("payments"), id=9)]),
    silence=some.sampled_from([None, None, SILENCE]),
)
TURNS = some.lists(some.builds(Turn, SAID, CONTEXTS, some.sampled_from([1, 2, 5, 59, 61, 200, 700, 1000])), max_size=40)
LEVEL = {"ticket": 1, "page": 2}
MOST = 70  # seconds of a turn that are stepped


@settings(max_examples=300, deadline=None)
@given(TURNS)
def test_whatever_happens(turns: list[Turn]) -> None:
    one = Objective()
    told_level: dict[tuple[int, int], int] = {}  # by alert and firing
    clear_since = float("inf")  # known to be clear in every second since
    for turn in turns:
        one.now += max(0, turn.seconds - MOST)  # nobody watched for a while
        for _ in range(min(turn.seconds, MOST)):
            before, events = one.alert, one.second(turn.said, turn.context)
            calm = turn.said is not None and turn.said.known and (turn.said.tier is None or less(before, turn.said))
            clear_since = min(clear_since, one.now) if calm else float("inf")
            if before is not None and one.alert is None:
                flaps = before.flapping and before.state != "pending"
                assert one.now - clear_since >= (FLAPPING_RESOLVE_S if flaps else RESOLVE_S)
            worse_only(before, one.alert)
            after = one.alert or one.previous
            for event in events:
                if event.notice == "trigger":
                    assert after is not None
                    assert after.state == "firing"
                    assert turn.context.silence is None
                    assert turn.context.suppressor is None
                    firing = (after.id, after.fired_times)
                    assert LEVEL[after.urgency] > told_level.get(firing, 0)
                    told_level[firing] = LEVEL[after.urgency]
                if event.notice in ("resolve", "update"):
                    assert after is not None
                    assert after.told is not None


def less(alert: Alert | None, said: Evidence) -> bool:
    """Whether a page has become a ticket's matter."""
    fires = alert is not None and alert.state in ("firing", "resolving")
    return fires and alert is not None and (alert.urgency, said.urgency) == ("page", "ticket")


def worse_only(before: Alert | None, after: Alert | None) -> None:
    """While it is open neither severity nor, once it has fired, urgency goes down."""
    if before is None or after is None:
        return
    assert after.severity <= before.severity
    if before.state != "pending":
        assert LEVEL[after.urgency] >= LEVEL[before.urgency]


@pytest.mark.parametrize(("ratio", "severity"), [(0.5, 1), (0.49, 2), (0.01, 2), (0.0099, 3), (0.0, 3)])
def test_severity_comes_from_the_impact(ratio: float, severity: int) -> None:
    one = Objective()
    one.second(burning(bad_ratio=ratio, tier="1h/5m"))
    assert one.alert is not None
    assert one.alert.severity == severity
