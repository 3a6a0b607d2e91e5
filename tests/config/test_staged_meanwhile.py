"""What is changed, or ends, while a revision is staged: the brake never waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.config import service
from server.config.expiry import expire_due
from tests.config.fleet import BATCH, QUARTER, RATE, fleet, limit
from tests.config.machine import JON, MIRA, pretend_time_is_over, refused
from tests.conftest import MakeEnv


@pytest.mark.gen_test
async def test_the_brake_does_not_wait_for_a_staged_revision(make_env: MakeEnv) -> None:
    async with fleet(make_env) as ships:
        await ships.one.change(1, {BATCH: 500})
        await ships.stage(2)
        await ships.in_force(3, 2)
        assert "promote it" in (await refused(ships.one.rollback(3, 3), "CONFLICT")).detail
        back = await ships.all[3].rollback(3, 1, JON)
        assert (back.revision, back.restores) == (4, 1)
        await ships.in_force(4, 4)
        assert {await limit(one) for one in ships.all} == {1000}
        staged = await ships.staged()
        assert (staged.state, staged.state_by, staged.why) == ("rolled_back", JON.actor, "by hand")
        await ships.stage(4, **{BATCH: 100})
        back = await ships.one.rollback()
        assert (back.revision, back.restores) == (6, 4)
        await ships.in_force(6, 6)
        await ships.look()
        assert (await ships.view()).revision.revision == 6


@pytest.mark.gen_test
async def test_the_brake_works_on_the_values_that_are_in_force_elsewhere_too(make_env: MakeEnv) -> None:
    async with fleet(make_env) as ships:
        await ships.one.change(1, {BATCH: 100})
        await ships.one.change(2, {BATCH: 1000}, stage=QUARTER)
        await ships.in_force(3, 2)
        back = await ships.one.rollback(to=1)
        assert back.already is False
        await ships.in_force(4, 4)
        assert {await limit(one) for one in ships.all} == {1000}


@pytest.mark.gen_test
async def test_while_one_is_staged_no_change_that_loosens_is_taken(make_env: MakeEnv) -> None:
    async with fleet(make_env, 2) as ships:
        await ships.one.change(1, {RATE: 50})
        await ships.stage(2)
        error = await refused(ships.one.change(3, {RATE: 60}, JON), "CONFLICT")
        assert error.detail == (
            "Revision 3 is staged on 1 process: promote it or roll it back first. What only tightens, at once, ends "
            "it. Nothing was saved."
        )
        await refused(ships.one.change(3, {RATE: 40, BATCH: 1001}, JON), "CONFLICT")
        await refused(ships.one.change(3, {RATE: 40}, JON, stage=QUARTER), "CONFLICT")
        await refused(ships.one.change(2, {RATE: 40}, JON), "CONFLICT")
        nothing = await ships.one.change(3, {RATE: 50}, JON)
        assert (await ships.staged()).state == "running"
        assert nothing.already
        await ships.act("promote", 3)
        assert (await ships.one.change(3, {RATE: 60}, JON)).revision == 4
        assert "was not staged" in (await refused(ships.act("promote", 4), "CONFLICT")).detail


@pytest.mark.gen_test
async def test_a_value_that_ends_meanwhile_ends_on_both_sides(make_env: MakeEnv) -> None:
    async with fleet(make_env) as ships:
        await ships.one.change(1, {RATE: 50}, minutes=30)
        await ships.stage(2)
        await ships.in_force(3, 2)
        await pretend_time_is_over(ships.one)
        ended = await asyncio.gather(*(expire_due(m.db, m.bus, m.settings.environment) for m in ships.all[:3]))
        assert sorted(ended, key=str) == [5, None, None]
        await ships.in_force(5, 4)
        limits = [one.settings.limits_for(0) for one in (*await ships.chosen(), *await ships.others())]
        assert [one.ingest_max_items_per_second for one in limits] == [0] * 4
        assert [one.ingest_max_batch_items for one in limits] == [100, 1000, 1000, 1000]
        view = await ships.view()
        told = [(one.revision, one.kind, [d.text for d in one.differences][:1]) for one in view.history[:3]]
        assert told == [
            (5, "expiry", ["items per second 50 -> no limit"]),
            (4, "expiry", ["items per second 50 -> no limit"]),
            (3, "change", ["batch items 1000 -> 100"]),
        ]
        batch = next(one for one in view.settings if one.name == BATCH)
        assert batch.last_change is not None
        assert (batch.last_change.revision, batch.last_change.author) == (3, "mira@example.org")
        assert (await ships.act("pause", 3)).staged.revision == 5, "the number that was seen still names it"
        await ships.act("promote", 5)
        await ships.in_force(5, 5)
        back = await ships.one.rollback()
        assert [d.text for d in back.differences] == ["batch items 100 -> 1000"]


@pytest.mark.gen_test
async def test_a_staged_value_that_ends_ends_its_rollout(make_env: MakeEnv) -> None:
    async with fleet(make_env, 2) as ships:
        await ships.one.change(1, {BATCH: 100}, minutes=30, stage=QUARTER)
        await ships.in_force(2, 1)
        await pretend_time_is_over(ships.one)
        assert await expire_due(ships.one.db, ships.one.bus, {}) == 3
        await ships.in_force(3, 3)
        assert {await limit(one) for one in ships.all} == {1000}
        view = (await ships.view()).staged
        assert view is not None
        assert view.text == "Rolled back by Evenkeel: the time of its temporary value is over"


@pytest.mark.gen_test
async def test_what_only_tightens_ends_it_and_is_made_on_its_base_in_one_act(make_env: MakeEnv) -> None:
    async with fleet(make_env, 2) as ships:
        await ships.stage(**{BATCH: 5000})
        ships.one.denied.append("Denied: the gate holds revisions.")
        saved = await ships.one.change(2, {RATE: 50}, JON, reason="a surge")
        assert saved.message == "Revision 4 is in force. Revision 2, which was staged, is rolled back."
        assert [one.text for one in saved.differences] == ["items per second no limit -> 50"]
        await ships.in_force(4, 4)
        assert {await limit(one) for one in ships.all} == {1000}
        ended = await ships.staged()
        assert (ended.state, ended.state_by, ended.why) == (
            "rolled_back",
            "jon@example.org",
            "to tighten at once: a surge",
        )
        acts = await ships.one.rows("SELECT action FROM audit WHERE actor = 'jon@example.org' ORDER BY id")
        assert [one[0] for one in acts] == ["config.end_staged", "config.rollback", "config.change"]
        assert (await refused(ships.act("promote"), "CONFLICT")).detail.startswith(
            "Rolled back by jon@example.org: to "
        )
        back = await ships.one.rollback(4)
        assert (back.restores, [one.text for one in back.differences]) == (3, ["items per second 50 -> no limit"])


@pytest.mark.gen_test
async def test_setting_what_the_base_has_ends_it_and_so_does_a_tight_value_that_lasts_longer(make_env: MakeEnv) -> None:
    async with fleet(make_env, 2) as ships:
        await ships.one.change(1, {BATCH: 1000})
        await ships.stage(2, **{BATCH: 5000})
        undone = await ships.one.change(3, {BATCH: 1000}, JON)
        assert undone.message == "Revision 4 (= 2) is in force. Revision 3, which was staged, is rolled back."
        await ships.in_force(4, 4)
        tight = await ships.one.change(4, {RATE: 50}, minutes=30)
        until_at = tight.differences[0].after_until
        assert until_at is not None
        await ships.stage(5, **{BATCH: 5000})
        wanted: dict[str, Any] = {"setting": RATE, "scope": "all", "until": until_at.timestamp(), "minutes": 5}
        longer = await service.extend(ships.one, MIRA, request_id="", **wanted)  # type: ignore[arg-type]
        assert longer.message == "Revision 8 is in force. Revision 6, which was staged, is rolled back."
        await ships.in_force(8, 8)
        assert {await limit(one) for one in ships.all} == {1000}
        await ships.stage(8, **{RATE: 60})
        # With a temporary value staged over the base's own, the longer one takes its place and stands beside none.
        await ships.one.rollback(9)
        mine = await ships.one.change(10, {RATE: 40}, minutes=30, stage=QUARTER)
        staged_until = mine.differences[0].after_until
        assert staged_until is not None
        wanted["until"] = staged_until.timestamp()
        await service.extend(ships.one, MIRA, request_id="", **wanted)  # type: ignore[arg-type]
        held = await ships.one.rows("SELECT values FROM revisions ORDER BY number DESC LIMIT 1")
        assert [(one["setting"], one["value"]) for one in held[0][0]] == [(BATCH, 1000), (RATE, 40)]
