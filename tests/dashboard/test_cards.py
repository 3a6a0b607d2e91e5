"""A burning service as one card: figures of the right time, what changed before, and its symptoms beneath."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from dashboard.now.burn_chart import ChartSpan, latency_chart, ratio_chart
from dashboard.now.cards import CardHistory, asked, card, failing, left, suspect_of, where, whole_steps
from dashboard.now.rows import service_rows
from server.changes.store import Change
from server.incidents.suspect_answer import CauseAnswer, FailedOf, SuspectAnswer, SuspectChange, SuspectsAnswer
from server.kernel.times import utc
from server.live.answers import SeriesAnswer, SeriesPoint, SummaryRow
from server.live.outcomes import FailingRequests, SharedValue
from server.live.service import ServicePart
from server.slo.model.status import BurnWindow, Slowness
from tests.alerts import making
from tests.dashboard.test_headline import objective, rows_of, service
from tests.notify.making import an_alert

ONSET = 10_000.0


def summary(volume: int, bad: int = 0, p95_ms: float | None = 38.0) -> SummaryRow:
    return SummaryRow("", volume, bad, bad / volume if volume else None, volume / 900, 10.0, p95_ms, 90.0)


def past(**given: Any) -> CardHistory:
    usual: dict[str, Any] = {
        "before": summary(4_500, 2),
        "since": summary(400, 160),
        "quarter": summary(4_620, 162),
        "start": ONSET - 900,
        "end": ONSET + 100,
        "values": [(ONSET - 900 + 10 * step, 0.0) for step in range(90)]
        + [(ONSET + 10 * step, 0.4) for step in range(10)],
        "changes": [],
    }
    return CardHistory(**(usual | given))


def change(id: int, at: float, kind: str = "deploy", version: str = "5f2c1a9") -> Change:
    return Change(id, datetime.fromtimestamp(at, UTC), kind, "shop", version, f"{kind} {version}", "ci")


def burning(**given: Any) -> Any:
    _, (row,) = rows_of(
        service("shop", n=312, bad=128, **given),
        objectives=(objective("shop", "burning", onset=ONSET, budget_left=0.31, exhausted_in_s=18_600.0),),
    )
    return row


def test_the_four_figures_are_of_the_last_minute_and_before() -> None:
    made = card(burning(), past(), None, [], None, ONSET + 100)
    assert [(figure.title, figure.value, figure.beneath) for figure in made.figures] == [
        ("Failing", "41 %", ["128 of 312 in the last minute", "3.5 % in 15 min, 162 of 4,620"]),
        ("p95", "40 ms", ["38 ms before"]),
        ("Requests/s", "5.2", ["5 before"]),
        ("Budget left", "31 %", ["gone in 5 h 10 min"]),
    ]
    assert made.figures[3].at == ONSET + 100 + 18_600


def test_the_ranking_names_the_suspect_and_the_nearest_change_only_where_there_is_none() -> None:
    values = {"version": "5f2c1a9", "route": "/pay"}
    brought = SuspectChange(7, "deploy", "5f2c1a9", "", "ci", utc(ONSET - 40), 40.0)
    counts = (FailedOf(128, 300), FailedOf(0, 4_000), FailedOf(0, 12))
    first = SuspectAnswer(values, 0.97, 0.2, False, 1.0, *counts, ["KeyError"], [], brought, None)
    found = SuspectsAnswer("shop", utc(ONSET), "likely", causes=[CauseAnswer(128, [first])])
    nearer = past(changes=[change(8, ONSET - 5, "revision", "14"), change(7, ONSET - 40)])
    made = card(burning(), nearer, None, [], None, ONSET + 100, ranked=found).suspect
    assert made is not None
    assert (made.text, made.near) == ("deploy 5f2c1a9, route /pay", "40 s before onset")
    assert made.change is not None
    assert made.change.id == 7
    assert made.proof == "97 % of the extra failures, 128 of 300 fail, 0 of 4,000 before"
    unknown = replace(first, change=None, values={"client": "ios"})
    made = card(
        burning(), nearer, None, [], None, ONSET + 100, ranked=replace(found, causes=[CauseAnswer(9, [unknown])])
    ).suspect
    assert made is not None
    assert (made.text, made.near, made.change) == ("client ios", "", None)
    few = replace(found, causes=[], certainty="too few to tell")
    made = card(burning(), nearer, None, [], None, ONSET + 100, ranked=few).suspect
    assert made is not None
    assert made.text == "deploy 5f2c1a9"


def test_a_step_that_has_only_begun_is_not_drawn() -> None:
    points = [SeriesPoint(utc(at), 2, 2, 1.0) for at in (9_990, 9_995, 10_000)]
    read = SeriesAnswer("shop", "error_ratio", utc(9_990), utc(10_002), 5, points)
    assert whole_steps(read, 10_002.0) == [(9_990.0, 1.0), (9_995.0, 1.0)]
    assert len(whole_steps(read, 10_005.0)) == 3


@pytest.mark.parametrize(
    ("targets", "said"),
    [(0, "nobody was told: there is no target"), (1, "page not sent yet"), (None, "page not sent yet")],
)
def test_without_a_target_nobody_is_about_to_be_told(targets: int | None, said: str) -> None:
    picture, _ = rows_of(service("shop", n=312, bad=128), objectives=(objective("shop", "burning"),))
    picture.alerts, picture.targets = [an_alert(service="shop", told="page")], targets
    (row,) = service_rows(picture)
    assert row.alert is not None
    assert row.alert.telling.text == said


def test_before_anything_is_read_the_card_says_what_the_picture_knows() -> None:
    made = card(burning(), None, None, [], None, ONSET + 1)
    assert (made.chart, made.suspect) == (None, None)
    assert made.figures[0].beneath == ["128 of 312 in the last minute"]


def test_a_latency_burn_is_told_in_latency_s_words() -> None:
    windows = [BurnWindow(300, 30, 60, 50.0), BurnWindow(3600, 34, 830, 1.7)]
    slow = objective("cart", "burning", kind="latency", threshold_ms=300.0, windows=windows, decided_by=[3600, 300])
    _, (row,) = rows_of(service("cart"), objectives=(slow,))
    figure = failing(row, past())
    assert (figure.title, figure.value) == ("Over 300 ms", "50 %")
    assert figure.beneath == ["30 of 60 in 5 min", "34 of 830 in 1 h"]
    slow.minute = BurnWindow(60, 9, 10, 90.0)
    assert (failing(row, past()).value, failing(row, past()).beneath[0]) == ("90 %", "9 of 10 in the last minute")
    assert failing(row, past()).beneath[1] == "30 of 60 in 5 min", "the hour that decides says nothing of now"


def test_a_latency_burn_names_the_route_and_the_dependency_that_are_slow() -> None:
    slow = objective("cart", "burning", kind="latency", threshold_ms=300.0)
    _, (row,) = rows_of(service("cart"), objectives=(slow,))
    shared = {"route": [SharedValue("/find", 30)], "dependency": [SharedValue("stock", 31), SharedValue("db", 9)]}
    requests = FailingRequests(40, shared, [])
    assert where(row, requests) == "/find · dependency stock · all versions"
    said = making.burning("cart")
    said.slowness = Slowness(900.0, 40.0, "GET /find")
    row.alerts = [an_alert(evidence=said)]
    assert where(row, requests) == "GET /find · dependency stock · all versions"
    assert where(row, FailingRequests(40, {"dependency": [SharedValue("stock", 20)]}, [])).startswith("GET /find · all")


def test_what_is_refused_makes_a_range() -> None:
    figure = failing(burning(accepted_items=312, refused_items=312), None)
    assert (figure.value, figure.beneath) == ("21-71 %", ["128 of 312 in the last minute, 312 refused"])


@pytest.mark.parametrize(
    ("given", "value", "beneath"),
    [
        ({"budget_left": -0.5, "exhausted_in_s": 0.0}, "-50 %", ["overspent"]),
        ({"budget_left": None}, "–", ["not counted yet"]),
        ({"budget_left": -3.0, "judged": False}, "–", ["too little traffic to judge"]),
        ({"budget_left": 0.4}, "40 %", []),
    ],
)
def test_what_is_left_is_never_made_up(given: dict[str, Any], value: str, beneath: list[str]) -> None:
    _, (row,) = rows_of(service("shop", bad=9), objectives=(objective("shop", "burning", **given),))
    figure = left(row, 0.0)
    assert (figure.value, figure.beneath) == (value, beneath)


def test_the_line_says_where_in_at_most_sixty_characters() -> None:
    part = ServicePart("POST /charges", 200, 128)
    assert where(burning(worst_route=part)) == "POST /charges · all versions"
    version = ServicePart("5f2c1a9", 200, 128)
    assert where(burning(worst_route=part, worst_version=version, versions=[version])) == "POST /charges · all versions"
    both = [version, ServicePart("4e81b07", 112, 0)]
    assert where(burning(worst_route=part, worst_version=version, versions=both)) == "POST /charges · version 5f2c1a9"
    long = where(burning(worst_route=ServicePart("GET /" + "x" * 200, 200, 128)))
    assert len(long) == 60
    assert long.endswith("…")


def test_the_suspect_is_what_changed_nearest_before_the_onset() -> None:
    row = burning()
    assert suspect_of(row, [], ONSET) is None
    found = suspect_of(
        row, [change(3, ONSET + 50), change(2, ONSET - 40), change(1, ONSET - 300, version="old")], ONSET
    )
    assert found is not None
    assert (found.text, found.near) == ("deploy 5f2c1a9", "40 s before onset")
    assert suspect_of(row, [change(1, ONSET - 901)], ONSET) is None, "longer ago than it is compared with"
    at_it = suspect_of(row, [change(2, ONSET + 3)], ONSET)
    assert at_it is not None
    assert at_it.near == "at onset", "a version is first seen by its first failure"
    assert suspect_of(row, [change(2, ONSET + 60)], ONSET) is None, "what came later is no cause"
    mixed = [change(2, ONSET - 5, "revision", "14"), change(1, ONSET - 60)]
    for refused in (0, 9):
        found = suspect_of(burning(accepted_items=312, refused_items=refused), mixed, ONSET)
        assert found is not None
        assert found.text == "deploy 5f2c1a9", "a deploy of the service comes before a revision of ours"


def test_a_limit_that_refuses_nothing_is_no_suspect_and_the_card_says_that_it_changed() -> None:
    limit = [change(2, ONSET - 40, "revision", "14")]
    assert suspect_of(burning(), limit, ONSET) is None
    found = suspect_of(burning(accepted_items=312, refused_items=9), limit, ONSET)
    assert found is not None
    assert found.text == "revision 14"
    made = card(burning(), past(changes=[change(4, ONSET - 400, "other", ""), *limit]), None, [], None, ONSET + 100)
    assert (made.suspect, made.changed) == (None, ["revision 14, 40 s before onset", "other, 6 min 40 s before onset"])
    assert card(burning(), past(), None, [], None, ONSET + 100).changed == []


def test_what_outcomes_say_of_versions_outranks_a_deploy_that_was_told() -> None:
    told = [change(2, ONSET - 10, version="v3"), change(1, ONSET - 300, version="v2")]
    runs = [ServicePart("v2", 150, 128), ServicePart("v3", 162, 0)]
    found = suspect_of(burning(versions=runs), told, ONSET)
    assert found is not None
    assert found.text == "deploy v2", "v3 fails no more than what runs beside it"
    assert suspect_of(burning(versions=runs), told[:1], ONSET) is None
    row = burning()
    row.alerts = [an_alert(evidence=making.burning("shop"))]  # version 5f2c1a9
    found = suspect_of(row, told, ONSET)
    assert found is not None
    assert (found.text, found.change) == ("version 5f2c1a9", None)


def test_without_a_change_the_suspect_is_what_the_failures_share() -> None:
    row = burning()
    row.alerts = [an_alert(evidence=making.burning("shop"))]
    found = suspect_of(row, [], ONSET)
    assert found is not None
    assert (found.text, found.near) == ("version 5f2c1a9", "")


def test_the_chart_marks_onset_changes_and_what_is_over() -> None:
    values = [(0.0, 0.0), (10.0, None), (20.0, 0.4), (30.0, 0.4)]
    chart = ratio_chart(values, ChartSpan(0.0, 40.0, 20.0), 0.01, [change(2, 50.0), change(1, 10.0)])
    assert (chart.onset_x, chart.top) == (50.0, "50 %")
    assert chart.line == "M0 130h0M500 26h0L750 26", "a step without traffic is a gap"
    assert chart.over == "M500 26h0L750 26"
    assert [(mark.x, mark.letter) for mark in chart.marks] == [(25.0, "D")]
    assert ratio_chart([(0.0, 1.0)], ChartSpan(0.0, 10.0, 0.0), None, []).top == "100 %", "no more than all"


def test_maintenance_is_shaded_as_long_as_it_lasts() -> None:
    over = replace(change(1, -10.0, "maintenance", ""), finished=utc(10.0))
    running = replace(change(2, 30.0, "maintenance", ""), finished=None)
    chart = ratio_chart([(0.0, 0.0)], ChartSpan(0.0, 40.0, 20.0), 0.01, [running, over, change(3, 5.0)])
    assert [(one.x, one.width) for one in chart.shaded] == [(75.0, 25.0), (0.0, 25.0)]


def test_what_is_slow_has_a_chart_of_its_latency() -> None:
    chart = latency_chart([(0.0, 40.0), (10.0, 900.0)], ChartSpan(0.0, 20.0, 10.0), 300.0, [])
    assert (chart.title, chart.top) == ("p95, ms", "1 s")
    assert chart.over == "M500 13h0"


def test_a_window_that_looks_back_does_not_move_when_it_began() -> None:
    """Once the fast test is over the objective has no onset, and its state may have begun anew."""
    burns = objective("shop", "burning", onset=None, since=ONSET + 40)
    alert = an_alert(service="shop", objective=burns.name, onset=ONSET, detected_at=ONSET + 10)
    picture, _ = rows_of(service("shop"), objectives=(burns,))
    picture.alerts = [alert]
    (row,) = service_rows(picture)
    assert (row.since, asked(row, ONSET + 100)[1]) == (ONSET, int(ONSET))
