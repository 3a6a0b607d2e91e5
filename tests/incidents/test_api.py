"""Incidents over HTTP: born from an alert, declared, led, resolved; twenty clients at once; a crash in between."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from server.alerts import store as alerts_store
from server.incidents.keeper import Keeper
from server.kernel.times import utc
from server.picture.picture import Picture
from tests.alerts.making import Second, Told, burning, clear
from tests.ingest.making import outcome
from tests.live.rollups import lead
from tests.site import Site, answer
from tests.slo.making import availability, file, service

Start = Callable[..., Any]
POLICY = "".join(service(name) + availability(f"{name}-availability", name) for name in ("checkout", "payments"))


class Incidents:
    """A site, its alerts second by second, and the watch's look at them."""

    def __init__(self, site: Site, second: Second, key: str) -> None:
        self.site = site
        self.second = second
        self.key = key
        self.keeper = Keeper(site.parts.db, site.parts.bus, site.parts.policies)

    async def at(self, now: float, *said: Any) -> None:
        await self.second.at(now, *said)
        await self.look(now)

    async def look(self, now: float) -> None:
        async with self.site.parts.db.ask() as connection:
            alerts = await alerts_store.listed(connection, "all")
        await self.keeper.keep(Picture(1, now, 1, "watch", [], [], 1, None, alerts=alerts))

    async def get(self, path: str = "") -> Any:
        return answer(await self.site.fetch(f"/api/v1/incidents{path}", key=self.key))

    async def post(self, path: str, data: Any, status: int = 200, **headers: str) -> Any:
        found = await self.site.fetch(
            f"/api/v1/incidents{path}", method="POST", key=self.key, data=data, headers=headers
        )
        assert found.code == status, found.body
        return answer(found)

    async def act(self, number: int, act: str, status: int = 200, **fields: Any) -> Any:
        return await self.post(f"/{number}/acts", {"act": act, **fields}, status)

    async def lines(self, number: int, kind: str) -> list[str]:
        return [one["text"] for one in (await self.get(f"/{number}/timeline"))["lines"] if one["kind"] == kind]


async def started(web: Start, database_url: str, tmp_path: Path, **given: str) -> Incidents:
    site = await web(SLO_FILE=file(tmp_path, POLICY), **given)
    lead(database_url, 1)
    second = Second(site.parts.db, site.parts.policies, Told())
    return Incidents(site, second, await site.key("read", "act"))


