"""What incidents come to: spreads by severity and month, the backlog, and those of the past that are alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from server.incidents.incident import PreventiveAction, Share
from server.incidents.measures import (
    QUARTER_S,
    BacklogAction,
    CauseSpent,
    MeasuredIncident,
    backlog,
    by_month,
    of_quarter,
    spread,
)
from server.incidents.similar import PastIncident, similar
from server.kernel.times import utc
from tests.alerts.making import NOW
from tests.dashboard.visitor import look, sign_in
from tests.incidents.test_rules import at as incident_at
from tests.notify.making import Desk, evidence
from tests.site import answer

Start = Callable[..., Any]
DAY_S = 86_400.0


def one(number: int, ago_s: float = 0, severity: int = 2, recover_s: float | None = 600) -> MeasuredIncident:
    onset = NOW - ago_s
    over = None if recover_s is None else onset + recover_s
    return MeasuredIncident(number, severity, onset, "change point", onset + 5, onset + 60, None, over, over)


@given(st.lists(st.floats(0, 1e6) | st.none()))
def test_a_spread_is_of_what_is_known(values: list[float | None]) -> None:
    known = sorted(value for value in values if value is not None)
    found = spread(values)
    assert found.n == len(known)
    if known:
        assert found.median_s is not None
        assert found.first_quartile_s is not None
        assert found.third_quartile_s is not None
        assert known[0] <= found.first_quartile_s <= found.median_s <= found.third_quartile_s <= known[-1]
        assert sum(value <= found.median_s for value in known) * 2 >= len(known)
    else:
        assert (found.median_s, found.first_quartile_s, found.third_quartile_s) == (None, None, None)


def test_a_row_a_month_and_severity() -> None:
    every = [one(1), one(2, recover_s=1200), one(3, severity=1, recover_s=None), one(4, ago_s=QUARTER_S + DAY_S)]
    rows = by_month(every)
    assert [(row.severity, row.incidents) for row in rows] == [(1, 1), (2, 2), (2, 1)]
    assert rows[0].month == rows[1].month > rows[2].month
    recover = rows[1].time_to_recover
    assert (recover.n, recover.median_s, recover.first_quartile_s, recover.third_quartile_s) == (2, 900, 750, 1050)
    assert (rows[0].time_to_recover.n, rows[0].time_to_detect.median_s) == (0, 5)
    assert [(row.month, row.severity, row.incidents) for row in of_quarter(every, NOW)] == [("", 1, 1), ("", 2, 2)]
    window = replace(one(5), onset_method="window")
    assert by_month([window])[0].time_to_detect.n == 0, "a window is no estimate of the onset"


def test_the_backlog_is_ranked() -> None:
    def action(number: int, due_s: float, cause: Any, priority: int = 1, done: float | None = None) -> BacklogAction:
        made = PreventiveAction(number, 1, "t", "jon", priority, NOW + due_s, NOW, "mira", done_at=done)
        return BacklogAction(made, "checkout failing", "checkout", 2, cause)

    causes = [CauseSpent("config", 1, 2.0), CauseSpent("deploy", 3, 0.5)]
    late = action(1, -DAY_S, "unknown", 3)
    every = [
        action(6, 0, "config", done=NOW - 1),
        action(5, DAY_S, "data", 0),
        action(4, DAY_S, "deploy", 1),
        action(3, 2 * DAY_S, "config", 1),
        action(2, DAY_S, "config", 1),
        late,
    ]
    assert [one.action.id for one in backlog(every, causes, NOW)] == [1, 2, 3, 4, 5, 6]


def test_what_is_alike() -> None:
    incident = incident_at("investigating", cause_class="deploy")
    seen = replace(incident.captured, routes=[Share("/pay", 3, 10), Share("/", 0, 10)])
    incident = replace(incident, captured=seen)

    def past(number: int, service: str, cause: Any, *routes: str) -> PastIncident:
        return PastIncident(number, "t", service, 2, NOW - number, NOW, cause, "", "", list(routes))

    every = [
        past(11, "checkout", "deploy", "/pay"),
        past(12, "checkout", "data"),
        past(13, "search", "unknown", "/"),
        past(14, "search", "deploy"),
        past(15, "search", "data", "/pay"),
        past(16, "search", "unknown"),
    ]
    found = similar(incident, every)
    assert [(one.past.id, one.shares) for one in found] == [
        (11, ["service", "route", "cause class"]), (12, ["service"]), (14, ["cause class"]),
    ]  # fmt: skip
    assert similar(replace(incident, cause_class="unknown", service=""), [past(11, "", "unknown")]) == []


@pytest.mark.gen_test
async def test_what_incidents_came_to_in_the_api_the_pages_and_the_metrics(web: Start, database_url: str) -> None:
    site = await web()
    key = await site.key("read", "act")
    desk = Desk(database_url)
    due = utc(time.time() + DAY_S).isoformat()

    async def get(path: str) -> Any:
        return answer(await site.fetch(f"/api/v1{path}", key=key))

    async def post(path: str, data: Any) -> Any:
        found = await site.fetch(f"/api/v1/incidents{path}", method="POST", key=key, data=data)
        assert found.code in (200, 201), found.body
        return answer(found)

    async def over(title: str, cause: str) -> int:
        number = int((await post("", {"title": title, "service": "checkout"}))["incident"]["id"])
        for act in (
            {"act": "note", "text": "restarted <b>it</b>"},
            {"act": "resolve", "reason": "seen"},
            {"act": "report", "root_cause": f"<i>{title}</i>", "cause_class": cause},
            {"act": "action", "title": f"mend {title}", "owner": "jon", "priority": 1, "due_at": due},
        ):
            await post(f"/{number}/acts", act)
        return number

    cheap, dear = await over("cheap", "data"), await over("dear", "deploy")
    alert = desk.alert(evidence=evidence(spent=0.4), state="resolved")
    desk.do("INSERT INTO incident_alerts (alert_id, outage, incident_id) VALUES (%s, 1, %s)", alert.id, dear)
    declined = int((await post("", {"title": "nothing"}))["incident"]["id"])
    desk.do("UPDATE incidents SET declined = 'none', state = 'closed' WHERE id = %s", declined)
    desk.do("UPDATE incidents SET onset = onset - interval '40 s' WHERE id = %s", dear)
    desk.do("UPDATE incidents SET over_at = onset + interval '1 s' WHERE id = %s", dear)  # noted afterwards

    (row,) = (await get("/incidents/measures"))["quarter"]
    assert (row["severity"], row["incidents"], row["time_to_acknowledge"]["n"]) == (2, 2, 1), (
        "of the other nobody has told an onset"
    )
    assert 35 < row["time_to_acknowledge"]["median_s"] < 60
    assert (await get("/incidents/measures?service=other"))["months"] == []
    found = await get("/actions")
    assert [(one["incident_id"], one["overdue"]) for one in found["actions"]] == [(dear, False), (cheap, False)]
    assert [(one["cause_class"], one["spent"]) for one in found["causes"]] == [("deploy", 0.4), ("data", 0.0)]
    desk.do("UPDATE preventive_actions SET due_at = now() - interval '1 day' WHERE incident_id = %s", cheap)
    assert [one["overdue"] for one in (await get("/actions"))["actions"]] == [True, False]

    new = int((await post("", {"title": "again", "service": "checkout"}))["incident"]["id"])
    alike = (await get(f"/incidents/{new}"))["similar"]
    assert [(one["id"], one["shares"], one["ended_by"]) for one in alike] == [
        (cheap, ["service"], "restarted <b>it</b>"), (dear, ["service"], "restarted <b>it</b>"),
    ]  # fmt: skip

    scraped = (await site.fetch("/metrics", key=key)).body.decode()
    for line in (
        'evenkeel_incidents_open{severity="2"} 1.0',
        'evenkeel_preventive_actions_open{overdue="true",priority="1"} 1.0',
        'evenkeel_incident_time_median_seconds{measure="acknowledge",severity="2"}',
    ):
        assert line in scraped
    cookie = await sign_in(site, "viewer")
    review = (await look(site, "/review", cookie)).body.decode()
    assert review.index("mend cheap") < review.index("mend dear"), "what is overdue comes first"
    room = (await look(site, f"/incidents/{new}", cookie)).body.decode()
    assert "Ended by: restarted &lt;b&gt;it&lt;/b&gt;" in room
    assert "&lt;i&gt;dear&lt;/i&gt;" in room
    desk.close()
