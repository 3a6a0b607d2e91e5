"""The rules of incidents: legal moves, who joins what, when it is proven over."""

from __future__ import annotations

import math
from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from server.alerts.alert import Alert
from server.incidents.act import IncidentAct, Moment
from server.incidents.acting import most_spent
from server.incidents.acts import Decline, FinishTask, GiveTask, Move, Resolve, SetSeverity
from server.incidents.after_act import Close
from server.incidents.birth import REOPEN_S, Standing, arrivals
from server.incidents.deploy_act import undoes
from server.incidents.ending import of_window
from server.incidents.incident import Captured, DeployAct, Incident, IncidentState, PreventiveAction
from server.incidents.moves import MOVES, advanced, mitigated, moved
from server.incidents.onset import evidence_for
from server.incidents.proof import CLEAN_S, Ending, Proof, needed_requests, proof
from server.incidents.report import markdown, report_of
from server.incidents.report_html import ratio_chart
from server.incidents.room import IncidentRoom
from server.kernel.errors import ApiError
from server.slo.model.budget_policy import BudgetPolicy
from server.slo.model.status import BurnWindow
from tests.alerts.making import NOW
from tests.alerts.stepping import fired_page
from tests.dashboard.test_headline import objective

STATES = get_args(IncidentState)
SEEN = Captured(NOW, NOW - 60, "change point", "4.1 % of requests fail")
INCIDENT = Incident(1, "suspected", 2, "checkout failing", "checkout", "alert", NOW - 60, "change point", NOW, SEEN)
POLICY = BudgetPolicy(depends_on={"checkout": ("payments",), "payments": ("bank",)})


def at(state: IncidentState, **more: object) -> Incident:
    return replace(INCIDENT, state=state, **more)


def page(service: str, number: int, **more: object) -> Alert:
    return replace(fired_page(service), id=number, **more)


@pytest.mark.parametrize(("before", "after"), list(product(STATES, STATES)))
def test_only_the_moves_of_the_table_are_made(before: IncidentState, after: IncidentState) -> None:
    incident = at(before)
    if after in MOVES[before]:
        assert moved(incident, after, NOW).state == after == advanced(incident, after, NOW).state
    else:
        with pytest.raises(ApiError, match="goes to"):
            moved(incident, after, NOW)
        assert advanced(incident, after, NOW) is incident


def test_every_state_leads_to_its_end_and_back() -> None:
    for state in STATES:
        reached, left = {state}, [state]
        while left:
            found = set(MOVES[left.pop()]) - reached
            reached |= found
            left += found
        assert {"closed", "investigating"} <= reached | {state}


def test_a_first_mitigation_stays_and_another_outage_begins_anew() -> None:
    one = moved(moved(at("declared"), "mitigating", NOW), "monitoring", NOW + 60)
    assert (one.mitigated_at, one.over_at) == (NOW, NOW + 60)
    again = moved(moved(one, "resolved", NOW + 90), "investigating", NOW + 100)
    assert (again.mitigated_at, again.over_at, again.resolved_at) == (NOW, None, None)


def joins(alert: Alert, *standing: Standing, now: float = NOW) -> int | None:
    (one,) = arrivals([alert], {}, standing, POLICY, now)
    return one.incident.id if one.incident else None


def test_an_alert_joins_what_is_open_on_its_service_its_cause_or_its_symptom() -> None:
    own = Standing(at("declared"), {"checkout"})
    assert joins(page("checkout", 7), own) == 1
    assert joins(page("payments", 7), own) == 1, "a cause that is seen later"
    assert joins(page("bank", 7), own) == 1, "at any distance"
    assert joins(page("search", 7), own) is None
    assert joins(page("checkout", 7), Standing(at("declared"), {"bank"})) == 1, "a symptom"


def test_a_resolved_one_is_reopened_by_its_own_service_for_a_while() -> None:
    over = Standing(at("resolved", resolved_at=NOW), {"checkout"})
    assert joins(page("checkout", 7), over, now=NOW + REOPEN_S) == 1
    assert joins(page("checkout", 7), over, now=NOW + REOPEN_S + 1) is None
    assert joins(page("payments", 7), over) is None
    assert joins(page("checkout", 7), Standing(at("closed", resolved_at=NOW), {"checkout"})) is None


def test_what_belongs_together_is_one_new_incident() -> None:
    found = arrivals([page("checkout", 7), page("payments", 8), page("search", 9)], {}, [], POLICY, NOW)
    assert len(found) == 2
    assert {one.incident for one in found} == {None}


@pytest.mark.parametrize(
    "no",
    [
        {"urgency": "ticket"},
        {"state": "pending"},
        {"state": "resolved"},
        {"fired_at": None},
        {"silence_id": 3},
    ],
)
def test_what_pages_nobody_makes_none(no: dict[str, object]) -> None:
    assert arrivals([page("checkout", 7, **no)], {}, [], POLICY, NOW) == []