def audited(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT action FROM audit WHERE action LIKE 'incident.%' ORDER BY id")
        return [row[0] for row in rows]


@pytest.mark.gen_test
async def test_from_an_alert_to_the_end(web: Start, database_url: str, tmp_path: Path) -> None:
    room = await started(web, database_url, tmp_path)
    now = time.time() - 300
    await room.at(now, burning(), clear("payments"))
    await room.look(now + 1)
    (born,) = (await room.get())["incidents"]
    assert (born["state"], born["severity"], born["title"]) == ("suspected", 2, "checkout failing")
    number = born["id"]
    detail = await room.get(f"/{number}")
    assert detail["captured"]["text"] == "4.1 % of requests fail (objective 0.1 %)"
    assert detail["captured"]["likely"] == "version 5f2c1a9"
    assert [one["service"] for one in detail["alerts"]] == ["checkout"]
    assert detail["proof"]["waits"] in ("alerts", "sight")

    await room.act(number, "accept")
    (noticed,) = (await room.get(f"/{number}"))["alerts"]
    assert noticed["acknowledged_by"] == "key:test", "who declares it has seen its alerts"
    assert (await room.act(number, "take_command"))["already"]
    await room.act(number, "move", to="mitigating")
    refused = await room.act(number, "resolve", 409)
    assert "cannot be resolved yet" in refused["detail"]
    await room.act(number, "note", text="rolled back", link="https://ci.example/1")
    await room.act(number, "task", text="is the replica behind?", owner="jon", minutes=10)
    await room.act(number, "resolve", reason="seen with my own eyes")
    await room.act(number, "close", 409)
    await room.act(number, "report", root_cause="a bad query", cause_class="deploy", went_well="the page")
    await room.act(number, "action", title="test the query", owner="jon", priority=0, due_at="2026-12-24T00:00:00Z")
    done = await room.act(number, "close")
    assert done["incident"]["state"] == "closed"
    assert done["incident"]["time_to_acknowledge_s"] > 290
    assert done["incident"]["resolved_at"] is not None, "closing takes nothing away"
    assert (await room.get())["incidents"] == []
    every = (await room.get(f"/{number}/timeline"))["lines"]
    mine = [one["kind"] for one in every if one["origin"] == "incident"][::-1]
    assert mine == ["state", "state", "role", "state", "note", "task", "state", "report", "action", "state"]
    assert [one["kind"] for one in every if one["origin"] == "alert"] == ["acknowledged", "told", "fired", "detected"]
    assert [name.removeprefix("incident.") for name in audited(database_url)] == [
        "accept", "move", "note", "task", "resolve", "report", "action", "close",
    ]  # fmt: skip


@pytest.mark.gen_test
async def test_a_note_is_corrected_and_both_versions_stay(web: Start, database_url: str, tmp_path: Path) -> None:
    room = await started(web, database_url, tmp_path)
    number = (await room.post("", {"title": "nobody can pay", "severity": 1}, 201))["incident"]["id"]
    again = await room.post("", {"title": "nobody can pay", "severity": 1})
    assert (again["already"], again["incident"]["id"]) == (True, number)
    await room.act(number, "note", text="since 3:40")
    (note,) = [one for one in (await room.get(f"/{number}/timeline"))["lines"] if one["kind"] == "note"]
    await room.act(number, "correct", entry=note["id"], text="since 3:04")
    await room.act(number, "correct", entry=note["id"], text="since 3:05")
    (note,) = [one for one in (await room.get(f"/{number}/timeline"))["lines"] if one["kind"] == "note"]
    assert (note["text"], note["corrected"]) == ("since 3:05", ["since 3:40", "since 3:04"])
    await room.act(number, "correct", 404, entry=note["id"] + 1000, text="x")
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.Error, match="append-only"):
        connection.execute("UPDATE incident_entries SET text = 'never said'")


@pytest.mark.gen_test
async def test_a_cause_joins_its_symptom_and_what_is_apart_is_split(
    web: Start, database_url: str, tmp_path: Path
) -> None:
    room = await started(web, database_url, tmp_path)
    now = time.time() - 100
    await room.at(now, burning(), burning("payments", bad_ratio=0.7))
    await room.look(now + 1)
    every = (await room.get())["incidents"]
    assert sorted(one["service"] for one in every) == ["checkout", "payments"], "the policy names no dependency"
    target, source = (one["id"] for one in sorted(every, key=lambda one: one["service"]))
    merged = await room.post(f"/{source}/merge", {"into": target})
    assert (merged["incident"]["state"], merged["incident"]["merged_into"]) == ("closed", target)
    assert (await room.post(f"/{source}/merge", {"into": target}))["already"]
    detail = await room.get(f"/{target}")
    assert detail["incident"]["severity"] == 1
    assert sorted(one["service"] for one in detail["alerts"]) == ["checkout", "payments"]
    other = next(one["id"] for one in detail["alerts"] if one["service"] == "payments")
    new = await room.post(f"/{target}/split", {"alerts": [other]}, 201)
    assert new["incident"]["service"] == "payments"
    assert [one["service"] for one in (await room.get(f"/{target}"))["alerts"]] == ["checkout"]
    await room.look(now + 2)
    assert len((await room.get())["incidents"]) == 2


@pytest.mark.gen_test
async def test_twenty_at_once_lose_nothing_and_do_nothing_twice(web: Start, database_url: str, tmp_path: Path) -> None:
    room = await started(web, database_url, tmp_path)
    number = (await room.post("", {"title": "nobody can pay"}, 201))["incident"]["id"]
    keys = [await room.site.key("read", "act", name=f"client {n}") for n in range(20)]

    async def client(n: int) -> None:
        async def act(act: str, **fields: Any) -> Any:
            for _ in range(2):  # each is sent twice, as by a client that lost the answer
                found = await room.site.fetch(
                    f"/api/v1/incidents/{number}/acts",
                    method="POST",
                    key=keys[n],
                    data={"act": act, **fields},
                    headers={"Idempotency-Key": act},
                )
                assert found.code == 200, found.body
            return answer(found)

        await act("take_command")
        await act("note", text=f"note {n}")
        await act("task", text=f"task {n}", owner="jon", minutes=5)
        await act("severity", severity=1 + n % 2, reason="a guess")

    await asyncio.gather(*(client(n) for n in range(20)))
    detail = await room.get(f"/{number}")
    assert sorted(task["text"] for task in detail["tasks"]) == sorted(f"task {n}" for n in range(20))
    assert sorted(await room.lines(number, "note")) == sorted(f"note {n}" for n in range(20))
    commanders = [one for one in detail["roles"] if one["role"] == "commander"]
    assert [one["until"] is None for one in commanders] == [False] * 20 + [True]
    assert all(first["until"] == second["since"] for first, second in pairwise(commanders))
    with psycopg.connect(database_url) as connection:
        (entries,) = connection.execute("SELECT count(*) FROM incident_entries").fetchone() or (0,)
    assert entries == len(audited(database_url)), "an act is an entry, and an entry an act"


