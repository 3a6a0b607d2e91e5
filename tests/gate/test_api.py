"""The gate over HTTP: its answers, overrides that race, expire and are revoked, and what is written down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec import structs

from server.gate import asking
from server.gate.asking import revision_denied
from server.slo.model.status import Status
from tests.dashboard.visitor import service, show
from tests.gate.asking import ask, override, publish, rows
from tests.gate.making import alert, objective
from tests.site import Site, answer

Web = Callable[..., Awaitable[Site]]


async def revoke(site: Site, key: str, number: Any) -> Any:
    return await site.fetch(f"/api/v1/gate/overrides/{number}/revoke", method="POST", key=key, body="")


async def do(site: Site, statement: str) -> None:
    async with site.parts.db.act() as connection:
        await connection.exec_driver_sql(statement)


@pytest.mark.gen_test
async def test_a_deny_is_overridden_with_a_reason_and_holds_again_when_that_is_revoked(web: Web) -> None:
    site = await web()
    key = await site.key("read", "act", name="mira")
    await publish(site, 1, objective(-0.12))
    denied = await ask(site, key)
    assert (denied["answer"], denied["state"], denied["budget"]["left"]) == ("deny", "frozen", -0.12)
    assert (await ask(site, key, reason="security"))["answer"] == "allow"
    made = await override(site, key)
    assert made.code == 201
    one = answer(made)["override"]
    allowed = await ask(site, key)
    assert (allowed["answer"], allowed["changes_at"]) == ("allow", one["expires_at"])
    assert "overridden by key:mira until" in allowed["reason"]
    assert (await ask(site, key, kind="flag"))["answer"] == "deny", "of another kind"
    listed = answer(await site.fetch("/api/v1/gate/overrides?service=checkout", key=key))["overrides"]
    assert listed == [one]
    gone = await revoke(site, key, one["id"])
    assert (gone.code, answer(gone)["already"]) == (200, False)
    assert (await ask(site, key))["answer"] == "deny"
    again = answer(await revoke(site, key, one["id"]))
    assert (again["already"], again["message"][:31]) == (True, "Already revoked by key:mira, ju")
    acts = await rows(site, "SELECT actor, action, subject FROM audit WHERE starts_with(action, 'gate.') ORDER BY id")
    assert acts == [("key:mira", "gate.override", "override 1"), ("key:mira", "gate.revoke", "override 1")]
    kinds = await rows(site, "SELECT kind, service, detail->>'reason' FROM changes ORDER BY id")
    assert kinds == [("override", "checkout", "the fix")] * 2


@pytest.mark.gen_test
async def test_many_who_press_at_once_make_one_override_and_a_longer_one_is_another(web: Web) -> None:
    first, second = await web("web.1"), await web("web.2")
    key = await first.key("read", "act", name="mira")
    await publish(first, 1, objective(-0.12))
    await second.parts.auth.keys.fresh.quietly()
    await second.parts.relay.refresh()
    answers = await asyncio.gather(*(override(site, key) for site in (first, second) * 4))
    assert sorted(found.code for found in answers) == [200] * 7 + [201]
    assert {answer(found)["override"]["id"] for found in answers} == {1}
    assert any(answer(found)["message"].startswith("Already overridden by key:mira, ") for found in answers)
    assert (await override(first, key, minutes=60)).code == 201
    assert (await override(first, key, minutes=30)).code == 200
    assert await rows(first, "SELECT count(*) FROM audit WHERE action = 'gate.override'") == [(2,)]


@pytest.mark.gen_test
async def test_an_override_ends_by_itself(web: Web) -> None:
    site = await web()
    key = await site.key("read", "act")
    await publish(site, 1, objective(-0.12))
    await override(site, key)
    assert (await ask(site, key))["answer"] == "allow"
    await do(site, "UPDATE gate_overrides SET expires_at = clock_timestamp()")
    assert (await ask(site, key))["answer"] == "deny"
    over = answer(await revoke(site, key, 1))
    assert (over["already"], over["message"][:20]) == (True, "It ended by itself a")
    assert (await override(site, key)).code == 201, "the old one is no obstacle"


@pytest.mark.gen_test
async def test_what_cannot_be_asked_or_overridden_is_named(web: Web) -> None:
    site = await web()
    reader, actor = await site.key("read"), await site.key("read", "act")
    typo = await site.fetch("/api/v1/gate?service=chekcout&kind=deploy", key=reader)
    assert (typo.code, answer(typo)["code"]) == (404, "NOT_FOUND")
    assert (await override(site, actor, service="chekcout")).code == 404
    for query, field in (
        ("kind=deploy", "service"),
        ("service=a&kind=release", "kind"),
        ("service=a&kind=deploy&x=1", "x"),
    ):
        wrong = await site.fetch(f"/api/v1/gate?{query}", key=reader)
        assert (wrong.code, answer(wrong)["code"]) == (422, "INVALID"), field
        assert answer(wrong)["errors"][0]["field"] == field
    assert (await override(site, reader)).code == 403
    for bad in ({"minutes": 0}, {"minutes": 1441}, {"reason": " "}, {"kind": "any"}, {"reason": "x" * 501}):
        assert (await override(site, actor, service="evenkeel", **bad)).code == 422, bad
    for number in ("7", "x", "99999999999999999999"):
        assert (await revoke(site, actor, number)).code == 404
    assert (await site.fetch("/api/v1/gate?service=evenkeel&kind=deploy")).code == 401
    # A service of which an outcome came but which nothing holds: allowed, and it says why.
    await do(site, "INSERT INTO series (service, version, route, method, status) VALUES ('cart', 'a', '/', 'GET', 200)")
    await publish(site, 1, objective(0.5))
    assert (await ask(site, reader, service="cart"))["reason"] == (
        "Allowed: no objective holds cart, so there is no budget."
    )


@pytest.mark.gen_test
async def test_an_old_picture_is_not_believed(web: Web) -> None:
    site = await web()
    key = await site.key("read")
    assert (await ask(site, key, service="evenkeel"))["answer"] == "unknown"
    await publish(site, 1, objective(0.9))
    assert (await ask(site, key))["answer"] == "allow"
    new = await ask(site, key, service="evenkeel")
    assert (new["answer"], new["rules"][0]["rule"]) == ("unknown", "picture"), "it has objectives, not evaluated yet"
    # Pictures go on coming, and the objectives in them are not evaluated any more.
    await show(site, 2, service("checkout"), slo=Status(1, time.time() - 30, [objective(0.9)], {"checkout": "ok"}))
    stopped = await ask(site, key)
    assert stopped["answer"] == "unknown"
    assert "no watch evaluates them now" in stopped["reason"]
    assert (await ask(site, key, reason="p0"))["answer"] == "allow", "it would go out whatever is left"


@pytest.mark.gen_test
async def test_an_acknowledged_page_lets_out_what_is_said_to_be_needed_for_it_and_revisions(web: Web) -> None:
    site = await web()
    key, mine = await site.key("read"), objective(-0.5, "evenkeel-availability", service="evenkeel")
    status = Status(1, time.time(), [mine], {"evenkeel": "burning"})
    page = alert(objective="evenkeel-availability", service="evenkeel")

    async def revisions() -> str:
        async with site.parts.db.act() as connection:
            return await revision_denied(site.parts, connection, time.time()) or "not denied"

    await show(site, 1, service("evenkeel"), slo=status, alerts=[page])
    assert (await ask(site, key, service="evenkeel", reason="incident"))["answer"] == "deny"
    assert (await revisions()).startswith("Denied: -50 % of the budget")
    taken = structs.replace(page, acknowledged_at=time.time(), acknowledged_by="jon", acknowledged_as="page")
    await show(site, 2, service("evenkeel"), slo=status, alerts=[taken])
    assert (await ask(site, key, service="evenkeel"))["answer"] == "deny", "a pipeline that knows of no incident"
    needed = await ask(site, key, service="evenkeel", reason="incident")
    assert (needed["answer"], needed["rules"][-1]["rule"]) == ("allow", "open_incident")
    assert await revisions() == "not denied"
    await show(site, 3, service("evenkeel"), slo=status, alerts=[structs.replace(taken, urgency="ticket")])
    assert (await ask(site, key, service="evenkeel", reason="incident"))["answer"] == "deny"
    assert (await revisions()).startswith("Denied")


@pytest.mark.gen_test
async def test_a_version_that_was_rolled_back_does_not_go_out_again_and_going_back_always_does(web: Web) -> None:
    site = await web()
    key = await site.key("read", "act", name="ci")

    async def deploy(version: str, **given: str) -> None:
        asked = {"service": "checkout", "kind": "deploy", "version": version} | given
        assert (await site.fetch("/api/v1/changes", method="POST", key=key, data=asked)).code == 201

    await publish(site, 1, objective(-0.5))
    await deploy("v1")
    assert (await ask(site, key, version="v1"))["answer"] == "deny", "the one that runs is no rollback"
    await deploy("v2")
    assert (await ask(site, key, version="v2"))["answer"] == "deny"
    back = await ask(site, key, version="v1")
    assert (back["answer"], [rule["rule"] for rule in back["rules"]]) == ("allow", ["going_back"])
    assert (await ask(site, key, version="v3"))["answer"] == "deny", "it never ran"
    await deploy("v1")  # as a pipeline does that knows of no rollback
    assert (await ask(site, key, version="v2"))["answer"] == "deny", "v2 is not older than v1 for having run before it"
    await publish(site, 2, objective(0.9))
    again = await ask(site, key, version="v2")
    assert (again["answer"], again["rules"][0]["rule"]) == ("deny", "rolled_back_version")
    assert again["reason"].startswith("Denied: version v2 was rolled back by key:ci at ")
    assert (await ask(site, key, version="v2", kind="flag"))["answer"] == "allow", "a flag has no versions"
    assert (await ask(site, key, version="v3"))["answer"] == "allow"
    await override(site, key)
    assert (await ask(site, key, version="v2"))["answer"] == "allow"
    await deploy("v2")  # forward: v1 is not rolled back by it
    await revoke(site, key, 1)
    await publish(site, 3, objective(-0.5))
    assert [rule["rule"] for rule in (await ask(site, key, version="v1"))["rules"]] == ["going_back"]


@pytest.mark.gen_test
@pytest.mark.parametrize("part", ["alerted_at", "evaluated_at"])
async def test_while_the_alerts_are_not_evaluated_it_does_not_know(web: Web, part: str) -> None:
    site = await web()
    key = await site.key("read", name="ci")
    await publish(site, 1, objective(0.9))
    assert (await ask(site, key))["answer"] == "allow"
    picture = site.parts.relay.picture
    assert picture is not None
    setattr(picture, part, picture.at - 60)
    assert (await ask(site, key))["answer"] == "unknown"


@pytest.mark.gen_test
async def test_what_is_kept_is_of_the_objectives_window(web: Web) -> None:
    """Failures and alerts older than the window say nothing; exclusions take failures out."""
    site = await web()
    held = [one for one in site.parts.policies.objectives if one.name == "evenkeel-availability"]
    now = 3600 * (time.time() // 3600)
    for hours, bad in ((28 * 24 + 1, 9), (28 * 24 - 1, 5), (3, 7)):
        await do(
            site, f"INSERT INTO ledger_hours VALUES ({held[0].id}, to_timestamp({now - hours * 3600}), 100, {bad}, 0)"
        )
    minute = now - 3 * 3600 + 60
    await do(site, f"INSERT INTO ledger_left_out VALUES ({held[0].id}, to_timestamp({minute}), 0, 4)")
    for spent, days, state in ((0.3, 3, "resolved"), (0.1, 2, "resolved"), (0.9, 30, "resolved"), (0.5, 0, "firing")):
        await do(
            site,
            "INSERT INTO alerts (objective, service, state, urgency, tier, severity, onset, onset_method, detected_at,"
            f" evidence) VALUES ('evenkeel-availability', 'evenkeel', '{state}', 'page', 'fast', 2, now(), 'run',"
            f" now() - interval '{days} days', '{{\"spent\": {spent}}}')",
        )
    async with site.parts.db.ask() as connection:
        found = await asking.spending(connection, held, time.time())
        assert [hour.bad for hour in found["evenkeel-availability"]] == [5, 3]
        alerts = await asking.spent_by_alerts(connection, site.parts.policies, held, time.time())
        assert [one.spent for one in alerts] == [0.5, 0.3]


@pytest.mark.gen_test
async def test_what_was_acknowledged_after_the_picture_is_not_no_traffic(web: Web) -> None:
    """The objective begins with the series, the evaluation may come before the first row: whoever then asks, having
    been told that it is kept, is not let out unseen."""
    site = await web()
    key = await site.key("ingest", "read")
    await publish(site, 1, objective(None))
    assert (await ask(site, key))["rules"][0]["rule"] == "no_traffic"
    bad = {"service": "checkout", "route": "/", "method": "GET", "status": 500, "duration_ms": 5}
    sent = await site.fetch("/api/v1/outcomes", method="POST", key=key, data=[bad] * 10)
    assert sent.code == 201
    after = await ask(site, key)
    assert (after["answer"], after["rules"][0]["rule"]) == ("unknown", "picture")
    assert after["reason"] == "Not known: the objective of checkout is not counted yet."
    await publish(site, 2, objective(None, recounting=True))
    assert (await ask(site, key))["rules"][0]["rule"] == "budget_not_known"
    await publish(site, 3, objective(None, excluded=10))
    assert (await ask(site, key))["rules"][0]["rule"] == "no_traffic", "counted, and none of it in the ratio"
