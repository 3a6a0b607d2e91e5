"""Maintenance windows on real PostgreSQL and HTTP: one act, its end, and what is told, each once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from server.kernel.times import utc
from server.maintenance import acts
from server.maintenance.acts import Actor
from server.maintenance.keeping import keep, kept
from server.maintenance.window import WindowAsked
from tests.alerts.making import burning
from tests.incidents.test_api import started
from tests.incidents.test_telling import sending
from tests.live.rollups import lead
from tests.notify.making import Desk
from tests.notify.receiver import receiving
from tests.notify.smtp import mail_box
from tests.site import Site, answer
from tests.slo.ledger.test_exclusions import instant
from tests.slo.making import SHOP, file
from tests.waiting import until

Web = Callable[..., Awaitable[Site]]
ADDRESS = "/api/v1/maintenance-windows"
HOUR_S = 3600

pytestmark = pytest.mark.gen_test


class Planner:
    """A site with one target, and its windows over HTTP; `soon` is a whole minute ahead."""

    def __init__(self, site: Site, desk: Desk, key: str) -> None:
        self.site, self.desk, self.key = site, desk, key
        self.soon = time.time() // 60 * 60 + 300

    async def plan(self, start: float, stop: float, **given: Any) -> tuple[int, Any]:
        asked = {"start": instant(start), "stop": instant(stop), "services": ["shop"], "reason": "new disk"} | given
        return await self.post("", asked)

    async def post(self, path: str, data: Any = None) -> tuple[int, Any]:
        found = await self.site.fetch(ADDRESS + path, method="POST", key=self.key, data=data or {})
        return found.code, answer(found)

    async def get(self, path: str) -> Any:
        return answer(await self.site.fetch(path, key=self.key))

    def told(self) -> list[str]:
        return [row[0] for row in self.desk.rows("SELECT event FROM notifications ORDER BY id")]

    def excluded(self) -> list[tuple[float, float]]:
        query = (
            "SELECT extract(epoch FROM start)::float, extract(epoch FROM stop)::float FROM exclusions"
            " WHERE revoked_at IS NULL ORDER BY id"
        )
        return [(row[0], row[1]) for row in self.desk.rows(query)]

    def silenced(self) -> list[str]:
        query = "SELECT service FROM silences WHERE ended_at IS NULL AND ends_at > now()"
        return [row[0] for row in self.desk.rows(query)]

    def count(self, table: str) -> int:
        return int(self.desk.rows(f"SELECT count(*) FROM {table}")[0][0])


async def planner(web: Web, url: str, tmp_path: Path) -> Planner:
    lead(url, 1)
    site = await web(SLO_FILE=file(tmp_path, SHOP))
    desk = Desk(url)
    desk.target("chat", "webhook", "https://chat.example/hook")
    desk.target("duty", "pagerduty", "https://events.pagerduty.com/v2/enqueue", "R" * 32)
    return Planner(site, desk, await site.key("read", "act"))


async def test_one_act_makes_all_of_it_and_its_time_begins_and_ends_it(
    web: Web, database_url: str, tmp_path: Path
) -> None:
    of = await planner(web, database_url, tmp_path)
    start, stop = of.soon, of.soon + HOUR_S
    code, made = await of.plan(start + 1, stop - 1, expected="shop answers 503")
    assert (code, made["window"]["state"], made["already"]) == (201, "planned", False)
    assert of.excluded() == [(start, stop)], "whole minutes"
    assert (of.silenced(), of.told()) == ([], ["planned"])
    code, again = await of.plan(start, stop)
    assert (code, again["already"], again["window"]["id"]) == (200, True, made["window"]["id"])

    number, db = made["window"]["id"], of.site.parts.db
    await asyncio.gather(*(kept(db, number, start) for _ in range(3)))  # as by a watch that another one takes over from
    await keep(db, of.site.parts.bus, start)
    assert (of.silenced(), of.told()) == (["shop"], ["planned", "started"])
    (change,) = [
        one for one in (await of.get("/api/v1/changes?service=shop"))["changes"] if one["kind"] == "maintenance"
    ]
    assert (change["state"], change["detail"]["expected"]) == ("started", "shop answers 503")
    ended = await of.site.fetch(f"/api/v1/changes/{change['id']}/finish", method="POST", key=of.key, data={})
    assert ended.code == 409, "its window ends it"

    await asyncio.gather(*(kept(of.site.parts.db, made["window"]["id"], stop) for _ in range(3)))
    assert of.told() == ["planned", "started", "ended"]
    listed = await of.get(ADDRESS)
    assert (listed["open"], [one["state"] for one in listed["over"]]) == ([], ["ended"])
    code, late = await of.post(f"/{made['window']['id']}/extend", {"stop": instant(stop + HOUR_S)})
    assert (code, late["code"]) == (409, "CONFLICT")
    assert of.excluded() == [(start, stop)]


async def test_ended_early_extended_and_cancelled_all_of_it_follows(
    web: Web, database_url: str, tmp_path: Path
) -> None:
    of = await planner(web, database_url, tmp_path)
    now = time.time() // 60 * 60
    _, running = await of.plan(now, now + HOUR_S)
    assert running["window"]["state"] == "running", "its time has come: it begins with the act"
    assert of.told() == ["started"]
    number = running["window"]["id"]
    code, longer = await of.post(f"/{number}/extend", {"stop": instant(now + 2 * HOUR_S)})
    assert (code, longer["window"]["stop"]) == (200, instant(now + 2 * HOUR_S))
    assert of.excluded() == [(now, now + 2 * HOUR_S)]
    assert of.desk.rows("SELECT extract(epoch FROM ends_at)::float FROM silences") == [(now + 2 * HOUR_S,)]

    both = await asyncio.gather(*(of.post(f"/{number}/end") for _ in range(2)))
    assert sorted(each["already"] for _, each in both) == [False, True], "two at once end it once"
    ((start, stop),) = of.excluded()
    assert start == now
    assert now < stop <= time.time() + 60, "what comes from now on counts"
    assert (of.silenced(), of.told()) == ([], ["started", "extended", "ended"])

    _, planned = await of.plan(of.soon, of.soon + HOUR_S)
    _, gone = await of.post(f"/{planned['window']['id']}/end")
    assert gone["window"]["state"] == "cancelled"
    assert (len(of.excluded()), of.told()[3:]) == (1, ["planned", "cancelled"])
    await kept(of.site.parts.db, planned["window"]["id"], of.soon)
    assert of.silenced() == [], "cancelled before it began"


async def test_what_cannot_be_is_refused_with_its_field_and_nothing_is_half_made(
    web: Web, database_url: str, tmp_path: Path
) -> None:
    of = await planner(web, database_url, tmp_path)
    now, soon = time.time(), of.soon
    refused = {
        "stop": [(soon, soon), (soon + 60, soon), (soon, now + 91 * 86_400), (soon, soon + 25 * HOUR_S)],
        "start": [(now - 600, soon)],
    }
    for field, times in refused.items():
        for start, stop in times:
            code, told = await of.plan(start, stop)
            assert (code, told["errors"][0]["field"]) == (422, field), (start - now, stop - now, told)
    for given, field in (
        ({"services": ["shop", "unheard"]}, "services[1]"),
        ({"reason": " "}, "reason"),
        ({"expected": "e" * 501}, "expected"),
        ({"services": []}, "stop"),  # all that have an objective
    ):
        code, told = await of.plan(soon, soon + 25 * HOUR_S if field == "stop" else soon + 60, **given)
        assert (code, told["errors"][0]["field"]) == (422, field)
    tables = ("maintenance_windows", "exclusions", "silences", "notifications")
    assert [of.count(table) for table in tables] == [0, 0, 0, 0]

    _, made = await of.plan(soon, soon + 23 * HOUR_S)
    code, told = await of.post(f"/{made['window']['id']}/extend", {"stop": instant(soon + 25 * HOUR_S)})
    assert (code, told["allowed_s"], told["errors"][0]["field"]) == (422, 24 * HOUR_S, "stop")
    assert of.excluded() == [(soon, soon + 23 * HOUR_S)], "as it was, across the day"
    assert (await of.post(f"/{made['window']['id']}/extend", {"stop": instant(soon)}))[0] == 422
    assert (await of.post("/999/end"))[0] == 404
    bound = await of.site.key("act", name="cart", services=["cart"])
    mine, of.key = of.key, bound
    assert (await of.post(f"/{made['window']['id']}/end"))[0] == 403
    assert (await of.plan(soon, soon + 60))[0] == 403
    of.key = mine
    assert (await of.get(ADDRESS))["open"][0]["state"] == "planned"


async def test_a_crash_in_between_leaves_nothing_half_done(
    web: Web, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = await planner(web, database_url, tmp_path)
    _, made = await of.plan(of.soon, of.soon + HOUR_S)

    async def dies(*given: Any) -> int:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(acts, "tell_of_maintenance", dies)  # the last step of each
        with pytest.raises(RuntimeError):
            await kept(of.site.parts.db, made["window"]["id"], of.soon)
        assert (of.silenced(), of.count("changes WHERE kind = 'maintenance'")) == ([], 0)
        another = WindowAsked(utc(of.soon), utc(of.soon + 60), "new disk", ["shop"])
        with pytest.raises(RuntimeError):
            await acts.plan(of.site.parts, another, Actor("mira", "r1"))
        assert of.count("maintenance_windows") == 1
    await keep(of.site.parts.db, of.site.parts.bus, of.soon + 2 * HOUR_S)
    assert of.told() == ["planned", "ended"], "nobody watched all that time: it is not told to begin"
    assert of.silenced() == []


async def test_targets_hear_of_it_in_one_thread_and_who_depends_on_it_knows(
    web: Web, database_url: str, tmp_path: Path
) -> None:
    async with receiving() as chat, mail_box() as box:
        smtp = {"SMTP_URL": f"smtp://127.0.0.1:{box.port}", "SMTP_FROM": "evenkeel@example.com"}
        private = {"NOTIFY_ALLOW_PRIVATE": "true", "PUBLIC_URL": "https://e.example"}
        room = await started(web, database_url, tmp_path, **private, **smtp)
        desk, now = Desk(database_url), time.time()
        desk.target("chat", "webhook", chat.url)
        desk.target("mail", "email", "mail@example.com", "")
        soon = now // 60 * 60 + 300
        asked = WindowAsked(utc(soon), utc(soon + HOUR_S), "new disk", ["payments"], "payments answers 503")
        window = (await acts.plan(room.site.parts, asked, Actor("mira", "r1"))).window
        async with sending(room.site):
            await kept(room.site.parts.db, window.id, soon)
            await until(lambda: len(chat.came) == 2 and len(box.came) == 2, "both targets told twice")
        first, then = (json.loads(one.body) for one in chat.came)
        assert (first["event"], then["event"], then["maintenance"]["state"]) == ("planned", "started", "running")
        assert then["text"].startswith("Maintenance of payments has begun, until ")
        assert then["text"].endswith(": new disk. Expected: payments answers 503.")
        assert then["link"] == f"https://e.example/changes/maintenance#window-{window.id}"
        subjects = {letter["Subject"] for letter in box.came}
        assert subjects == {f"Maintenance: payments, window {window.id}"}
        assert box.came[1]["In-Reply-To"] == box.came[0]["Message-ID"]

        await room.at(soon + 60, burning("payments"), burning("checkout"))
        await room.look(soon + 61)
        found = (await room.get())["incidents"]
        assert [one["service"] for one in found] == ["checkout"], "what is silenced makes none"
        seen = (await room.get(f"/{found[0]['id']}"))["captured"]["changes"]
        assert [(one["kind"], one["summary"]) for one in seen] == [("maintenance", "Maintenance of payments: new disk")]
        by_hand = (await room.post("", {"title": "nobody can pay"}, 201))["incident"]["id"]
        assert (await room.get(f"/{by_hand}"))["captured"]["changes"] == []
