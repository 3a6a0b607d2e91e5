"""A drill stands apart: in no headline, list, budget, freeze or measure of production, and nobody is woken by it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dashboard.find import alert_place
from dashboard.incidents.room import RoomView, room_title
from dashboard.now.headline import headline
from dashboard.now.rows import service_rows
from dashboard.shared.standing import worst
from server.alerts.words import message
from server.incidents.act import Moment
from server.incidents.acts import Close
from server.incidents.ending import of_alert
from server.incidents.keeper import line_of, worst_first
from server.incidents.proof import Proof
from server.incidents.room import IncidentRoom
from server.kernel.errors import ApiError
from server.kernel.names import is_drill
from server.notify.kinds import KINDS
from server.notify.message import escalated, fit, subject
from server.notify.steps import drilled, receiving
from server.notify.target import Target
from server.picture.objectives_now import objectives_now
from server.picture.picture import Picture
from server.slo.model.objective import PolicyError
from server.slo.model.status import Status
from server.slo.policy.policy import parse
from server.slo.policy.provisional import DRILL_OVER_US, with_defaults
from server.telemetry.scrape import alerts, families
from tests.dashboard.test_headline import objective, service
from tests.gate.making import alert
from tests.incidents.test_rules import INCIDENT, SEEN
from tests.notify.making import an_alert, notice
from tests.slo.making import SHOP, availability
from tests.slo.making import service as document

DRILL = "drill:bad-deploy"
MOMENT = Moment("mira", 2e9, Proof("nothing"))


def picture() -> Picture:
    """A drill that burns beside a service that is well."""
    held = [objective("shop", "ok"), objective(DRILL, "burning")]
    status = Status(1, 1000.0, held, {"shop": "ok", DRILL: "burning"})
    fires = [alert(service=DRILL, objective=held[1].name)]
    return Picture(1, 1000.0, 1, "w", [service(DRILL, bad=90), service("shop")], [], 1, None, status, fires)


def test_it_is_known_by_its_name_alone() -> None:
    assert is_drill(DRILL)
    assert not any(map(is_drill, ("drill-press", "drill", "shop:drill:", "Drill:x", "")))


def test_no_policy_may_name_one() -> None:
    """So that nobody's budget is one's, and no service depends on one."""
    with pytest.raises(PolicyError, match="begins with drill:, as the services of drills do"):
        parse(SHOP + document(DRILL) + availability("mine", DRILL))


def test_it_is_held_to_two_objectives_with_and_without_defaults() -> None:
    policy = parse(SHOP)
    assert with_defaults(policy, ["cart"], 1000) == policy.objectives
    works, fast = with_defaults(policy, ["cart", DRILL], 1000)[len(policy.objectives) :]
    assert (works.name, works.kind, works.threshold_us) == ("drill-bad-deploy-works", "availability", None)
    assert (fast.name, fast.kind, fast.threshold_us) == ("drill-bad-deploy-fast", "latency", DRILL_OVER_US)
    assert all(one.drill and one.provisional for one in (works, fast))
    strange = with_defaults(policy, ["drill:" + "ü" * 190, "drill:x"], 1000)
    assert len({one.name for one in strange}) == len(policy.objectives) + 4
    assert len(with_defaults(policy, ["drill:x"], len(policy.objectives) + 1)) == len(policy.objectives)


def test_who_finds_its_alert_reads_that_it_is_one() -> None:
    assert alert_place(an_alert(service=DRILL)).name.startswith("DRILL ")
    assert not alert_place(an_alert()).name.startswith("DRILL ")


def test_the_headline_and_the_state_of_the_page_are_those_of_production() -> None:
    rows = service_rows(picture())
    assert [row.name for row in rows] == ["shop", DRILL]
    assert headline(picture(), rows).text == "1 objective OK"
    found = worst(picture())
    assert found is not None
    assert found.state == "ok"


def test_one_that_is_over_is_no_silent_service() -> None:
    over = picture()
    over.services[0].silent_s = 40
    assert [row.name for row in service_rows(over)] == ["shop"]


def test_it_ends_no_staged_revision_and_is_in_no_metric() -> None:
    found = objectives_now(picture(), 0.0)
    assert (found.count, found.burning) == (1, {})
    assert sum(value for _, value in alerts(picture())) == 0
    told = [sample for one in families(None, picture(), 0.0, ()) for sample in one.samples]
    assert any(sample.labels.get("service") == "shop" for sample in told)
    assert not any(is_drill(sample.labels.get("service", "")) for sample in told)


def test_messages_say_drill_first_and_what_is_of_production_alone_gets_none() -> None:
    one = an_alert(service=DRILL)
    told = fit(one, message(one))
    assert told.startswith("DRILL SEV-2 drill:bad-deploy: ")
    assert subject(one).startswith("DRILL SEV-2: ")
    assert fit(one, escalated(told)).startswith("DRILL Not acknowledged: SEV-2 ")
    targets = [Target(number, name, name, "", "", "", 1) for number, name in enumerate(KINDS, 1)]
    assert {one.kind for one in drilled(targets, "shop")} == set(KINDS)
    assert {one.kind for one in drilled(targets, DRILL)} == set(KINDS) - {"pagerduty", "cdevents"}
    assert {each.kind for each in receiving(notice(one), targets, ())} == set(KINDS) - {"pagerduty", "cdevents"}


def test_its_incident_is_one_comes_last_and_is_closed_without_homework() -> None:
    incident = of_alert(an_alert(service=DRILL), SEEN)
    assert incident.drill
    assert not incident.measured
    assert line_of(incident, None).drill
    view = RoomView(IncidentRoom(incident), [], None, [], [], {}, None, None, [], [], "", [], [], "")
    assert room_title(view).startswith("■ DRILL SEV-")
    assert not of_alert(an_alert(), SEEN).drill
    better, worse = replace(INCIDENT, severity=1, state="monitoring"), replace(INCIDENT, severity=3)
    drill = replace(INCIDENT, severity=1, drill=True)
    assert sorted([drill, better, worse], key=worst_first) == [worse, better, drill], "what recovers after what fails"
    over = replace(INCIDENT, state="resolved", severity=1)
    assert Close().apply(IncidentRoom(replace(over, drill=True)), MOMENT) == "Closed."
    with pytest.raises(ApiError, match="needs its root cause"):
        Close().apply(IncidentRoom(over), MOMENT)
