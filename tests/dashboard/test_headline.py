"""The first sentence: what is broken, how badly, for whom; and never "OK" of what is not known."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.now.headline import describe, headline, named_share
from dashboard.now.page import others
from dashboard.now.rows import LiveRow, service_rows
from dashboard.shared.standing import state_of, worst
from server.live.service import LiveService, ServicePart
from server.picture.picture import Picture
from server.slo.model.status import BurnWindow, ObjectiveStatus, State, Status, VersionVerdict
from tests.notify.making import an_alert


def service(name: str, **given: Any) -> LiveService:
    usual: dict[str, Any] = {
        "n": 312,
        "bad": 0,
        "n_5m": 1560,
        "bad_5m": 0,
        "p50_ms": 10.0,
        "p95_ms": 40.0,
        "p99_ms": 90.0,
        "points": [],
        "routes": [],
        "versions": [],
        "worst_route": None,
        "worst_version": None,
        "last_seen": 1000,
        "usual_per_second": 5.2,
        "silent_s": None,
    }
    return LiveService(name=name, **(usual | given))


def objective(of: str, state: State, **given: Any) -> ObjectiveStatus:
    usual: dict[str, Any] = {
        "kind": "availability",
        "target": 0.999,
        "threshold_ms": None,
        "window_days": 28,
        "good": 1,
        "bad": 0,
        "excluded": 0,
        "budget_left": 0.9,
        "budget_worst": None,
        "budget_best": None,
        "burn_5m": 0.0,
        "burn_1h": 0.0,
        "exhausted_in_s": None,
        "since": None,
    }
    return ObjectiveStatus(name=f"{of}-{usual['kind']}", service=of, state=state, **(usual | given))


def rows_of(*services: LiveService, objectives: tuple[ObjectiveStatus, ...] = ()) -> tuple[Picture, list[LiveRow]]:
    states: dict[str, State] = {each.name: "no_objective" for each in services}
    states |= {each.service: each.state for each in objectives}
    status = Status(1, 1000.0, list(objectives), states)
    picture = Picture(1, 1000.0, 1, "w", list(services), [], 1, None, status)
    return picture, service_rows(picture)


def test_the_sentence_of_the_design() -> None:
    failing = service(
        "checkout",
        bad=13,
        worst_route=ServicePart("POST /checkout", 200, 13),
        worst_version=ServicePart("5f2c1a9", 300, 13),
    )
    burning = objective("checkout", "burning", budget_left=0.31, exhausted_in_s=18600.0)
    picture, rows = rows_of(failing, objectives=(burning,))
    head = headline(picture, rows)
    assert (head.look and head.look.state, head.text, head.details) == ("burning", "Burning: checkout", [])
    assert describe(rows[0]) == (
        "4.2 % of 312 requests/min fail, all POST /checkout, version 5f2c1a9. Budget left 31 %, gone in 5 h 10 min."
    )


def test_where_most_fails_is_told_of_few_in_counts() -> None:
    def described(bad: int, there: int) -> str:
        _, (row,) = rows_of(service("checkout", n=2_000, bad=bad, worst_route=ServicePart("POST /pay", 2_000, there)))
        return describe(row)

    assert "POST /pay" not in described(2, 1), "half of two is not most"
    assert "requests/min fail, 12 of 13 POST /pay." in described(13, 12)
    assert "requests/min fail, 92 % of them POST /pay." in described(1_200, 1_100)
    assert "requests/min fail, all POST /pay." in described(2, 2)


def test_a_slow_service_is_not_told_as_failing() -> None:
    windows = [BurnWindow(300, 0, 60, 0.0), BurnWindow(1800, 9, 400, 2.2), BurnWindow(3600, 14, 830, 1.7)]
    slow = {"kind": "latency", "target": 0.99, "threshold_ms": 300.0, "budget_left": -0.1}
    burning = objective("cart", "burning", windows=windows, decided_by=[3600, 300], **slow)
    _, (row,) = rows_of(service("cart"), objectives=(burning,))
    assert describe(row) == (
        "14 of 830 requests in the last hour over 300 ms, none of 60 in the last 5 min;"
        " the objective is 99 % under it. Budget left -10 %, overspent."
    )
    spent = objective("cart", "at_risk", good=9_000, bad=300, **slow)
    _, (row,) = rows_of(service("cart"), objectives=(spent,))
    assert describe(row).startswith("300 of 9,300 requests in the last 28 d over 300 ms;")


def test_what_no_longer_fails_and_still_burns_is_told() -> None:
    windows = [BurnWindow(300, 5, 600, 32.0), BurnWindow(3600, 140, 830, 186.2)]
    burning = objective("checkout", "burning", windows=windows, decided_by=[3600, 300], budget_left=0.5)
    _, (row,) = rows_of(service("checkout", last_bad=760, clean_s=240, n_since_bad=1120), objectives=(burning,))
    assert describe(row) == (
        "None of the last 1,120 requests failed; last failure 4 min ago."
        " The 1 h burn rate is still 186x, that of 5 min 32x. Budget left 50 %."
    )


def test_a_refusal_is_told_beside_a_burn() -> None:
    limited = service("checkout", bad=13, accepted_items=590, refused_items=410, refused_by="THROTTLED")
    burning = objective("checkout", "burning", budget_left=-3.0, budget_worst=-20.0, budget_best=-0.4)
    picture, rows = rows_of(limited, objectives=(burning,))
    assert headline(picture, rows).text == "Burning: checkout"
    assert describe(rows[0]) == "1.8-59 % of 722 requests/min fail. Budget left -2,000 to -40 %, overspent."
    assert (rows[0].ratio, rows[0].rate, rows[0].refused) == ("1.8-59 %", "5.2-12", "41 %")
    _, (row,) = rows_of(service("checkout"), objectives=(objective("checkout", "ok"),))
    assert (row.ratio, row.counted, row.rate, row.refused) == ("0 %", "0 of 312", "5.2", "")


def test_a_budget_of_too_little_traffic_is_not_judged() -> None:
    burning = objective("checkout", "burning", budget_left=-300.0, judged=False)
    _, (row,) = rows_of(service("checkout", bad=6), objectives=(burning,))
    assert describe(row).endswith("fail. Too little traffic to judge the budget.")
    well = objective("checkout", "burning", kind="latency", threshold_ms=300.0, budget_left=0.5)
    _, (row,) = rows_of(service("checkout", bad=6), objectives=(burning, well))
    assert row.tightest is well


def test_who_is_silent_and_held_to_nothing_comes_after_who_is_in_trouble() -> None:
    picture, rows = rows_of(service("site", silent_s=80), service("a"), objectives=(objective("a", "at_risk"),))
    assert picture.slo is not None
    picture.slo.services["site"] = "blind"
    rows = service_rows(picture)
    head = headline(picture, rows)
    assert [row.name for row in rows] == ["a", "site"]
    assert head.text == "At risk: a"
    look = worst(picture)
    assert look is not None
    assert look.state == "at_risk"


def test_a_service_that_is_refused_is_never_called_silent() -> None:
    assert state_of(service("shop", n=0, silent_s=43, refused_items=5), None) == "partial"


def test_what_is_slow_and_since_when_comes_from_the_objectives_that_are_hit() -> None:
    slow = objective("cart", "burning", kind="latency", threshold_ms=300.0, since=900.0)
    well = objective("cart", "ok", since=1.0)
    _, (row,) = rows_of(service("cart"), objectives=(well, slow))
    assert (row.slow, row.since) == (True, 900.0)
    _, (row,) = rows_of(service("cart"), objectives=(objective("cart", "burning", since=800.0), slow))
    assert (row.slow, row.since) == (False, 800.0)


def test_silence_is_blind_with_a_range() -> None:
    held = objective("checkout", "blind", budget_left=0.2, budget_worst=0.12, budget_best=0.31)
    _, (row,) = rows_of(service("checkout", n=0, silent_s=42), objectives=(held,))
    assert describe(row) == "Silent for 42 s (usually 5.2/s). Budget 12-31 %."
    _, (row,) = rows_of(service("checkout", lost_items=491), objectives=(held,))
    lost = "Its platform lost 491 log lines in the last minute: failures may be among them. Budget 12-31 %."
    assert describe(row) == lost
    assert state_of(row.service, None) == "blind"


def test_refused_items_make_ranges() -> None:
    limited = service("checkout", accepted_items=590, refused_items=410, refused_by="THROTTLED", refused_key="ci")
    _, (row,) = rows_of(limited, objectives=(objective("checkout", "partial"),))
    assert (
        describe(row)
        == "41 % of checkout's items are refused by a limit (THROTTLED), most from ci. Its ratios are ranges."
    )


def test_the_worst_state_leads() -> None:
    picture, rows = rows_of(
        service("a"),
        service("b", bad=1),
        objectives=(objective("a", "at_risk"), objective("b", "burning")),
    )
    assert headline(picture, rows).text == "Burning: b"
    assert [(row.name, row.look.word) for row in rows] == [("b", "Burning"), ("a", "At risk")]


def test_at_equal_state_a_service_of_others_comes_before_our_own() -> None:
    burning = tuple(objective(name, "burning") for name in ("evenkeel", "shop"))
    _, rows = rows_of(service("evenkeel", n=500, bad=400), service("shop", n=500, bad=40), objectives=burning)
    assert [row.name for row in rows] == ["shop", "evenkeel"]


def test_many_in_trouble_are_counted() -> None:
    names = "abcdefg"
    picture, rows = rows_of(*(service(n) for n in names), objectives=tuple(objective(n, "burning") for n in names))
    assert headline(picture, rows).text == "Burning: a, b, c and 4 more"


@pytest.mark.parametrize(
    ("states", "text"),
    [
        ((), "Waiting for the first outcome"),
        (("ok",), "1 objective OK"),
        (("ok", "ok"), "All 2 objectives OK"),
        (("no_traffic",), "No traffic"),
        (("ok", "no_traffic"), "1 objective OK"),
    ],
)
def test_ok_is_said_only_of_what_is_known(states: tuple[State, ...], text: str) -> None:
    names = "abc"[: len(states)]
    picture, rows = rows_of(
        *(service(name) for name in names),
        objectives=tuple(objective(name, state) for name, state in zip(names, states, strict=True)),
    )
    assert headline(picture, rows).text == text


def test_nothing_is_called_ok_before_the_first_outcome_of_somebody_else() -> None:
    picture, rows = rows_of(service("evenkeel"), objectives=(objective("evenkeel", "ok"),))
    assert headline(picture, rows).text == "Waiting for the first outcome"


def test_without_a_picture_nothing_is_claimed() -> None:
    assert headline(None, []).look is None


def test_a_service_without_an_objective_is_never_among_the_ok() -> None:
    _, rows = rows_of(
        service("a"), service("b"), service("c"), objectives=(objective("a", "ok"), objective("b", "burning"))
    )
    assert others(rows) == "1 other OK, 1 without an objective"


def test_our_own_service_is_last_unless_it_is_not_ok() -> None:
    _, calm = rows_of(service("evenkeel", n=9000), service("a", n=1), objectives=(objective("evenkeel", "ok"),))
    assert [row.name for row in calm] == ["a", "evenkeel"]
    _, burning = rows_of(service("evenkeel"), service("a"), objectives=(objective("evenkeel", "burning"),))
    assert [row.name for row in burning] == ["evenkeel", "a"]


def test_a_part_with_less_than_half_of_the_bad_is_not_blamed() -> None:
    assert named_share(ServicePart("GET /", 10, 4), 10) == ""
    assert named_share(ServicePart("GET /", 10, 9), 10) == "9 of 10 GET /"
    assert named_share(ServicePart("", 10, 10), 10, "version ") == ""


def test_the_alert_that_pages_is_the_one_shown_and_the_cause_comes_before_its_symptom() -> None:
    picture, _ = rows_of(
        service("checkout", bad=200),
        service("payments", bad=100),
        objectives=(objective("checkout", "burning"), objective("payments", "burning")),
    )
    picture.alerts = [
        an_alert(id=1, service="payments", objective="a", urgency="ticket", severity=1),
        an_alert(id=2, service="payments", objective="b"),
        an_alert(id=3, suppressed_by=2),
    ]
    rows = service_rows(picture)
    assert [(row.name, row.alert and row.alert.id, row.cause) for row in rows] == [
        ("payments", 2, ""),
        ("checkout", 3, "payments"),
    ]
    assert headline(picture, rows).text == "Burning: payments, checkout"


def test_a_service_at_risk_by_its_version_speaks_of_the_version() -> None:
    verdict = VersionVerdict("checkout", "v2", 1.0, "v1", False, True, "worse", 12, 458, 1, 1_830, 47.9, 4e-8)
    held = objective("checkout", "at_risk", budget_left=0.8)
    picture, _ = rows_of(service("checkout", bad=3), objectives=(held,))
    assert picture.slo is not None
    picture.slo.versions["checkout"] = verdict
    rows = service_rows(picture)
    head = headline(picture, rows)
    assert (head.text, [one.text for one in head.details]) == (
        "At risk: checkout",
        ["checkout: 12 of 458 fail since v2, 1 of 1,830 before."],
    )
    assert describe(rows[0]) == (
        "12 of 458 fail since v2, 1 of 1,830 before, on the same routes. 0.96 % of 312 requests/min fail."
    )
    held.budget_left = 0.1
    assert describe(rows[0]).endswith("Budget left 10 %.")