@pytest.mark.gen_test
async def test_a_key_that_begins_as_others_do_is_another(web: Start, database_url: str, tmp_path: Path) -> None:
    room = await started(web, database_url, tmp_path)
    number = (await room.post("", {"title": "nobody can pay"}, 201))["incident"]["id"]

    async def note(under: str, text: str) -> tuple[int, bool | None]:
        found = await room.site.fetch(
            f"/api/v1/incidents/{number}/acts",
            method="POST",
            key=room.key,
            data={"act": "note", "text": text},
            headers={"Idempotency-Key": under},
        )
        return found.code, answer(found).get("already")

    for under in ("run/1/2", "run/1/3", "run/1", "run"):
        assert await note(under, under) == (200, False)
        assert await note(under, under) == (200, True)
    assert await note("run/1", "something else") == (422, None)
    assert len(await room.lines(number, "note")) == 4


@pytest.mark.gen_test
async def test_it_follows_its_alerts(web: Start, database_url: str, tmp_path: Path) -> None:
    room = await started(web, database_url, tmp_path)
    now = time.time() - 900
    await room.at(now, burning())
    (born,) = (await room.get())["incidents"]
    await room.act(born["id"], "accept")
    await room.at(now + 20, clear())
    assert (await room.get(f"/{born['id']}"))["incident"]["state"] == "declared", "for a moment is not over"
    await room.at(now + 31, clear())
    assert (await room.get(f"/{born['id']}"))["incident"]["state"] == "monitoring"
    await room.at(now + 40, burning())
    assert (await room.get(f"/{born['id']}"))["incident"]["state"] == "investigating"
    await room.at(now + 50, clear())
    await room.at(now + 300, clear())
    await room.act(born["id"], "resolve", reason="it is")
    await room.at(now + 400, burning())
    found = (await room.get(f"/{born['id']}"))["incident"]
    assert (found["state"], found["resolved_at"]) == ("investigating", None)
    assert len((await room.get("?state=all"))["incidents"]) == 1
    assert "Reopened: checkout burns again." in await room.lines(born["id"], "state")


@pytest.mark.gen_test
async def test_it_takes_over_the_onset_that_the_fast_test_sees_after_a_slow_tier_has_paged(
    web: Start, database_url: str, tmp_path: Path
) -> None:
    room = await started(web, database_url, tmp_path)
    now = time.time() - 300
    slow = replace(burning(tier="6h/30m"), onset=-3600, onset_method="window")
    await room.at(now, slow, clear("payments"))
    (born,) = (await room.get())["incidents"]
    assert born["onset_method"] == "window"
    await room.at(now + 20, replace(burning(), onset=-60), clear("payments"))
    for what in (now + 21, now + 22):
        await room.look(what)
    one = await room.get(f"/{born['id']}")
    onset = utc(now - 40).isoformat()[:19]
    assert (one["incident"]["onset"][:19], one["incident"]["onset_method"]) == (onset, "change point")
    assert (one["captured"]["onset"][:19], one["captured"].get("scope")) == (onset, None), "its scope is captured anew"
    told = "Onset 59 min 20 s later: the fast test has seen when checkout began to fail."
    assert await room.lines(born["id"], "onset") == [told]


@pytest.mark.gen_test
async def test_a_watch_that_was_replaced_writes_nothing(web: Start, database_url: str, tmp_path: Path) -> None:
    room = await started(web, database_url, tmp_path)
    now = time.time() - 100
    await room.second.at(now, burning())
    lead(database_url, 2)
    with pytest.raises(Exception, match="lease"):
        await room.look(now + 1)
    assert (await room.get())["incidents"] == []


