"""Deploys paused and rolled back in an incident: once, with a true state whatever dies, and barred at the gate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner

from checks import deploy_targets
from checks.check import ROOT, Surroundings
from server.changes.adapters import heroku as heroku_adapter
from server.incidents import deploys
from server.incidents.command import incident
from server.incidents.deploys import DeployActs
from server.kernel import remote, shared_clock
from server.kernel.standard_webhooks import standard_signature
from server.kernel.times import utc
from server.selfcheck import store as check_store
from server.selfcheck.findings import CheckResult
from tests.changes.heroku import TOKEN, HerokuApp, heroku
from tests.dashboard.visitor import look, press, room_page, said, sign_in
from tests.notify.receiver import receiving
from tests.site import Site, answer

Web = Callable[..., Awaitable[Site]]

pytestmark = pytest.mark.gen_test


@dataclass
class Ship:
    """A site with an incident of checkout, where 5f2c1a9 runs and 4e81b07 ran before."""

    site: Site
    key: str

    async def post(self, path: str, data: Any, key: str = "") -> Any:
        found = await self.site.fetch(path, method="POST", key=key or self.key, data=data)
        return found.code, answer(found)

    async def act(self, name: str, **fields: Any) -> Any:
        return await self.post("/api/v1/incidents/1/acts", {"act": name, "service": "checkout", **fields})

    async def roll_back(self, **fields: Any) -> Any:
        return await self.act("roll_back_deploy", version="4e81b07", rolls_back="5f2c1a9", **fields)

    async def get(self, path: str) -> Any:
        return answer(await self.site.fetch(path, key=self.key))

    async def asked(self) -> list[tuple[str, str]]:
        return [(one["act"], one["state"]) for one in (await self.get("/api/v1/incidents/1"))["deploys"]]

    async def gate(self, version: str) -> str:
        found = await self.get(f"/api/v1/gate?service=checkout&kind=deploy&version={version}")
        return str(found["rules"][0]["rule"])

    async def lines(self) -> list[str]:
        found = (await self.get("/api/v1/incidents/1/timeline"))["lines"]
        return [one["text"] for one in reversed(found) if one["kind"] == "deploy" and one["origin"] == "incident"]

    async def watch(self) -> None:
        """A turn of the watch's job."""
        await DeployActs(self.site.env, self.site.parts.db, self.site.parts.bus).run()

    async def do(self, statement: str) -> None:
        async with self.site.parts.db.act() as connection:
            await connection.exec_driver_sql(statement)


async def ship(web: Web, migration: str = "reversible", **target: str) -> Ship:
    site = await web(NOTIFY_ALLOW_PRIVATE="true")
    made = Ship(site, await site.key("read", "act", "admin", name="mira"))
    for version in ("4e81b07", "5f2c1a9"):
        told = {"service": "checkout", "kind": "deploy", "version": version, "migration": migration}
        assert (await made.post("/api/v1/changes", told))[0] == 201
    await made.do(
        "INSERT INTO series (service, version, route, method, status) VALUES ('checkout', '5f2c1a9', '/', 'GET', 200)"
    )
    assert (await made.post("/api/v1/incidents", {"title": "checkout failing", "service": "checkout"}))[0] == 201
    if target:
        assert (await made.post("/api/v1/deploy-targets", {"service": "checkout", **target}))[0] == 201
    return made


async def at_heroku(web: Web, app: HerokuApp, monkeypatch: pytest.MonkeyPatch) -> Ship:
    monkeypatch.setattr(heroku_adapter, "API", app.url)
    return await ship(web, kind="heroku", address="shop", secret=TOKEN)