def test_an_outage_is_in_one_incident_and_the_next_one_comes_anew() -> None:
    assert arrivals([page("checkout", 7)], {(7, 1): 1}, [], POLICY, NOW) == []
    assert len(arrivals([page("checkout", 7)], {(7, 2): 1}, [], POLICY, NOW)) == 1


@given(st.floats(1e-6, 1 - 1e-9))
def test_so_many_good_requests_come_by_chance_at_most_once_in_twenty(ratio: float) -> None:
    n = needed_requests(ratio)
    assert (1 - ratio) ** n <= 0.05 * (1 + 1e-9)
    assert n == 1 or (1 - ratio) ** (n - 1) > 0.05 * (1 - 1e-9)


def test_needed_as_the_runbook_says() -> None:
    assert (needed_requests(0.04), needed_requests(1.0), needed_requests(0.0)) == (74, 1, 0)
    assert needed_requests(0.04) == math.ceil(math.log(0.05) / math.log(0.96))


def ending(**more: object) -> Ending:
    return replace(Ending(0, NOW, 0.04, 0.001, 0, 5000, True), **more)


@pytest.mark.parametrize(
    ("what", "after_s", "waits"),
    [
        (ending(), CLEAN_S, "nothing"),
        (ending(), CLEAN_S - 1, "time"),
        (ending(over_at=None), CLEAN_S, "alerts"),
        (ending(open_alerts=1), CLEAN_S, "alerts"),
        (ending(total=73), CLEAN_S, "traffic"),
        (ending(total=74), CLEAN_S, "nothing"),
        (ending(sighted=False), CLEAN_S, "sight"),
        (ending(bad=6), CLEAN_S, "alerts"),
        (ending(bad=5), CLEAN_S, "nothing"),
        (ending(total=0), CLEAN_S, "traffic"),
    ],
)
def test_it_is_over_once_that_is_proven(what: Ending, after_s: float, waits: str) -> None:
    assert proof(what, NOW + after_s).waits == waits


def test_what_holds_the_proof_up_is_said_as_it_is() -> None:
    assert proof(ending(open_alerts=1), NOW + 60).text.endswith("good requests; 1 alert is not resolved yet.")
    assert proof(ending(open_alerts=2), NOW + 60).text.endswith("; 2 alerts are not resolved yet.")
    assert proof(ending(bad=6), NOW + 60).text.endswith("; 6 of 5,000 fail, more than the objective allows.")


PROVEN, OPEN = Proof("nothing", NOW, 0, 200, 74), Proof("time", NOW, 0, 31, 74, 60)


def done(incident: Incident, asked: IncidentAct, found: Proof = PROVEN) -> IncidentRoom:
    room = IncidentRoom(incident)
    asked.apply(room, Moment("mira", NOW, found))
    return room


def test_good_requests_are_counted_from_the_first_minute_after_the_end() -> None:
    windows = [BurnWindow(3600, 90, 9000, 9.0), BurnWindow(300, 3, 3000, 1.0)]
    found = objective("checkout", "ok", windows=windows, minute=BurnWindow(60, 0, 1800, 0.0))
    passed = {30: (0, 0), 61: (0, 1800), 200: (0, 1800), 301: (3, 3000), 4000: (90, 9000)}
    assert {after_s: of_window(found, after_s) for after_s in passed} == passed
    assert of_window(None, 600) == (0, 0)


def test_the_first_roll_back_mitigates_whatever_was_said_before() -> None:
    for state, to in (("suspected", "suspected"), ("declared", "mitigating"), ("investigating", "mitigating")):
        found = mitigated(at(state), NOW)
        assert (found.state, found.mitigated_at) == (to, NOW)
        assert mitigated(found, NOW + 60) == found, "the first one counts"
    assert mitigated(at("monitoring"), NOW) == at("monitoring"), "it is over by itself"


def test_to_roll_a_roll_back_back_mitigates_nothing() -> None:
    back = DeployAct(1, 1, "roll_back", "shop", "v1", "v2", "done", "mira", NOW)
    asked = DeployAct(2, 1, "roll_back", "shop", "v2", "v1", "done", "mira", NOW)
    assert undoes(IncidentRoom(INCIDENT, deploys=[back, asked]), asked)
    assert not undoes(IncidentRoom(INCIDENT, deploys=[asked]), asked)
    other = replace(back, service="cart")
    assert not undoes(IncidentRoom(INCIDENT, deploys=[other, asked]), asked)


def test_a_report_says_that_nobody_has_resolved_it_yet() -> None:
    def lines(incident: Incident) -> list[str]:
        return markdown(report_of(IncidentRoom(incident), [], [], [], NOW, public=False)).splitlines()

    end = "from the onset (the fast test's estimate) to the end of the failure, by live data"
    calm = lines(at("monitoring", over_at=NOW))
    assert f"- time to recover: not resolved yet, {end}" in calm
    assert any(line.endswith(", after 1 min, not resolved yet.") for line in calm)
    over = lines(at("resolved", over_at=NOW, resolved_at=NOW))
    assert f"- time to recover: 1 min, {end}" in over
    assert not any("not resolved yet" in line for line in over)


