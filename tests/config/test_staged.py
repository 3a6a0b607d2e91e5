"""A staged revision on a real database: several processes, the watch's looks, and whoever acts meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.exc import ProgrammingError

from server.config.service import StagedActDone
from server.config.staged import StagingAsked
from server.kernel.errors import ApiError
from server.process.watch import Fenced
from tests.config.fleet import BATCH, fleet, limit
from tests.config.machine import JON, members, objective, refused
from tests.conftest import MakeEnv
from tests.waiting import PATIENCE_S, until


@pytest.mark.gen_test
async def test_it_is_in_force_in_its_share_until_it_has_baked_and_then_everywhere(make_env: MakeEnv) -> None:
    async with fleet(make_env) as ships:
        saved = await ships.stage()
        assert saved.message == "Revision 2 is staged on 1 of 4 processes for 10 min."
        await ships.in_force(2, 1)
        await ships.proven(2)
        assert [await limit(one) for one in await ships.chosen()] == [100]
        assert {await limit(one) for one in await ships.others()} == {1000}
        assert len(await ships.one.rows("SELECT 1 FROM receipts WHERE revision = 2")) == 1
        await ships.look()
        view = await ships.view()
        assert view.staged is not None
        assert view.staged.where == "Revision 2 staged on 1 of 4 processes"
        assert view.staged.text == "baked 0 s of 10 min · no objective burns"
        assert (view.staged.applied, view.progress.complete, view.staged.ends_at is not None) == (1, True, True)
        assert [(one.due, one.state) for one in view.progress.receipts].count((1, "applied")) == 3
        batch = next(one for one in view.settings if one.name == BATCH)
        assert (batch.in_force.value, [one.text for one in batch.staged]) == (1000, ["batch items 1000 -> 100"])
        await ships.one.do("UPDATE rollouts SET baked_s = 597.6")
        await ships.looked_ago(0.1)
        await ships.look()
        assert (await ships.staged()).state == "running", "seconds are missing"
        await ships.looked_ago(60)
        await ships.look()
        await ships.in_force(2, 2)
        ended = (await ships.view()).staged
        assert ended is not None
        assert ended.where == "Revision 2 promoted to every process"
        assert ended.text == "Promoted by Evenkeel: baked 10 min and no objective started to burn"
        told = await ships.one.rows("SELECT author, summary FROM changes ORDER BY id")
        assert told == [
            ("mira@example.org", "revision 2: batch items 1000 -> 100, staged on 1 of 4 processes for 10 min"),
            ("evenkeel", "revision 2 promoted to every process: batch items 1000 -> 100"),
        ]
        actions = await ships.one.rows("SELECT actor, action FROM audit ORDER BY id")
        assert actions == [("mira@example.org", "config.stage"), ("evenkeel", "config.promote")]


@pytest.mark.gen_test
async def test_after_a_promotion_the_receipts_are_timed_from_it(make_env: MakeEnv) -> None:
    async with fleet(make_env) as ships:
        await ships.stage()
        await ships.proven(2)
        await ships.one.do("UPDATE revisions SET at = at - interval '10 min' WHERE number = 2")
        await ships.act("promote")
        await ships.in_force(2, 2)
        async with asyncio.timeout(PATIENCE_S):
            while not (progress := (await ships.view()).progress).complete:
                await asyncio.sleep(0.01)
        assert progress.slowest_ms is not None
        elsewhere = [one.applied_after_ms for one in progress.receipts if one.process != "web.1"]
        assert all(one is not None and one < 5000 for one in elsewhere)


@pytest.mark.gen_test
async def test_of_acts_at_the_same_time_one_ends_it_and_the_others_learn_who(make_env: MakeEnv) -> None:
    async with fleet(make_env) as ships:
        await ships.stage()
        await ships.proven(2)
        ships.show(objective("evenkeel-availability", "burning", 30.0))
        results = await asyncio.gather(
            ships.look(),
            ships.act("promote"),
            ships.act("promote", who=JON),
            ships.act("roll_back", who=JON),
            return_exceptions=True,
        )
        newest = (await ships.view()).revision
        await ships.in_force(newest.revision, newest.revision)
        staged = await ships.staged()
        ends = await ships.one.rows("SELECT 1 FROM audit WHERE action IN ('config.promote', 'config.end_staged')")
        assert len(ends) == 1
        for result in results:
            if isinstance(result, ApiError):
                assert result.code == "CONFLICT"
                assert any(who in result.detail for who in ("mira@example.org", "jon@example.org", "Evenkeel"))
            else:
                assert result is None or isinstance(result, StagedActDone)
        # Jon's brake is never lost: whoever was first, the base is in force in the end.
        assert (newest.kind, newest.restores, staged.live) == ("rollback", 1, False)
        assert {await limit(one) for one in ships.all} == {1000}


@pytest.mark.gen_test
async def test_a_promotion_pressed_twice_is_done_once_and_says_who_did_it(make_env: MakeEnv) -> None:
    async with fleet(make_env, 2) as ships:
        await ships.stage()
        done = await asyncio.gather(ships.act("promote"), ships.act("promote", who=JON))
        assert sorted(one.already for one in done) == [False, True]
        repeat = next(one for one in done if one.already)
        assert repeat.message.startswith(f"Already promoted by {(await ships.staged()).state_by}, ")
        back = await ships.act("roll_back", who=JON)
        assert (back.already, back.message) == (False, "Revision 3 (= 1) is in force.")
        await ships.in_force(3, 3)


@pytest.mark.gen_test
async def test_another_process_stands_in_for_a_chosen_one_that_died_and_one_that_wakes_up_takes_the_base(
    make_env: MakeEnv,
) -> None:
    async with fleet(make_env, 3) as ships:
        await ships.stage()
        await ships.in_force(2, 1)
        await ships.proven(2)
        (died,) = await ships.chosen()
        await ships.one.do(f"UPDATE processes SET heartbeat_at = now() - interval '31 s' WHERE id = {died.process.id}")
        await ships.look()
        (stand_in,) = await ships.chosen()
        assert stand_in is ships.all[2], "the newest"
        await ships.in_force(2, 1)
        query = f"""SELECT revision FROM receipts WHERE process_id = {died.process.id}
                    ORDER BY applied_at DESC LIMIT 1"""
        async with asyncio.timeout(PATIENCE_S):
            while (await died.rows(query))[0][0] != 1:
                await asyncio.sleep(0.01)
        await ships.one.do("UPDATE processes SET heartbeat_at = now()")
        seen = {one.process: (one.revision, one.state) for one in (await ships.view()).progress.receipts}
        assert seen == {"web.1": (1, "applied"), "web.2": (1, "applied"), "web.3": (2, "applied")}


@pytest.mark.gen_test
async def test_it_is_never_in_every_process_and_one_that_starts_takes_the_base(make_env: MakeEnv) -> None:
    async with fleet(make_env, 2) as ships:
        await ships.stage()
        await ships.proven(2)
        (chosen,) = await ships.chosen()
        (other,) = await ships.others()
        dead = f"UPDATE processes SET stopped_at = now() WHERE id = {chosen.process.id}"
        await other.do(dead)
        await ships.look()
        assert list((await ships.staged()).chosen) == [chosen.process.id], "nobody can stand in"
        assert other.settings.revision == 1
        assert (await ships.staged()).held == "a process that has gone has not applied it"
        async with members(make_env(), 1) as (fresh,):
            assert fresh.settings.revision == 1
            await ships.look()
            await until(lambda: fresh.settings.revision == 2, "the stand-in")
            assert other.settings.revision == 1


@pytest.mark.gen_test
async def test_what_cannot_be_staged_is_refused_with_the_reason(make_env: MakeEnv) -> None:
    async with fleet(make_env, 1) as ships:
        assert "one web process runs" in (await refused(ships.stage(), "INVALID")).detail
        for asked, minutes, field in (
            (StagingAsked(1.0, 10), None, "stage.share"),
            (StagingAsked(float("nan"), 10), None, "stage.share"),
            (StagingAsked(0.5, 0), None, "stage.bake_minutes"),
            (StagingAsked(0.5, 30), 30, "stage.bake_minutes"),
        ):
            wanted = ships.one.change(1, {BATCH: 100}, minutes=minutes, stage=asked)
            assert (await refused(wanted, "INVALID")).extra["errors"][0]["field"] == field
        ships.one.relay.old_s = 8.0
        assert "for 8 s, so nothing would guard" in (await refused(ships.stage(), "UNAVAILABLE")).detail
        ships.one.relay.picture = None
        await refused(ships.stage(), "UNAVAILABLE")
        assert await ships.one.rows("SELECT 1 FROM revisions WHERE number > 1") == []
        assert await ships.one.rows("SELECT 1 FROM rollouts") == []


@pytest.mark.gen_test
async def test_a_watch_that_was_replaced_or_dies_half_way_changes_nothing_and_two_promote_once(
    make_env: MakeEnv,
) -> None:
    async with fleet(make_env, 2) as ships:
        await ships.stage()
        await ships.proven(2)
        await ships.look()
        await ships.one.do("UPDATE rollouts SET baked_s = 600")
        await ships.one.do("UPDATE lease SET term = 2")
        with pytest.raises(Fenced):
            await ships.look(1)
        await ships.one.do("ALTER TABLE changes RENAME TO changes_away")
        with pytest.raises(ProgrammingError, match='relation "changes" does not exist'):
            await ships.look(2)
        await ships.one.do("ALTER TABLE changes_away RENAME TO changes")
        assert (await ships.staged()).state == "running"
        assert (await ships.one.rows("SELECT count(*) FROM audit WHERE action = 'config.promote'"))[0][0] == 0
        await asyncio.gather(ships.look(2), ships.look(2), ships.look(2))
        assert (await ships.one.rows("SELECT count(*) FROM audit WHERE action = 'config.promote'"))[0][0] == 1
        await ships.in_force(2, 2)
