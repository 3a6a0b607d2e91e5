"""The pages of incidents over HTTP: declared, led and resolved by forms; an alert's page leads to its room."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from dashboard.incidents.done import done_acts, receipts_of
from server.alerts import store as alerts_store
from server.incidents.incident import DeployAct
from server.incidents.keeper import Keeper
from server.incidents.suspect_answer import CauseAnswer, FailedOf, SuspectAnswer, SuspectsAnswer
from server.kernel.times import utc
from server.picture.picture import OpenIncident, Picture
from tests.alerts.making import Second, Told, burning
from tests.dashboard.visitor import look, press, room_page, said, show, sign_in
from tests.live.rollups import lead
from tests.site import Site, answer
from tests.slo.making import availability, file, service

Start = Callable[..., Any]
POLICY = service("checkout") + availability("checkout-availability", "checkout")


async def born(web: Start, database_url: str, tmp_path: Path) -> Site:
    """A site with an incident that an alert has made."""
    site = await web(SLO_FILE=file(tmp_path, POLICY))
    lead(database_url, 1)
    now = time.time() - 60
    await Second(site.parts.db, site.parts.policies, Told()).at(now, burning())
    async with site.parts.db.ask() as connection:
        alerts = await alerts_store.listed(connection, "all")
    keeper = Keeper(site.parts.db, site.parts.bus, site.parts.policies)
    (line,) = await keeper.keep(Picture(1, now, 1, "watch", [], [], 1, None, alerts=alerts))
    assert (line.title, line.commander) == ("checkout failing", "")
    return site


@pytest.mark.gen_test
async def test_an_incident_is_led_by_forms_alone(web: Start, database_url: str, tmp_path: Path) -> None:
    site = await born(web, database_url, tmp_path)
    cookie = await sign_in(site)

    async def act(name: str, **fields: Any) -> str:
        answer = await press(site, "/incidents/1/act", cookie, act=name, **fields)
        assert (answer.code, answer.headers["Location"]) == (303, "/incidents/1")
        return said(answer, site)

    async def page() -> str:
        return await room_page(site, 1, cookie)

    assert "checkout failing: Suspected" in await page()
    assert await act("accept") == "Declared. You command."
    assert "checkout failing: Declared" in await page()
    assert ">Next step</h2>" in await page()
    assert "Confirm the scope" in (await page()).partition("All 12")[0]
    assert (await act("step", step="confirm-scope", to="done")).startswith("Done: Confirm the scope")
    assert "Confirm the start" in (await page()).partition("All 12")[0]
    assert "say why" in await act("step", step="key-paths", to="overridden")
    assert "Take it" not in await page(), "of no use to one alone"
    assert (await act("step", step="capture-start", to="given", owner="jon")).startswith("jon is asked")
    assert (await page()).count("Take it</button>") == 3, "deputy, communications, scribe"
    assert await act("take_role", role="scribe") == "You are scribe."
    assert (await page()).count("Take it</button>") == 2
    assert await act("move", to="mitigating") == "Mitigating."
    assert await act("note", text="<b>rolled</b>\nback", key="k1") == "Noted."
    assert (await act("note", text="<b>rolled</b>\nback", key="k1")).startswith("Already done")
    assert (await page()).count("&lt;b&gt;rolled&lt;/b&gt;\nback") == 1
    assert await act("onset", at="2026-01-02T03:04", reason="the first complaint")
    assert "corrected to" in await page()
    assert "at: give a date and a time" in await act("onset", at="3 o'clock", reason="x")
    assert await act("severity", severity="3") == (
        "reason: say why, for whoever reads this at 3 a.m. Nothing was done."
    )
    assert "cannot be resolved yet" in await act("resolve")
    assert await act("resolve", reason="seen by hand") == "Resolved."
    assert "needs its root cause" in await act("close")
    assert await act("report", root_cause="a bad query", cause_class="deploy", went_well="") == "Saved."
    assert (await act("action", title="test it", owner="jon", priority="0", due_at="2026-12-24")).startswith("P0 for")
    assert await act("close") == "Closed."
    closed = await page()
    assert "checkout failing: Closed" in closed
    assert "<h2>Steps</h2>" in closed
    assert 'name="act" value="step"' not in closed, "it is over"


@pytest.mark.gen_test
async def test_the_strip_offers_command_until_somebody_has_it(web: Start) -> None:
    site = await web()
    open_ = OpenIncident(7, 1, "checkout <failing>", "checkout", "suspected", time.time() - 70, "")
    said_of = {
        '>Accept<span class="strip-more"> and take command<': open_,
        ">Take command": replace(open_, state="declared"),
        "Commander: mira": replace(open_, state="declared", commander="mira"),
    }
    cookie = await sign_in(site)
    for seq, (words, one) in enumerate(said_of.items(), 1):
        await show(site, seq, incidents=[one])
        strip = (await look(site, "/", cookie)).body.decode().partition('class="notice strip')[2].partition("</div>")[0]
        assert words in strip
        assert ("<button" in strip) == (not one.commander)
        assert "checkout &lt;failing&gt;" in strip
    viewer = (await look(site, "/", await sign_in(site, "viewer"))).body.decode()
    assert "/incidents/7/act" not in viewer


@pytest.mark.gen_test
async def test_an_alert_leads_to_its_room(web: Start, database_url: str, tmp_path: Path) -> None:
    site = await born(web, database_url, tmp_path)
    cookie = await sign_in(site, "viewer")
    there = await look(site, "/alerts/1", cookie)
    assert (there.code, there.headers["Location"]) == (302, "/incidents/1")
    assert "Firing" in (await look(site, "/alerts/1?alone=1", cookie)).body.decode()
    room = await room_page(site, 1, cookie)
    assert "4.1\u00a0% of requests fail" in room
    assert 'name="act"' not in room, "a viewer may not act"
    assert (await press(site, "/incidents/1/act", cookie, act="accept")).code == 403
    assert (await look(site, "/incidents/77", cookie)).code == 404


@pytest.mark.gen_test
async def test_one_is_declared_in_two_fields(web: Start, tmp_path: Path) -> None:
    site = await web()
    cookie = await sign_in(site, "responder")
    answer = await press(site, "/incidents/declare", cookie, title="nobody can pay", service="", severity="1")
    assert (answer.code, answer.headers["Location"]) == (303, "/incidents/1")
    listed = (await look(site, "/incidents", cookie)).body.decode()
    assert "nobody can pay" in listed
    assert "Commander: responder-" in listed


@pytest.mark.gen_test
async def test_many_alerts_are_counted_by_service_and_the_open_ones_decide(
    web: Start, database_url: str, tmp_path: Path
) -> None:
    site = await born(web, database_url, tmp_path)
    cookie = await sign_in(site)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """
            INSERT INTO alerts (objective, service, state, urgency, tier, severity, onset, onset_method, detected_at,
                fired_at, fired_times, evidence, resolved_at)
            SELECT 'objective-' || n, 'search', CASE WHEN n <= 2 THEN 'firing' ELSE 'resolved' END, 'page', 'fast', 3,
                a.onset, 'window', a.detected_at, a.fired_at, 1, a.evidence,
                CASE WHEN n > 2 THEN now() - n * interval '1 s' END
            FROM generate_series(1, 300) AS n, alerts a WHERE a.id = 1
            """
        )
        connection.execute(
            "INSERT INTO incident_alerts (alert_id, outage, incident_id) SELECT id, 1, 1 FROM alerts WHERE id > 1"
        )
    shown = await room_page(site, 1, cookie)
    assert shown.count('data-key="alert-') == 20
    assert "281 more, 0 of them open" in shown
    assert "search: 0 open of 281" in shown
    key = await site.key("read")
    detail = answer(await site.fetch("/api/v1/incidents/1", key=key))
    assert [one["state"] for one in detail["alerts"]].count("firing") == 3
    assert len(detail["alerts"]) == 203
    assert max(one["id"] for one in detail["alerts"] if one["state"] == "resolved") < 300, "the last that ended"


def test_the_receipts_of_what_undid_a_suspect_stand_beside_it() -> None:
    deploy = DeployAct(1, 1, "roll_back", "shop", "v1", "v2", "done", "mira", 100.0)
    undone = [replace(deploy, id=id, state=state) for id, state in ((3, "failed"), (4, "by_hand"), (5, "waiting"))]
    acts = done_acts([], [deploy, replace(deploy, id=2, act="pause"), *undone], None, [])
    nothing = FailedOf(0, 1)
    version, route = (
        SuspectAnswer(values, 1.0, 0.5, False, 1.0, nothing, nothing, nothing, [], [], None, None)
        for values in ({"version": "v2"}, {"route": "/pay"})
    )
    found = SuspectsAnswer("shop", utc(0), "likely", causes=[CauseAnswer(9, [route, version])])
    assert {place: one.key for place, one in receipts_of(found, acts).items()} == {"1-2": "deploy-1"}
    assert receipts_of(None, acts) == {}