def test_resolve_is_locked_until_proven_and_opens_with_a_reason() -> None:
    assert done(at("monitoring"), Resolve()).incident.state == "resolved"
    with pytest.raises(ApiError, match="cannot be resolved yet: 2 min of 3 min clean, 31 of 74"):
        done(at("monitoring"), Resolve(), OPEN)
    room = done(at("monitoring"), Resolve("the traffic is gone for the night"), OPEN)
    assert room.incident.state == "resolved"
    assert "without proof" in room.entries[0].text
    assert "gone for the night" in room.entries[0].text


def test_a_severity_is_raised_in_one_press_and_lowered_with_a_reason() -> None:
    assert done(at("declared"), SetSeverity(1)).incident.severity == 1
    with pytest.raises(ApiError, match="reason"):
        done(at("declared"), SetSeverity(3))
    assert done(at("declared"), SetSeverity(3, "one tenant")).incident.severity == 3


def test_only_a_suspected_one_is_declined() -> None:
    room = done(at("suspected"), Decline("a load test"))
    assert (room.incident.state, room.incident.measured) == ("closed", False)
    with pytest.raises(ApiError, match="was declared"):
        done(at("investigating"), Decline("a load test"))


def test_a_grave_one_is_closed_with_its_cause_and_an_action() -> None:
    with pytest.raises(ApiError, match="needs its root cause and at least one preventive action"):
        done(at("resolved"), Close())
    assert done(at("resolved", severity=3), Close()).incident.state == "closed"


def test_what_spent_much_of_a_budget_is_closed_with_an_action_of_the_highest_priority() -> None:
    room = IncidentRoom(at("resolved", root_cause="a bad query"))
    moment = Moment("mira", NOW, PROVEN, asks_p0=True)
    room.actions.append(PreventiveAction(1, 1, "test it", "jon", 1, NOW, NOW, "mira"))
    with pytest.raises(ApiError, match="P0, by postmortemShare"):
        Close().apply(room, moment)
    room.actions.append(PreventiveAction(2, 1, "test it", "jon", 0, NOW, NOW, "mira"))
    Close().apply(room, moment)
    assert room.incident.state == "closed"
    spent = [page("a", 1), page("b", 2)]
    spent[0].evidence = replace(spent[0].evidence, spent=0.3)
    spent[1].evidence = replace(spent[1].evidence, spent=40.0, provisional=True)
    assert most_spent(spent) == 0.3


def test_resolved_and_closed_are_acts_apart() -> None:
    for to in ("resolved", "closed", "declared", "suspected"):
        with pytest.raises(ApiError, match="acts apart"):
            done(at("investigating"), Move(to))


def test_a_task_is_done_once() -> None:
    room = done(at("declared"), GiveTask("is the replica behind?", "jon", 10))
    room.tasks[0].id = 4
    moment = Moment("jon", NOW + 60, OPEN)
    assert FinishTask(4, "no").apply(room, moment) == "Done."
    assert FinishTask(4, "yes").apply(room, Moment("mira", NOW + 70, OPEN)).startswith("Already done by jon")
    assert (room.tasks[0].result, len(room.entries)) == ("no", 2)


def test_the_chart_of_a_report_is_shaded_from_the_onset_until_it_was_over() -> None:
    values = [(60.0 * n, 0.3 if n == 5 else 0.0) for n in range(11)]
    assert '<rect x="340.0" width="68"' in ratio_chart(values, 300.0, 360.0)
    assert '<rect x="340.0" width="340"' in ratio_chart(values, 300.0, None), "it goes on"


def test_an_incident_has_one_onset_the_earliest_that_its_alerts_have_evidence_of() -> None:
    window = replace(INCIDENT, onset=NOW - 3600, onset_method="window")
    slow = page("checkout", 1, onset=NOW - 3600, onset_method="window")
    fast = page("checkout", 1, onset=NOW - 80, onset_method="change point")
    earlier = page("payments", 2, onset=NOW - 140, onset_method="change point")
    another = page("checkout", 1, onset=NOW + 30, onset_method="change point")
    assert evidence_for(window, [slow]) is None
    assert evidence_for(window, [slow, fast]) is fast, "a window begins long before"
    assert evidence_for(window, [another]) is None, "it began after the detection"
    assert evidence_for(INCIDENT, [replace(fast, onset=NOW - 60)]) is None
    assert evidence_for(INCIDENT, [fast, earlier]) is earlier
    said = replace(INCIDENT, onset_method="person")
    assert evidence_for(said, [earlier]) is None, "what a person has said stands"
    assert evidence_for(replace(said, onset=NOW), [earlier]) is earlier, "declared by hand, and nobody has said"
