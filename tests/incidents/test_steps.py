"""The steps of an incident over HTTP: looked at by the watch, overridden, done, given away, and on the timeline."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from server.alerts import store as alerts_store
from server.changes import store as changes
from server.incidents import store
from server.incidents.verifier import Verifier, baseline
from server.live.service import LiveService, Point
from server.picture.picture import Picture
from tests.alerts.making import burning, clear
from tests.incidents.test_api import Incidents, started
from tests.live.rollups import lead
from tests.live.writing import Sample, Writer, database

Start = Callable[..., Any]
RUNBOOK = """
triage:
  - {id: look, text: Look, acts: [acknowledge, throttle, roll_back_deploy]}
  - {id: ready, text: Evenkeel answers, verify: "evenkeel ready, within 2"}
recover:
  - {id: paths, text: Paths hold, verify: "error ratio under 1 % for 1 minute, within 10"}
  - {id: traffic, text: Traffic is normal, verify: "traffic normal, within 1"}
post-incident:
  - {id: report, text: Report, verify: report written}
"""


class Watched(Incidents):
    """What the watch sees of checkout, second by second."""

    verifier: Verifier

    async def see(self, now: float, bad: int = 0, n: int = 240, **more: Any) -> None:
        async with self.site.parts.db.ask() as connection:
            alerts = await alerts_store.listed(connection, "all")
        points = [Point(second, 4, 0, None) for second in range(int(now) - 120, int(now))]
        seen = LiveService(
            "checkout", n, bad, 5 * n, bad, 1, 2, 3, points, [], [], None, None, int(now), None, more.get("silent_s")
        )
        picture = Picture(1, now, 1, "watch", [seen], [], 1, None, alerts=alerts)
        picture.incidents = await self.keeper.keep(picture)
        await self.verifier.look(picture)

    async def steps(self, number: int) -> dict[str, dict[str, Any]]:
        return {one["id"]: one for one in (await self.get(f"/{number}/steps"))["steps"]}


async def watched(web: Start, database_url: str, tmp_path: Path) -> Watched:
    path = tmp_path / "runbook.yaml"
    path.write_text(RUNBOOK)
    plain = await started(web, database_url, tmp_path, RUNBOOK_FILE=str(path))
    room = Watched(plain.site, plain.second, plain.key)
    parts = room.site.parts
    room.verifier = Verifier(parts.db, parts.bus, parts.runbook, lambda: None)
    return room


@pytest.mark.gen_test
async def test_live_data_confirms_a_step_and_a_person_the_others(web: Start, database_url: str, tmp_path: Path) -> None:
    room = await watched(web, database_url, tmp_path)
    now = float(int(time.time()) - 600)
    await room.at(now, burning())
    await room.see(now + 1)
    steps = await room.steps(1)
    assert (steps["look"]["next"], steps["look"]["acts"]) == (True, ["acknowledge", "throttle"])
    assert (steps["ready"]["state"], steps["ready"]["reading"]) == ("watching", "0 of 0 processes answer.")
    assert (steps["paths"]["state"], steps["paths"]["waits_for"]) == ("open", "it is recovering")

    parts = room.site.parts
    async with parts.db.act() as connection:
        for version in ("v1", "v2"):
            await changes.record(connection, "deploy", "checkout", version, f"deploy {version}", author="ci", detail={})
    assert "roll_back_deploy" in (await room.steps(1))["look"]["acts"], "there is an earlier version"
    await room.act(1, "accept")
    await room.act(1, "step", step="look", to="done")
    assert (await room.act(1, "step", step="look", to="done"))["already"]
    await room.act(1, "step", 422, step="paths", to="done")
    await room.act(1, "step", 422, step="paths", to="overridden")
    await room.act(1, "step", 404, step="none", to="done")
    await room.act(1, "step", step="ready", to="given", owner="jon")
    assert [task["owner"] for task in (await room.get("/1/tasks"))["tasks"]] == ["jon"]
    await room.act(1, "step", step="paths", to="given", owner="ann")
    (task,) = [one["id"] for one in (await room.get("/1/tasks"))["tasks"] if one["owner"] == "ann"]
    await room.act(1, "task_done", task=task)
    assert (await room.steps(1))["paths"]["state"] == "open", "live data decides it"

    await room.at(now + 19, clear())
    await room.at(now + 30, clear())
    for second in range(31, 100):
        await room.see(now + second)
    assert (await room.steps(1))["paths"]["state"] == "confirmed"
    lines = await room.lines(1, "verification")
    assert any(
        line.startswith("Confirmed: Paths hold. checkout: 0 of 240 fail (0 %). Held 1 min and 2") for line in lines
    )

    await room.see(now + 130)
    found = await room.steps(1)
    assert (found["traffic"]["state"], found["traffic"]["reading"]) == (
        "no_data",
        "No data: nothing to compare the traffic of checkout with.",
    )
    assert found["ready"]["state"] == "failed"
    await room.act(1, "step", step="traffic", to="overridden", reason="a holiday")
    found = await room.steps(1)
    assert [found["traffic"][name] for name in ("state", "decided_by", "reason")] == [
        "overridden", "key:test", "a holiday",
    ]  # fmt: skip
    (line,) = [one for one in await room.lines(1, "step") if one.startswith("Overridden")]
    assert line == (
        "Overridden: Traffic is normal: a holiday. Live data: No data: nothing to compare the traffic of checkout with."
    )
    assert line in [one["text"] for one in (await room.get("/1/report"))["timeline"]]
    await room.act(1, "step", step="ready", to="again")
    assert (await room.steps(1))["ready"]["state"] == "watching"


@pytest.mark.gen_test
async def test_blind_is_no_data_and_a_replaced_watch_writes_nothing(
    web: Start, database_url: str, tmp_path: Path
) -> None:
    room = await watched(web, database_url, tmp_path)
    now = float(int(time.time()) - 600)
    await room.at(now, burning())
    await room.act(1, "accept")
    await room.at(now + 19, clear())
    await room.at(now + 30, clear())
    await room.see(now + 31, silent_s=42)
    step = (await room.steps(1))["paths"]
    assert (step["state"], step["reading"]) == ("no_data", "No data: checkout is silent for 42 s.")
    lead(database_url, 2)
    with pytest.raises(Exception, match="lease"):
        await room.see(now + 32)
    assert (await room.steps(1))["paths"] == step


@pytest.mark.gen_test
async def test_a_person_is_never_overwritten_by_a_look(web: Start, database_url: str, tmp_path: Path) -> None:
    room = await watched(web, database_url, tmp_path)
    now = float(int(time.time()) - 600)
    await room.at(now, burning())
    await room.see(now + 1)
    db = room.site.parts.db
    async with db.ask() as connection:
        found = await store.room(connection, 1)
    assert found is not None
    (read,) = [one for one in found.steps if one.step == "ready"]
    await room.act(1, "step", step="ready", to="overridden", reason="it is")
    late = replace(read, state="failed", decided_at=now + 2)
    new = replace(late, id=0, step="paths")
    async with db.act() as connection:
        assert await store.keep_steps(connection, 1, [(read, late), (None, new)]) == {"paths"}
    assert {name: one["state"] for name, one in (await room.steps(1)).items() if name != "traffic"} == {
        "look": "open", "ready": "overridden", "paths": "open", "report": "open",
    }  # fmt: skip


@pytest.mark.gen_test
async def test_what_is_normal_is_of_a_week_ago_or_of_the_hour_before(database_url: str) -> None:
    onset = float(int(time.time()) - 100)
    writer = Writer(database_url)
    writer.flush([Sample(int(onset) - 1 - n) for n in range(300)])  # one a second
    async with database(database_url) as db, db.ask() as connection:
        assert await baseline(connection, "shop", onset, onset + 60) is None, "it was first seen just now"
    with psycopg.connect(database_url, autocommit=True) as connected:
        connected.execute("UPDATE series SET first_seen_at = to_timestamp(%s)", (onset - 300,))
    async with database(database_url) as db, db.ask() as connection:
        found = await baseline(connection, "shop", onset, onset + 60)
    assert found is not None
    assert (found.per_second, round(found.p95_ms or 0), found.source) == (1.0, 10, "the hour before the onset")
    week = int(onset) - 7 * 86_400
    with psycopg.connect(database_url, autocommit=True) as connected:
        connected.execute("UPDATE series SET first_seen_at = to_timestamp(%s)", (week - 7200,))
        connected.execute(
            "INSERT INTO hours (series_id, hour, n, bad, duration_us, fast, sketch) SELECT id,"
            " date_trunc('hour', to_timestamp(%s)), 36000, 0, 0, '{}', '{}' FROM series",
            (week,),
        )
    async with database(database_url) as db, db.ask() as connection:
        found = await baseline(connection, "shop", onset, onset)
    writer.close()
    assert found is not None
    assert found.source == "this hour a week ago"
    assert 4 < found.per_second < 11, "an hour of it, in the whole hours around"