async def test_twenty_presses_are_one_rollback_at_heroku_and_bar_the_version_until_the_end(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with heroku() as app:
        made = await at_heroku(web, app, monkeypatch)
        both = await asyncio.gather(*(made.roll_back() for _ in range(20)))
        assert sorted(one["already"] for _, one in both) == [False] + [True] * 19
        assert await made.asked() == [("roll_back", "waiting")]
        assert (app.asked, await made.gate("5f2c1a9")) == ([], "rolled_back_version")
        await asyncio.gather(made.watch(), made.watch(), made.watch())
        assert (app.posts(), app.releases[-1]["slug"]) == (1, app.releases[0]["slug"])
        assert await made.asked() == [("roll_back", "done")]
        assert (await made.get("/api/v1/incidents/1"))["incident"]["time_to_mitigate_s"] > 0, "by its receipt"
        assert await made.lines() == [
            "checkout goes back from 5f2c1a9 to 4e81b07, by key:mira.",
            "Roll back to 4e81b07 of checkout done: v43, a rollback to v41, is succeeded.",
        ]
        (change, *_) = (await made.get("/api/v1/changes?service=checkout"))["changes"]
        assert (change["version"], change["state"], change["detail"]["rolls_back"]) == (
            "4e81b07",
            "finished",
            "5f2c1a9",
        )
        again = (await made.roll_back())[1]
        assert again["message"].startswith("Already rolled back by key:mira")
        denied = await made.get("/api/v1/gate?service=checkout&kind=deploy&version=5f2c1a9")
        assert denied["changes_when"] == "once incident 1 is closed, or somebody overrides it"
        assert (await made.post("/api/v1/incidents", {"title": "all is down", "service": "cart"}))[0] == 201
        assert (await made.post("/api/v1/incidents/1/merge", {"into": 2}))[0] == 200
        assert await made.gate("5f2c1a9") == "rolled_back_version", "until the one that stays is closed"
        await made.do("UPDATE incidents SET state = 'closed', closed_at = now()")
        assert await made.gate("5f2c1a9") != "rolled_back_version"
        acts = (await made.get("/api/v1/audit"))["acts"]
        assert [one["action"] for one in acts].count("incident.roll_back_deploy") == 1


async def test_a_process_that_dies_between_the_call_and_its_receipt_does_nothing_twice(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with heroku() as app:
        made = await at_heroku(web, app, monkeypatch)
        await made.roll_back()

        async def dies(*_: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(DeployActs, "_end", dies)
            with pytest.raises(KeyboardInterrupt):
                await made.watch()
        assert (app.posts(), await made.asked()) == (1, [("roll_back", "waiting")])
        await made.watch()
        assert await made.asked() == [("roll_back", "waiting")], "the claim of the dead holds"
        await made.do("UPDATE deploy_acts SET claimed_until = now()")
        await made.watch()
        assert (app.posts(), await made.asked()) == (1, [("roll_back", "done")])
        assert (await made.lines())[-1].endswith("done: v43 runs 4e81b07.")


async def test_what_heroku_refuses_fails_and_what_it_cannot_now_is_tried_again(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploys, "AGAIN_S", 0.0)
    async with heroku() as app:
        made = await at_heroku(web, app, monkeypatch)
        await made.roll_back()
        app.statuses = [503, 429]
        await made.watch()
        assert (app.posts(), await made.asked()) == (1, [("roll_back", "done")])
    async with heroku() as app:
        monkeypatch.setattr(heroku_adapter, "API", app.url)
        app.statuses = [401]
        told = {"service": "checkout", "kind": "deploy", "version": "6a00000", "migration": "none"}
        assert (await made.post("/api/v1/changes", told))[0] == 201
        assert (await made.act("roll_back_deploy", version="4e81b07", rolls_back="6a00000"))[0] == 200
        await made.watch()
        assert (await made.asked())[-1] == ("roll_back", "failed")
        assert (await made.lines())[
            -1
        ] == "Roll back to 4e81b07 of checkout failed: Heroku answers HTTP 401 Unauthorized."
        assert await made.gate("6a00000") != "rolled_back_version", "it still runs"
        number = (await made.get("/api/v1/incidents/1"))["deploys"][-1]
        assert number["command"] == "git push --force https://git.heroku.com/shop.git 4e81b07:refs/heads/main"
        done = await made.post("/api/v1/incidents/1/acts", {"act": "deploy_done", "deploy": number["id"]})
        assert (done[0], (await made.asked())[-1]) == (200, ("roll_back", "done"))


async def test_a_version_heroku_does_not_know_or_may_not_go_back_to_is_said(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with heroku() as app:
        made = await at_heroku(web, app, monkeypatch)
        app.releases[0]["eligible_for_rollback"] = False
        await made.roll_back()
        await made.watch()
        assert (await made.lines())[-1].endswith("does not go back to v41 of shop: it is not eligible.")
        assert app.posts() == 0
        around = Surroundings(ROOT, made.site.env, made.site.parts.db)
        (finding,) = await deploy_targets.run(around)
        assert (finding.level, finding.where) == ("fail", "service checkout")
        assert "no release of shop is eligible for a rollback" in finding.what
        app.releases[0]["eligible_for_rollback"] = True
        assert await deploy_targets.run(around) == []
        app.releases.pop(0)
        await made.roll_back()
        await made.watch()
        assert (await made.lines())[-1].endswith("no release of shop among the last 1 is of 4e81b07.")
        probed = await made.post("/api/v1/deploy-targets/checkout/test", {})
        assert (probed[0], probed[1]["ok"]) == (200, False)


async def test_a_webhook_is_signed_and_pauses_resumes_and_rolls_back(web: Web) -> None:
    async with receiving() as receiver:
        made = await ship(web, kind="webhook", address=receiver.url)
        shown = await made.get("/api/v1/deploy-targets")
        assert shown["targets"][0]["address"].endswith("/…")
        put = await made.post(
            "/api/v1/deploy-targets", {"service": "checkout", "kind": "webhook", "address": receiver.url}
        )
        secret = put[1]["secret"]
        async with made.site.parts.db.act() as connection:
            rows = await connection.exec_driver_sql("SELECT secret FROM deploy_targets")
            assert rows.scalar_one().startswith("sealed1:")
        assert (await made.act("pause_deploys"))[0] == 200
        assert await made.gate("new") == "paused"
        assert (await made.act("pause_deploys"))[1]["message"] == "Already paused by key:mira."
        await made.roll_back()
        await made.act("resume_deploys")
        await made.watch()
        assert await made.asked() == [("pause", "done"), ("roll_back", "done"), ("resume", "done")]
        assert await made.gate("new") != "paused"
        assert [one.json["act"] for one in receiver.came] == ["pause", "roll_back", "resume"]
        for one in receiver.came:
            key, at = one.headers["Webhook-Id"], int(one.headers["Webhook-Timestamp"])
            assert one.headers["Webhook-Signature"] == standard_signature(secret, key, at, one.body)
        assert receiver.came[1].json["version"] == "4e81b07"


async def test_an_irreversible_migration_arms_and_without_a_target_it_is_done_by_hand(web: Web) -> None:
    made = await ship(web, "irreversible")
    code, refused = await made.roll_back()
    assert (code, refused["code"]) == (409, "CONFLICT")
    assert "The migration of 5f2c1a9 is irreversible. Roll back code only" in refused["detail"]
    assert await made.asked() == []
    code, done = await made.roll_back(armed=True)
    assert (code, "git revert --no-edit 4e81b07..5f2c1a9 && git push" in done["message"]) == (200, True)
    assert (await made.asked(), await made.gate("5f2c1a9")) == ([("roll_back", "by_hand")], "rolled_back_version")
    await made.watch()
    assert await made.asked() == [("roll_back", "by_hand")]
    room = await made.get("/api/v1/incidents/1")
    assert (room["incident"]["state"], room["incident"]["time_to_mitigate_s"]) == ("mitigating", None), "not typed yet"
    number = room["deploys"][0]["id"]
    assert (await made.post("/api/v1/incidents/1/acts", {"act": "deploy_done", "deploy": number}))[0] == 200
    assert await made.asked() == [("roll_back", "done")]
    assert (await made.get("/api/v1/incidents/1"))["incident"]["time_to_mitigate_s"] > 0
    assert (await made.get("/api/v1/changes"))["changes"][0]["state"] == "finished"
    wrong = await made.act("roll_back_deploy", version="4e81b07", rolls_back="other", armed=True)
    assert (wrong[0], "runs 4e81b07" in wrong[1]["detail"]) == (409, True)
    (missing,) = await deploy_targets.run(Surroundings(ROOT, made.site.env, made.site.parts.db))
    assert (missing.level, missing.what) == ("warn", "No deploy target, rolled back by hand: checkout.")
    await made.do("INSERT INTO changes (kind, service, summary, author) VALUES ('deploy', 'cart', 'seen', 'evenkeel')")
    found = await deploy_targets.run(Surroundings(ROOT, made.site.env, made.site.parts.db))
    assert [one.what for one in found][1:] == ["Deploys that nobody tells of: cart."]
    async with made.site.parts.db.act() as connection:
        at = utc(shared_clock.now())
        await check_store.record(connection, CheckResult("deploy_targets", "warn", at, 1.0, found))
    page = await look(made.site, "/changes", await sign_in(made.site))
    assert "Deploys that nobody tells of: cart." in page.body.decode()
    told = "('deploy', 'checkout', '77aa001', 'stock table', 'ci')"
    await made.do(f"INSERT INTO changes (kind, service, version, summary, author) VALUES {told}")
    lines = (await made.get("/api/v1/incidents/1/timeline"))["lines"]
    assert lines[0]["text"] == "version 77aa001: stock table", "a summary does not hide which version it is"


async def test_the_room_arms_in_place_and_shows_what_to_type_until_it_is_done(web: Web) -> None:
    made = await ship(web, "irreversible")
    cookie = await sign_in(made.site)

    async def page() -> str:
        return await room_page(made.site, 1, cookie)

    async def act(name: str, **fields: str) -> str:
        return said(await press(made.site, "/incidents/1/act", cookie, act=name, **fields), made.site)

    before = await page()
    assert "The migration of 5f2c1a9 is irreversible. Roll back code only." in before
    assert "Pause deploys" in before
    fields = {"service": "checkout", "version": "4e81b07", "rolls_back": "5f2c1a9"}
    assert "needs a second press" in await act("roll_back_deploy", **fields)
    assert (await act("roll_back_deploy", **fields, armed="true")).startswith("Rolling back to 4e81b07.")
    during = await page()
    assert "git revert --no-edit 4e81b07..5f2c1a9 &amp;&amp; git push" in during
    assert "Roll back code only" not in during, "one at a time"
    assert ('id="to-do-title"' in during, 'id="done-title"' in during) == (True, False), "nobody has typed it yet"
    assert await act("deploy_done", deploy="1") == "Done."
    after = await page()
    assert ('id="to-do-title"' in after, 'id="done-title"' in after) == (False, True)
    assert ("Mark done" in after, "runs <b>4e81b07</b>" in after) == (False, True)


async def test_the_command_arms_and_says_whether_anything_was_done(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await ship(web, "irreversible")
    monkeypatch.setenv("EVENKEEL_URL", made.site.url)
    monkeypatch.setenv("EVENKEEL_API_KEY", made.key)

    async def act(*fields: str) -> tuple[int, str]:
        given = ["act", "1", "roll_back_deploy", "service=checkout", "version=4e81b07", "rolls_back=5f2c1a9", *fields]
        found = await asyncio.to_thread(CliRunner().invoke, incident, given)
        return found.exit_code, found.output

    code, refused = await act()
    assert (code, refused.startswith("Incident 1 needs a second press (armed)")) == (2, True), refused
    code, told = await act("armed=true")
    assert (code, told.startswith("Incident 1: Rolling back to 4e81b07.")) == (0, True), told
    monkeypatch.setattr(remote, "PAUSE_S", 0)
    monkeypatch.setenv("EVENKEEL_URL", "http://127.0.0.1:1")
    code, lost = await act("armed=true")
    assert (code, lost.startswith("It is not known whether it was done. ")) == (2, True), lost
