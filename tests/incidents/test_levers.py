"""Acts that reach outside an incident: on settings and on its alerts, in one press, once, with their undo."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dashboard.incidents.offers import Situation, offers
from server.config.registry import SETTINGS, Limits, limits_of
from server.incidents.runbook import StepAct
from server.ingest.preview_store import KeyRate
from server.ingest.surge import rates, surging
from tests.alerts.making import burning
from tests.dashboard.visitor import press, room_page, said, sign_in
from tests.incidents.test_api import Incidents, audited, started
from tests.incidents.test_rules import INCIDENT
from tests.site import answer

Start = Callable[..., Any]


async def led(web: Start, database_url: str, tmp_path: Path) -> Incidents:
    """An incident of two alerts."""
    room = await started(web, database_url, tmp_path)
    now = time.time() - 60
    await room.at(now, burning())
    await room.at(now + 1, burning(), burning("payments"))
    for one in (await room.get())["incidents"][:-1]:
        await room.post(f"/{one['id']}/merge", {"into": 1})
    assert {one["service"] for one in (await room.get("/1"))["alerts"]} == {"checkout", "payments"}
    return room


async def config(room: Incidents) -> Any:
    return answer(await room.site.fetch("/api/v1/config", key=room.key))


@pytest.mark.gen_test
async def test_a_limit_is_lowered_for_a_time_and_rolled_back_each_once(
    web: Start, database_url: str, tmp_path: Path
) -> None:
    room = await led(web, database_url, tmp_path)
    other = Incidents(room.site, room.second, await room.site.key("read", "act", name="jon"))
    both = await asyncio.gather(
        *(one.act(1, "lower_batch_items", value=100, minutes=30) for one in (room, other) for _ in range(5))
    )
    assert sorted(one["already"] for one in both) == [False] + [True] * 9
    assert all(one["message"].startswith("Already batch items 100 by key:") for one in both if one["already"])
    refused = await room.act(1, "lower_batch_items", 422, value=2000)
    assert "lets in more than 100, which is in force" in refused["detail"]
    await room.act(1, "throttle", 422, value=5, scope="key:77")
    await room.act(1, "throttle", value=5, scope="key:1", reason="it surges")
    await room.act(1, "throttle", 422, value=0, scope="key:1")
    assert (await room.act(1, "rollups_only", minutes=15))["message"].startswith("Revision 4 is in force.")

    shown = await config(room)
    assert shown["revision"]["revision"] == 4
    values = {one["name"]: (one["in_force"]["value"], one["in_force"]["until"]) for one in shown["settings"]}
    assert values["INGEST_MAX_BATCH_ITEMS"][0] == 100
    assert values["INGEST_MAX_BATCH_ITEMS"][1] is not None
    assert values["INGEST_STORE_OUTCOMES"][0] is False
    assert shown["history"][1]["reason"] == "it surges"
    assert shown["history"][0]["reason"] == "incident 1: checkout failing"

    await room.act(1, "accept")
    await room.act(1, "move", to="investigating")
    undo = {"from": 4, "to": 3}
    assert "rolled back to 3" in (await room.act(1, "roll_back_config", **undo))["message"]
    assert (await room.get("/1"))["incident"]["state"] == "investigating", "to take a mitigation back is none"
    assert (await other.act(1, "roll_back_config", **undo))["message"].startswith(
        "Already rolled back to 3 by key:test"
    )
    assert await room.lines(1, "config") == [
        "Configuration rolled back to 3: store outcomes off -> on, revision 5, by key:test.",
        "For 15 min: store outcomes on -> off, revision 4, by key:test.",
        "For 30 min: items per second no limit -> 5 for test, revision 3, by key:test.",
        (await room.lines(1, "config"))[-1],
    ]
    assert (await room.lines(1, "config"))[-1].startswith("For 30 min: batch items 1000 -> 100, revision 2, by key:")
    names = [name.removeprefix("incident.") for name in audited(database_url) if "merge" not in name]
    assert names == ["lower_batch_items", "throttle", "rollups_only", "accept", "move", "roll_back_config"]
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT detail ->> 'incident' FROM changes WHERE kind = 'revision' ORDER BY id")
        assert [row[0] for row in rows] == ["1"] * 4

    shorter = await room.act(1, "lower_batch_items", value=50, minutes=1)
    assert shorter["message"].endswith("For 30 min: batch items 100 -> 50.")  # not lifted sooner than the 100 were
    longer = await other.act(1, "lower_batch_items", value=50, minutes=90)
    assert not longer["already"]
    assert "For 90 min" in longer["message"]
    assert (await room.act(1, "lower_batch_items", value=50, minutes=90))["already"]
    assert (await room.act(1, "lower_batch_items", value=50, minutes=5))["already"]


@pytest.mark.gen_test
async def test_all_alerts_are_acknowledged_and_silenced_in_one_press(
    web: Start, database_url: str, tmp_path: Path
) -> None:
    room = await led(web, database_url, tmp_path)
    first = (await room.get("/1"))["alerts"][0]["id"]
    await room.act(1, "acknowledge", 404, alert=77)
    assert not (await room.act(1, "acknowledge", alert=first))["already"]
    assert not (await room.act(1, "acknowledge"))["already"]
    again = await room.act(1, "acknowledge")
    assert (again["already"], again["message"][:33]) == (True, "Already acknowledged by key:test,")
    assert {one["acknowledged_by"] for one in (await room.get("/1"))["alerts"]} == {"key:test"}

    await room.act(1, "silence", 422, reason=" ")
    done = await room.act(1, "silence", reason="we work on it", minutes=30)
    assert done["message"].startswith("Silenced for 30 min: checkout-availability, payments-availability.")
    again = await room.act(1, "silence", reason="we work on it", minutes=30)
    assert (again["already"], again["message"][:28]) == (True, "Already silenced by key:test")
    active = answer(await room.site.fetch("/api/v1/silences", key=room.key))["active"]
    assert [one["reason"] for one in active] == ["we work on it"] * 2
    assert [line for line in await room.lines(1, "alert") if "key:test" in line] == [
        "Silenced for 30 min: checkout-availability, payments-availability: we work on it, by key:test.",
        "Acknowledged: payments-availability, by key:test.",
        "Acknowledged: checkout-availability, by key:test.",
    ]
    await room.act(1, "accept")
    await room.act(1, "resolve", reason="seen by hand")
    for name in ("report", "action", "close"):
        fields: dict[str, dict[str, Any]] = {
            "report": {"root_cause": "a bad query"},
            "action": {"title": "test", "owner": "jon", "priority": 0, "due_at": "2026-12-24T00:00:00Z"},
        }
        await room.act(1, name, **fields.get(name, {}))
    assert "is closed; reopen it first" in (await room.act(1, "lower_body_bytes", 409, value=2048))["detail"]
    assert (await config(room))["revision"]["revision"] == 1, "nothing of an act that is refused stays"


@pytest.mark.gen_test
async def test_the_room_offers_presses_and_shows_their_receipts_and_undo(
    web: Start, database_url: str, tmp_path: Path
) -> None:
    runbook = tmp_path / "runbook.yaml"
    acts = "acknowledge, silence, lower_batch_items, lower_body_bytes, throttle, rollups_only, roll_back_config"
    runbook.write_text(f"triage:\n  - {{id: look, text: Look, acts: [{acts}, pause_deploys, roll_back_deploy]}}\n")
    room = await started(web, database_url, tmp_path, RUNBOOK_FILE=str(runbook))
    now = time.time() - 60
    await room.at(now, burning())
    await room.look(now + 1)
    cookie = await sign_in(room.site)

    async def page() -> str:
        return await room_page(room.site, 1, cookie)

    async def page_with(*texts: str) -> str:
        shown = await page()
        while not all(text in shown for text in texts):  # a receipt comes when its process has looked
            await asyncio.sleep(0.05)
            shown = await page()
        return shown

    async def act(name: str, **fields: Any) -> str:
        return said(await press(room.site, "/incidents/1/act", cookie, act=name, **fields), room.site)

    before = await page()
    assert "Lower batch items to 100 for 30 min, all senders" in before
    assert "Nothing came in the last 5 min, so it would have refused nothing." in before
    assert "Rollups only for 30 min" in before
    for missing in ("Throttle", "Roll back", "Done</h2>"):
        assert missing not in before, "only what can work"
    assert (await act("lower_batch_items", value="100", minutes="30")).startswith("Revision 2 is in force.")
    after = await page_with("revision 2 in 1 of 1 process", 'data-mark="R"')  # the one on the charts
    assert "<b>batch items 1000 → 100</b>" in after
    assert "Undo: batch items 100 → 1000" in after
    assert (await act("lower_batch_items", value="100", minutes="30")).startswith("Already batch items 100 by admin-")
    assert (await act("roll_back_config", **{"from": "2", "to": "1"})).startswith("Revision 3 (= 1) is in force.")
    assert (await act("roll_back_config", **{"from": "2", "to": "1"})).startswith("Already rolled back to 1 by admin-")
    undone = await page_with("revision 2, then 3 by admin-")
    assert "Rolled back to 1: batch items 100 → 1000" in undone
    assert (await act("silence", minutes="60", reason="load test")).startswith("Silenced for 60 min")
    assert (await act("acknowledge")).startswith("Acknowledged: checkout-availability")
    assert "Acknowledge</button>" not in await page()


def test_a_key_surges_where_it_sends_twice_as_much_and_most_of_what_is_more() -> None:
    calm, loud = KeyRate(1, 40, 39), KeyRate(2, 200, 4)
    assert surging([calm, loud]) == loud
    assert surging([calm]) is None
    assert surging([]) is None
    assert surging([KeyRate(1, 0.5, 0)]) is None
    assert surging([KeyRate(1, 100, 10), KeyRate(2, 100, 10), KeyRate(3, 100, 10)]) is None, "all of them"


def test_only_what_lets_in_less_is_offered() -> None:
    usual = limits_of({name: one.default for name, one in SETTINGS.items()})
    held = {7: replace(usual, ingest_max_items_per_second=5, ingest_max_batch_items=1)}
    rates = [KeyRate(7, 200.0, 4.0), KeyRate(8, 30.0, 30.0)]

    def offered(act: StepAct, limits: Callable[[int], Limits]) -> list[dict[str, str | int]]:
        here = Situation(INCIDENT, [], None, [], None, limits, rates, {7: "crawler", 8: "ci"}, ())
        return [one.fields for one in offers(here, {act}).get(act, [])]

    crawler, thirty = {"scope": "key:7"}, {"minutes": 30}
    free, slow = (lambda _: usual), (lambda _: replace(usual, ingest_max_items_per_second=3))
    assert offered("throttle", free) == [{"value": 4, **thirty, **crawler}, {"value": 100, **thirty}]
    assert offered("throttle", lambda key: held.get(key, usual)) == [
        {"value": 4, **thirty, **crawler}, {"value": 100, **thirty},
    ]  # fmt: skip
    assert offered("throttle", slow) == [], "each would let in more"
    assert offered("lower_batch_items", free) == [{"value": 100, **thirty, **crawler}, {"value": 100, **thirty}]
    assert offered("lower_batch_items", lambda key: held.get(key, usual)) == [{"value": 100, **thirty}]


@pytest.mark.gen_test
async def test_rates_are_of_whole_slots_by_key(web: Start, database_url: str, tmp_path: Path) -> None:
    site = await web()
    await site.key("ingest", name="ci-loadgen")
    now = 1_790_000_005.0
    with psycopg.connect(database_url) as connection:
        for ago, items in ((5, 999), (15, 600), (65, 0), (75, 300), (700, 999)):
            connection.execute(
                "INSERT INTO intake (process_id, slot, key_id, service, reason, requests, items, bytes, item_sizes,"
                " byte_sizes) VALUES (1, to_timestamp(%s), 1, 'checkout', 'accepted', 1, %s, 0, '{}', '{}')",
                (int(now - ago) // 10 * 10, items),
            )
    async with site.parts.db.ask() as connection:
        assert await rates(connection, now) == [KeyRate(1, 10.0, 0.5)]
