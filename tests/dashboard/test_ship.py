"""Ship? and the gate on pages, without JavaScript: what is said, overriding, and a denied setting."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from server.review import store as review
from server.slo.model.status import ObjectiveStatus, Status, VersionVerdict
from tests.dashboard.config_page import text_of
from tests.dashboard.visitor import look, press, said, service, show, sign_in
from tests.gate.making import alert, objective
from tests.site import Site

Web = Callable[..., Awaitable[Site]]
HOSTILE = '<script>alert("1")</script>&'
OWN = "evenkeel-availability"
EDIT = {"setting": "INGEST_MAX_ITEMS_PER_SECOND", "expected": "1", "value": "2000", "scope": "all", "minutes": "30"}


async def publish(site: Site, seq: int, *objectives: ObjectiveStatus, **more: Any) -> None:
    states = {one.service: one.state for one in objectives}
    services = [service(name) for name in states]
    await show(site, seq, *services, slo=Status(1, time.time(), list(objectives), states), **more)


def own(left: float) -> ObjectiveStatus:
    return objective(left, OWN, service="evenkeel", target=0.999)


async def rows(site: Site, statement: str) -> list[Any]:
    async with site.parts.db.act() as connection:
        return [tuple(row) for row in await connection.exec_driver_sql(statement)]


async def shipped(site: Site, cookie: str, name: str = "checkout") -> str:
    """What the panel says."""
    page = (await look(site, f"/services/{name}", cookie)).body
    start = page.index(b"<h2>Ship?</h2>")
    return text_of(page[start : page.index(b'id="service-objectives"')])


@pytest.mark.gen_test
async def test_it_names_a_version_that_fails_more_than_the_one_before(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site, "viewer")
    worse = VersionVerdict(
        service="checkout",
        version=HOSTILE,
        first_seen=time.time() - 600,
        other="4e81b07",
        beside=False,
        serves=True,
        finding="worse",
        bad=12,
        n=458,
        other_bad=1,
        other_n=1830,
        ratio=47.9,
        p=4e-8,
    )
    one = objective(0.62)
    status = Status(1, time.time(), [one], {"checkout": "at_risk"}, versions={"checkout": worse})
    await show(site, 1, service("checkout"), slo=status)
    page = await shipped(site, cookie)
    assert f"▲ Version {HOSTILE} fails 48 times as often as 4e81b07" in page
    assert f"12 of 458 fail since {HOSTILE}, 1 of 1,830 before, on the same routes." in page
    gone = msgspec.structs.replace(worse, serves=False)
    await show(site, 2, service("checkout"), slo=msgspec.structs.replace(status, versions={"checkout": gone}))
    assert "times as often" not in await shipped(site, cookie)


@pytest.mark.gen_test
async def test_it_says_whether_to_ship_what_the_worst_cost_and_what_returns(web: Web) -> None:
    """Of evenkeel's own objective, whose ledger is there: 1000 failures are the whole budget."""
    site = await web()
    cookie = await sign_in(site, "viewer")
    (ledger,) = [one.id for one in site.parts.policies.objectives if one.name == OWN]
    hour = 3600 * (int(time.time()) // 3600)
    leaves = hour - 28 * 86_400 + 2 * 86_400
    async with site.parts.db.act() as connection:
        await connection.exec_driver_sql(
            f"INSERT INTO ledger_hours VALUES ({ledger}, to_timestamp({leaves}), 0, 410, 0)"
        )
        await connection.exec_driver_sql(
            f"INSERT INTO ledger_minutes VALUES ({ledger}, to_timestamp({hour - 86_400 + 60}), 0, 180, 0)"
        )
        await connection.exec_driver_sql(
            "INSERT INTO changes (at, kind, service, version, summary, author)"
            f" VALUES (to_timestamp({hour - 86_400}), 'deploy', 'evenkeel', '5f2c1a9', '', 'ci')"
        )
        await connection.exec_driver_sql(
            "INSERT INTO alerts (objective, service, state, urgency, tier, severity, onset, onset_method, detected_at,"
            f" evidence) VALUES ('{OWN}', 'evenkeel', 'resolved', 'page', 'fast', 2, now(), 'run', now(),"
            " '{\"spent\": 0.41}')"
        )
    one = own(0.21)
    one.good, one.bad = 999_210, 790
    await publish(site, 1, one)
    told = await shipped(site, cookie, "evenkeel")
    back = time.strftime("%a %H:%M", time.gmtime(leaves + 28 * 86_400 + 3600))
    assert told.startswith(
        "Ship? Allowed, with caution. 21 % left. Repeating your worst deploy in 90 days would cost 18 %. "
        f"41 % returns {back} UTC ."
    ), told
    assert f"{OWN} decides. Worst deploy: 5f2c1a9 , " in told
    assert f"Alert 1 used 41 % of the budget of {OWN}, " in told
    assert "hold a postmortem with a P0 action." in told
    assert "Override" not in told


@pytest.mark.gen_test
async def test_who_decides_is_told_only_of_a_budget_that_does(web: Web) -> None:
    site = await web()
    viewer = await sign_in(site, "viewer")
    await publish(site, 1, objective(0.12, provisional=True))
    assert "checkout-works decides; nobody configured it, so it cautions at most." in await shipped(site, viewer)
    await publish(site, 2, objective(0.12, provisional=True), alerts=[alert()])
    told = await shipped(site, viewer)
    assert told.startswith("Ship? Denied.")
    assert "checkout-works has the budget that stands worst." in told


@pytest.mark.gen_test
async def test_a_deny_is_overridden_and_revoked_from_the_page_by_who_may_act(web: Web) -> None:
    site = await web()
    viewer, mira = await sign_in(site, "viewer"), await sign_in(site, "responder")
    await publish(site, 1, objective(-0.12))
    told = await shipped(site, viewer)
    assert told.startswith("Ship? Denied. -12 % left. -12 % of the budget of checkout-works is left, and it is frozen")
    assert "To override takes the role responder, commander or admin." in told
    fields = {"service": "checkout", "kind": "deploy", "minutes": "60", "reason": HOSTILE}
    assert (await press(site, "/gate/override", viewer, **fields)).code == 403
    assert (await press(site, "/gate/override", mira, **fields | {"reason": ""})).code == 422
    done = await press(site, "/gate/override", mira, **fields)
    assert (done.code, done.headers["Location"]) == (303, "/services/checkout")
    assert said(done, site) == "Gate lifted for deploys, for 1 h."
    told = await shipped(site, mira)
    assert told.startswith("Ship? Allowed, with caution. -12 % left.")
    assert f"“{HOSTILE}”" in told
    assert HOSTILE.encode() not in (await look(site, "/services/checkout", mira)).body
    assert said(await press(site, "/gate/override", mira, **fields), site).startswith(
        "Already overridden by responder-"
    )
    assert HOSTILE in text_of((await look(site, "/changes", mira)).body)
    gone = await press(site, "/gate/revoke", mira, id="1", next="//evil.example")
    assert (gone.headers["Location"], said(gone, site)) == (
        "/services/checkout",
        "The gate holds deploys of checkout again.",
    )
    async with site.parts.db.ask() as connection:
        counted = await review.changes(connection, "checkout", time.time() - 60, time.time() + 60)
    assert counted == {"override": 1}, "a report counts no override where one was ended"
    assert (await shipped(site, viewer)).startswith("Ship? Denied.")
    assert (await press(site, "/gate/revoke", mira, id="9")).code == 404
    for wrong in ({"kind": "any"}, {"minutes": "1441"}, {"minutes": "x"}):
        assert (await press(site, "/gate/override", mira, **fields | wrong)).code == 422


@pytest.mark.gen_test
async def test_a_denied_setting_says_why_and_is_saved_with_a_reason_to_override(web: Web) -> None:
    site = await web(INGEST_MAX_ITEMS_PER_SECOND="1000")
    cookie = await sign_in(site, "responder")
    await publish(site, 1, own(-0.12))
    denied = await press(site, "/config/change", cookie, **EDIT, reason="more room")
    assert denied.code == 409
    page = text_of(denied.body)
    assert f"Denied: -12 % of the budget of {OWN} is left, and it is frozen at 0 %" in page
    assert "Override the gate for 15 min: why" in page
    assert b'name="value" type="number"' in denied.body
    assert b'value="2000"' in denied.body
    assert b'value="more room"' in denied.body
    again = await press(site, "/config/change", cookie, **EDIT, reason="more room", override="  ")
    assert again.code == 409
    assert await rows(site, "SELECT count(*) FROM gate_overrides") == [(0,)]
    lower = await press(site, "/config/change", cookie, **EDIT | {"value": "500"}, reason="less", override="unneeded")
    assert said(lower, site) == "Revision 2 is in force."
    assert await rows(site, "SELECT count(*) FROM gate_overrides") == [(0,)], "tightening needs none"
    saved = await press(
        site, "/config/change", cookie, **EDIT | {"expected": "2"}, reason="more", override="senders wait"
    )
    assert (saved.code, said(saved, site)) == (303, "Revision 3 is in force.")
    assert await rows(site, "SELECT service, kind, reason FROM gate_overrides") == [
        ("evenkeel", "revision", "senders wait")
    ]
    assert await rows(site, "SELECT kind FROM changes WHERE kind <> 'environment' ORDER BY id") == [
        ("revision",),
        ("override",),
        ("revision",),
    ]


@pytest.mark.gen_test
async def test_a_denied_extension_offers_the_override_where_it_was_pressed(web: Web) -> None:
    site = await web(INGEST_MAX_ITEMS_PER_SECOND="1000")
    cookie = await sign_in(site, "responder")
    await press(site, "/config/change", cookie, **EDIT, reason="more room")
    (found,) = await rows(site, "SELECT (values->0->>'until')::float8 FROM revisions WHERE number = 2")
    await publish(site, 1, own(-0.12))
    fields = {"setting": EDIT["setting"], "scope": "all", "until": int(found[0]), "next": "/config#limits"}
    denied = await press(site, "/config/extend", cookie, **fields)
    assert denied.code == 409
    assert f"Denied: -12 % of the budget of {OWN} is left" in text_of(denied.body)
    assert "Override and extend" in text_of(denied.body)
    for name, value in fields.items():
        assert f'name="{name}" value="{value}"' in denied.body.decode()
    assert await rows(site, "SELECT max(number) FROM revisions") == [(2,)]
    done = await press(site, "/config/extend", cookie, **fields, override="senders wait")
    assert (done.code, said(done, site)) == (303, "Revision 3 is in force.")
    assert await rows(site, "SELECT reason FROM gate_overrides") == [("senders wait",)]