@pytest.mark.gen_test
async def test_the_report_writes_itself(web: Start, database_url: str, tmp_path: Path) -> None:
    room = await started(web, database_url, tmp_path)
    now = time.time() - 300
    await room.at(now, burning())
    (born,) = (await room.get())["incidents"]
    number = born["id"]
    await room.act(number, "accept")
    await room.act(
        number, "note", text="<script>alert(1)</script> [x](javascript:alert(1))", link="https://graphs.example.com/7"
    )
    sent = [outcome(timestamp=(now + n) * 1000, status=500 if n % 4 == 0 else 200) for n in range(-60, 60)]
    stored = await room.site.fetch("/api/v1/outcomes", method="POST", key=await room.site.key(), data=sent)
    assert stored.code == 201
    await room.act(number, "update", text="We are on it.")
    await room.act(number, "move", to="mitigating")
    await room.act(number, "report", root_cause="**A bad query** <img src=x onerror=alert(1)>", cause_class="deploy")

    found = await room.get(f"/{number}/report")
    assert [one["seconds"] is not None for one in found["measures"]] == [True, True, True, False]
    assert found["spent"][0]["bad"] == 41
    (failed,) = found["failed"]
    assert (failed["service"], failed["total"] < 120) == ("checkout", True), "what came before the onset is not counted"
    assert failed["total"] == pytest.approx(4 * failed["bad"], abs=4)
    assert {"Declared by key:test.", "We are on it."} <= {line["text"] for line in found["timeline"]}

    async def text(query: str) -> str:
        return (await room.site.fetch(f"/api/v1/incidents/{number}/report?{query}", key=room.key)).body.decode()

    written = await text("format=md")
    assert "- time to detect: 3 s, from the onset (the fast test's estimate) to the detection" in written
    assert "\\<script\\>" in written, "a note is text"
    assert "https\\://graphs.example.com/7" in written, "with what shows it, as text"
    assert f"checkout: {failed['bad']} of {failed['total']} requests failed since the onset" in written
    assert re.search(r"^- \d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", written, re.MULTILINE), "a time of day is no markup"
    shown = await text("format=html")
    assert "<strong>A bad query</strong>" in shown
    await room.act(number, "report", root_cause="```\n## Timeline\n- forged")
    forged = await text("format=html")
    assert forged.count("<h2>Timeline</h2>") == 1, "what people write stays within its section"
    assert "<svg" in shown
    assert not re.findall(r"<script|<img|<a [^>]*javascript", shown)
    outside = await text("format=md&public=true")
    assert "We are on it." in outside
    assert not [name for name in ("key:test", "script", "5f2c1a9") if name in outside]


@pytest.mark.gen_test
async def test_no_time_and_no_link_breaks_the_pages(web: Start, database_url: str, tmp_path: Path) -> None:
    room = await started(web, database_url, tmp_path)
    number = (await room.post("", {"title": "nobody can pay", "service": "checkout"}, 201))["incident"]["id"]
    action = {"act": "action", "title": "t", "owner": "o", "priority": 1}
    for at in ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"):
        refused = await room.post(f"/{number}/acts", action | {"due_at": at}, 422)
        assert refused["errors"][0]["field"] == "due_at", at
    for at in ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "2999-01-01T00:00:00Z"):
        refused = await room.post(f"/{number}/acts", {"act": "onset", "at": at, "reason": "x"}, 422)
        assert refused["errors"][0]["field"] == "at", at
    for link in (
        "https://x\n",
        "https://x\u202ey",
        "https://x\u0000",
        'https://a/"><img src=x>',
        "javascript:alert(1)",
    ):
        refused = await room.post(f"/{number}/acts", {"act": "note", "text": "x", "link": link}, 422)
        assert refused["errors"][0]["field"] == "link", link
    for place in ("a\u0000b", "\u202ea", "x" * 201):
        refused = await room.post("", {"title": "x", "service": place}, 422)
        assert refused["errors"][0]["field"] == "service", place
    early = await room.site.fetch("/api/v1/services/checkout/suspects?at=0001-01-01T00:00:00Z", key=room.key)
    assert early.code in (404, 422)
    await room.get(f"/{number}/report")
