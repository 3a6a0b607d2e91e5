"""A change that is under way: told as started, ended once, and waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from server.changes import waits
from server.changes.command import change
from server.kernel import shared_clock
from server.kernel.times import utc
from tests.site import Site, answer
from tests.waiting import NEVER_S, PATIENCE_S, until

Web = Callable[..., Awaitable[Site]]

pytestmark = pytest.mark.gen_test


async def tell(site: Site, key: str, **given: Any) -> Any:
    asked = {"service": "checkout", "kind": "deploy", "version": "a2"} | given
    return await site.fetch("/api/v1/changes", method="POST", key=key, data=asked)


async def finish(site: Site, key: str, number: int, **given: Any) -> Any:
    return await site.fetch(f"/api/v1/changes/{number}/finish", method="POST", key=key, data=given)


async def recorded(site: Site, key: str) -> list[tuple[str, str]]:
    found = answer(await site.fetch("/api/v1/changes?service=checkout", key=key))["changes"]
    return [(one["version"], one["state"]) for one in reversed(found) if one["kind"] == "deploy"]


async def test_the_same_call_or_its_number_ends_what_was_started_once(web: Web) -> None:
    site = await web()
    key = await site.key("read", "act", name="ci")
    run = "https://ci.example.com/7"
    told = await tell(site, key, state="started", actor="mira", link=run, migration="reversible")
    first = answer(told)["change"]
    assert (told.code, first["state"], first["finished"], first["actor"], first["author"]) == (
        201,
        "started",
        None,
        "mira",
        "key:ci",
    )
    assert (await tell(site, key, state="started")).code == 200, "told twice it has started once"
    both = await asyncio.gather(*(tell(site, key, state="finished") for _ in range(4)))
    assert {(each.code, answer(each)["change"]["id"], answer(each)["already"]) for each in both} == {
        (200, first["id"], True)
    }
    done = answer(both[0])["change"]
    assert (done["state"], done["migration"], done["link"]) == ("finished", "reversible", run)
    assert done["at"] == first["at"] <= done["finished"]
    late = await finish(site, key, first["id"])
    assert (late.code, answer(late)["already"]) == (200, True)
    wrong = await finish(site, key, first["id"], state="failed")
    assert (wrong.code, answer(wrong)["code"]) == (409, "CONFLICT")
    again = answer(await tell(site, key, state="started"))["change"]
    assert again["id"] != first["id"], "the same version once more is another deploy"
    failed = await finish(site, key, again["id"], state="failed", migration="irreversible")
    assert (answer(failed)["change"]["state"], answer(failed)["change"]["migration"]) == ("failed", "irreversible")
    assert await recorded(site, key) == [("a2", "finished"), ("a2", "failed")]
    acts = answer(await site.fetch("/api/v1/audit", key=await site.key("admin")))["acts"]
    assert [one["action"] for one in acts if one["action"].startswith("change.")] == [
        "change.finish",
        "change.announce",
        "change.finish",
        "change.announce",
    ]


async def test_of_two_deploys_at_once_the_end_of_the_first_rolls_nothing_back(web: Web) -> None:
    site = await web()
    key = await site.key("read", "act", name="ci")
    await tell(site, key, version="a2", state="started")
    await tell(site, key, version="a3", state="started")
    ended = answer(await tell(site, key, version="a2"))["change"]
    assert (ended["state"], ended["detail"]) == ("finished", {"announced": "a2"})
    assert await recorded(site, key) == [("a2", "finished"), ("a3", "started")]


async def test_a_deploy_that_failed_bars_no_version_at_the_gate(web: Web) -> None:
    site = await web()
    key = await site.key("read", "act", name="ci")
    for version in ("a1", "a2"):
        await tell(site, key, version=version)
    back = answer(await tell(site, key, version="a1", state="started"))["change"]
    assert back["detail"]["rolls_back"] == "a2"
    async with site.parts.db.act() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO series (service, version, route, method, status) VALUES ('checkout', 'a2', '/', 'GET', 200)"
        )
    asked = "/api/v1/gate?service=checkout&kind=deploy&version=a2"
    assert answer(await site.fetch(asked, key=key))["rules"][0]["rule"] == "rolled_back_version"
    await finish(site, key, back["id"], state="failed")
    assert answer(await site.fetch(asked, key=key))["rules"][0]["rule"] != "rolled_back_version"


async def test_what_cannot_be_is_refused_with_its_field(web: Web) -> None:
    site = await web()
    key = await site.key("read", "act", name="ci")
    now = utc(shared_clock.now())

    def ago(seconds: float) -> str:
        return (now - timedelta(seconds=seconds)).isoformat()

    for wrong, field in (
        ({"started": ago(90_000)}, "started"),
        ({"finished": ago(-600)}, "finished"),
        ({"started": ago(10), "finished": ago(20)}, "finished"),
        ({"state": "started", "finished": ago(1)}, "finished"),
        ({"started": "yesterday"}, "started"),
        ({"actor": "a\u0000"}, "actor"),
        ({"link": "javascript:alert(1)"}, "link"),
        ({"link": "https://a\u0000"}, "link"),
        ({"migration": "big"}, "migration"),
    ):
        told = await tell(site, key, **wrong)
        assert (told.code, answer(told)["errors"][0]["field"]) == (422, field), wrong
    ahead = answer(await tell(site, key, finished=ago(-30), started=ago(300)))["change"]
    assert ahead["at"] < ahead["finished"] < ago(-30), "a clock that is a little ahead is ours"
    started = answer(await tell(site, key, version="a3", state="started"))["change"]["id"]
    assert answer(await finish(site, key, started, finished=ago(600)))["errors"][0]["field"] == "finished"
    cart = await site.key("read", "act", name="cart", services=("cart",))
    assert (await finish(site, cart, started)).code == 403
    assert (await finish(site, key, 999)).code == 404
    assert (await site.fetch("/api/v1/changes/x", key=key)).code == 404
    assert (await site.fetch("/api/v1/changes/999?wait=25", key=key)).code == 404
    assert (await site.fetch(f"/api/v1/changes/{started}?wait=26", key=key)).code == 422


async def test_who_waits_is_answered_at_the_end_and_holds_no_connection(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "LOOK_S", NEVER_S)  # the signal alone brings it
    monkeypatch.setattr(waits, "WAITERS_MAX", 5)
    site = await web()
    key = await site.key("read", "act", name="ci")
    number = answer(await tell(site, key, state="started"))["change"]["id"]
    address = f"/api/v1/changes/{number}?wait=25"
    waiting = [asyncio.ensure_future(site.fetch(address, key=key)) for _ in range(5)]
    await until(lambda: site.parts.waits.waiting == 5, "five to wait")
    await until(lambda: site.parts.db.read.pool.checkedout() == 0, "the look to end")  # type: ignore[attr-defined]
    full = await site.fetch(address, key=key)
    assert (full.code, full.headers["Retry-After"]) == (503, "5")
    await finish(site, key, number)
    found = [answer(each) for each in await asyncio.gather(*waiting)]
    assert {one["state"] for one in found} == {"finished"}


async def test_who_waits_for_a_verdict_is_answered_once_it_is_known(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "LOOK_S", 0.05)
    site = await web()
    key = await site.key("read", "act", name="ci")
    async with site.parts.db.act() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO series (service, version, route, method, status, first_seen_at) VALUES"
            " ('checkout', 'a1', '/', 'GET', 200, now() - interval '1 hour'),"
            " ('checkout', 'a2', '/', 'GET', 200, now())"
        )
    started = utc(shared_clock.now() - 300).isoformat()
    number = answer(await tell(site, key, started=started))["change"]["id"]
    waiting = asyncio.ensure_future(site.fetch(f"/api/v1/changes/{number}?wait=25", key=key))
    await until(lambda: site.parts.waits.waiting == 1, "one to wait")
    async with site.parts.db.act() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO minutes (series_id, minute, n, bad, duration_us, fast)"
            " SELECT id, date_trunc('minute', now()) - CASE version WHEN 'a1' THEN interval '20 min' ELSE '2 min' END,"
            " 1000, CASE version WHEN 'a1' THEN 0 ELSE 300 END, 0, '{}' FROM series WHERE service = 'checkout'"
        )
    found = answer(await waiting)
    assert (found["verdict"]["finding"], found["verdict"]["bad"]) == ("worse", 300)
    assert answer(await site.fetch(f"/api/v1/changes/{number}?wait=25", key=key))["verdict"]["finding"] == "worse"


async def test_a_process_that_stops_answers_who_waits(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    site = await web()
    key = await site.key("read", "act", name="ci")
    number = answer(await tell(site, key, state="started"))["change"]["id"]
    waiting = asyncio.ensure_future(site.fetch(f"/api/v1/changes/{number}?wait=25", key=key))
    await until(lambda: site.parts.waits.waiting == 1, "one to wait")
    counted: list[str] = []
    monkeypatch.setattr(site.parts.intake, "count_own", lambda route, *_: counted.append(route))
    site.parts.waits.end()
    async with asyncio.timeout(PATIENCE_S):
        assert answer(await waiting)["state"] == "started"
    await site.fetch(f"/api/v1/changes/{number}", key=key)
    assert counted == ["/api/v1/changes/{change_id}"], "a wait is no slow answer of Evenkeel's"


async def test_the_command_says_what_is_wrong_and_exits_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENKEEL_URL", raising=False)
    done = CliRunner().invoke(change, ["start", "--service", "checkout", "--version", "a2"])
    assert (done.exit_code, "EVENKEEL_URL" in done.output) == (2, True)
