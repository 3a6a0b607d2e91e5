"""A staged revision on a real database: several processes, the watch's looks, and whoever acts meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from server.config import service, staged_store
from server.config.bake import Bake
from server.config.expiry import expire_due
from server.config.rollout_acts import RolloutAct, RolloutDone, act_on
from server.config.saving import Saved
from server.config.staged import RolloutAsked, Staged
from server.config.view import ConfigView, config_view
from server.errors import ApiError
from server.watch import Fenced
from tests.config.machine import JON, MIRA, Member, members, objective, pretend_time_is_over
from tests.config.test_service import refused
from tests.conftest import MakeEnv
from tests.waiting import PATIENCE_S, until

BATCH, RATE = "INGEST_MAX_BATCH_ITEMS", "INGEST_MAX_ITEMS_PER_SECOND"
QUARTER = RolloutAsked(0.25, 10)


@dataclass
class Fleet:
    """Several web processes and a watch of term 1, which looks when it is told to."""

    all: list[Member]
    bake: Bake

    @property
    def one(self) -> Member:
        return self.all[0]

    async def stage(self, expected: int = 1, **values: int) -> Saved:
        return await self.one.change(expected, values or {BATCH: 100}, rollout=QUARTER)

    async def look(self, term: int = 1) -> None:
        await self.bake.run(term)

    async def act(self, act: RolloutAct, revision: int = 2, who: Any = MIRA) -> RolloutDone:
        return await act_on(self.one, who, act, revision, "r-3")  # type: ignore[arg-type]

    async def staged(self) -> Staged:
        async with self.one.db.act() as connection:
            found = await staged_store.latest(connection)
        assert found is not None
        return found

    async def view(self) -> ConfigView:
        return await config_view(self.one, time.time())  # type: ignore[arg-type]

    async def chosen(self) -> list[Member]:
        ids = (await self.staged()).chosen
        return [one for one in self.all if one.process.id in ids]

    async def others(self) -> list[Member]:
        ids = (await self.staged()).chosen
        return [one for one in self.all if one.process.id not in ids]

    async def in_force(self, in_chosen: int, elsewhere: int) -> None:
        chosen, others = await self.chosen(), await self.others()
        await until(lambda: all(one.rollout.revision == in_chosen for one in chosen), f"{in_chosen} in the chosen")
        await until(lambda: all(one.rollout.revision == elsewhere for one in others), f"{elsewhere} elsewhere")

    async def proven(self, number: int) -> None:
        """Every chosen process has its receipt."""
        for one in await self.chosen():
            query = f"SELECT 1 FROM receipts WHERE revision = {number} AND process_id = {one.process.id}"
            async with asyncio.timeout(PATIENCE_S):
                while not await one.rows(query):
                    await asyncio.sleep(0.005)

    async def looked_ago(self, seconds: float) -> None:
        """As if the watch had looked last that long ago."""
        await self.one.do(f"UPDATE rollouts SET checked_at = clock_timestamp() - interval '{seconds} s'")

    def show(self, *objectives: Any, firing: tuple[str, ...] = ()) -> None:
        for one in self.all:
            one.relay.show(*(objectives or (objective(),)), firing=firing)


@asynccontextmanager
async def fleet(make_env: MakeEnv, count: int = 4) -> AsyncIterator[Fleet]:
    async with members(make_env(), count) as all_of_them:
        one = all_of_them[0]
        await one.do("UPDATE lease SET term = 1, renewed_at = now()")
        standing = lambda: service.guard(one, time.time())  # type: ignore[arg-type]  # noqa: E731
        found = Fleet(all_of_them, Bake(one.db, one.bus, one.rollout.environment, standing))
        found.show()
        yield found


async def limit(one: Member) -> int:
    return one.rollout.limits_for(0).ingest_max_batch_items


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
        assert (view.staged.applied, view.rollout.complete, view.staged.ends_at is not None) == (1, True, True)
        assert [(one.due, one.state) for one in view.rollout.receipts].count((1, "applied")) == 3
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
            while not (progress := (await ships.view()).rollout).complete:
                await asyncio.sleep(0.01)
        assert progress.slowest_ms is not None
        elsewhere = [one.applied_after_ms for one in progress.receipts if one.process != "web.1"]
        assert all(one is not None and one < 5000 for one in elsewhere)


@pytest.mark.gen_test
async def test_an_objective_that_starts_to_burn_brings_the_base_back_with_the_evidence(make_env: MakeEnv) -> None:
    async with fleet(make_env) as ships:
        ships.show(objective(), objective("cart-latency", "burning", 20.0))
        saved = await ships.stage()
        assert saved.message.endswith("Burning before, so it does not end it: cart-latency burns 20x.")
        await ships.in_force(2, 1)
        await ships.proven(2)
        await ships.look()
        view = await ships.view()
        assert view.staged is not None
        assert view.staged.text.endswith("no objective burns but cart-latency, which burned before")
        ships.show(objective("evenkeel-availability", "burning", 14.4), objective("cart-latency", "burning", 20.0))
        await ships.look()
        await ships.in_force(3, 3)
        assert {await limit(one) for one in ships.all} == {1000}
        last = (await ships.view()).history[0]
        assert (last.revision, last.kind, last.restores, last.author) == (3, "rollback", 1, "evenkeel")
        assert last.reason == "evenkeel-availability burns 14.4x since revision 2 was staged on 1 process"
        view = await ships.view()
        assert view.staged is not None
        assert view.staged.text == "Rolled back by Evenkeel: evenkeel-availability burns 14.4x"
        assert view.rollback is None, "what has just burned is not one click away"
        assert view.staged.where == "Revision 2 rolled back from 1 process"
        batch = next(one for one in view.settings if one.name == BATCH)
        assert batch.last_change is not None
        assert (batch.last_change.revision, batch.last_change.rollback) == (3, None), "nor on Now"
        assert view.history[0].rollback is not None or view.history[1].rollback is not None, "History has it"
        repeat = await ships.act("roll_back", who=JON)
        assert repeat.already
        assert repeat.message.startswith("Already rolled back to 1 by evenkeel, ")
        await ships.one.change(3, {RATE: 50})
        assert (await ships.view()).staged is None, "somebody has gone on"


@pytest.mark.gen_test
async def test_what_burned_before_ends_it_once_it_has_recovered_and_an_alert_that_fires_ends_it(
    make_env: MakeEnv,
) -> None:
    async with fleet(make_env, 2) as ships:
        burning = objective("cart-latency", "burning", 20.0)
        for second in (lambda: ships.show(burning), lambda: ships.show(objective(), firing=("cart-latency",))):
            ships.show(burning)
            expected = (await ships.view()).revision.revision
            await ships.stage(expected)
            await ships.look()
            ships.show(objective("cart-latency", "blind"))
            await ships.look()
            ships.show(burning)
            await ships.look()
            assert (await ships.staged()).state == "running", "while it was blind nobody knew that it had recovered"
            ships.show(objective("cart-latency"))
            await ships.look()
            second()
            await ships.look()
            assert (await ships.staged()).state == "rolled_back"


@pytest.mark.gen_test
async def test_the_clock_counts_only_what_was_looked_at_and_a_pause_stops_it_but_not_the_guard(
    make_env: MakeEnv,
) -> None:
    async with fleet(make_env, 2) as ships:
        await ships.stage()
        await ships.proven(2)
        await ships.look()

        async def looked(after_s: float) -> float:
            before = (await ships.staged()).baked_s
            await ships.looked_ago(after_s)
            await ships.look()
            return round((await ships.staged()).baked_s - before, 1)

        assert 1 <= await looked(1) <= 2.5
        assert await looked(60) == 2.5, "a watch that was away has seen nothing"
        await ships.act("pause")
        assert (await ships.act("pause", who=JON)).message.startswith("Already paused by mira@example.org, ")
        assert (await looked(1), await looked(1)) == (0.0, 0.0)
        assert (await ships.act("resume")).staged.state == "running"
        assert await looked(1) == 0.0
        assert 1 <= await looked(1) <= 2.5
        ships.show(objective("evenkeel-availability", "partial"))
        assert (await looked(1), await looked(1), (await ships.staged()).held) == (0.0, 0.0, "evenkeel is partial")
        ships.show()
        ships.one.relay.old_s = 9.0
        assert await looked(1) == 0.0
        assert (await ships.staged()).held == "objectives have not been evaluated for 9 s"
        ships.one.relay.old_s = 0.5
        await ships.act("pause")
        ships.show(objective("evenkeel-availability", "burning", 30.0))
        await ships.look()
        assert (await ships.staged()).state == "rolled_back"
        assert "Rolled back by Evenkeel" in (await refused(ships.act("promote"), "CONFLICT")).detail


@pytest.mark.gen_test
async def test_without_a_receipt_of_every_chosen_process_the_clock_stands(make_env: MakeEnv) -> None:
    async with fleet(make_env, 2) as ships:
        await ships.all[0].rollout.close()
        await ships.stage()
        await ships.look()
        assert (await ships.staged()).held == "web.1 has not applied it"
        view = (await ships.view()).staged
        assert view is not None
        assert (view.applied, view.ends_at) == (0, None)


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
        await ships.one.change(2, {BATCH: 1000}, rollout=QUARTER)
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
        await refused(ships.one.change(3, {RATE: 40}, JON, rollout=QUARTER), "CONFLICT")
        await refused(ships.one.change(2, {RATE: 40}, JON), "CONFLICT")
        nothing = await ships.one.change(3, {RATE: 50}, JON)
        assert (await ships.staged()).state == "running"
        assert nothing.already
        await ships.act("promote", 3)
        assert (await ships.one.change(3, {RATE: 60}, JON)).revision == 4
        assert "was not staged" in (await refused(ships.act("promote", 4), "CONFLICT")).detail


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
        ends = await ships.one.rows("SELECT 1 FROM audit WHERE action IN ('config.promote', 'config.end_rollout')")
        assert len(ends) == 1
        for result in results:
            if isinstance(result, ApiError):
                assert result.code == "CONFLICT"
                assert "by" in result.detail
            else:
                assert result is None or isinstance(result, RolloutDone)
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
        seen = {one.process: (one.revision, one.state) for one in (await ships.view()).rollout.receipts}
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
        assert other.rollout.revision == 1
        assert (await ships.staged()).held == "a process that has gone has not applied it"
        async with members(make_env(), 1) as (fresh,):
            assert fresh.rollout.revision == 1
            await ships.look()
            await until(lambda: fresh.rollout.revision == 2, "the stand-in")
            assert other.rollout.revision == 1


@pytest.mark.gen_test
async def test_what_cannot_be_staged_is_refused_with_the_reason(make_env: MakeEnv) -> None:
    async with fleet(make_env, 1) as ships:
        assert "one web process runs" in (await refused(ships.stage(), "INVALID")).detail
        for asked, minutes, field in (
            (RolloutAsked(1.0, 10), None, "rollout.share"),
            (RolloutAsked(float("nan"), 10), None, "rollout.share"),
            (RolloutAsked(0.5, 0), None, "rollout.bake_minutes"),
            (RolloutAsked(0.5, 30), 30, "rollout.bake_minutes"),
        ):
            wanted = ships.one.change(1, {BATCH: 100}, minutes=minutes, rollout=asked)
            assert (await refused(wanted, "INVALID")).extra["errors"][0]["field"] == field
        ships.one.relay.old_s = 8.0
        assert "for 8 s, so nothing would guard" in (await refused(ships.stage(), "UNAVAILABLE")).detail
        ships.one.relay.picture = None
        await refused(ships.stage(), "UNAVAILABLE")
        assert await ships.one.rows("SELECT 1 FROM revisions WHERE number > 1") == []
        assert await ships.one.rows("SELECT 1 FROM rollouts") == []


@pytest.mark.gen_test
async def test_a_value_that_ends_meanwhile_ends_on_both_sides(make_env: MakeEnv) -> None:
    async with fleet(make_env) as ships:
        await ships.one.change(1, {RATE: 50}, minutes=30)
        await ships.stage(2)
        await ships.in_force(3, 2)
        await pretend_time_is_over(ships.one)
        ended = await asyncio.gather(*(expire_due(m.db, m.bus, m.rollout.environment) for m in ships.all[:3]))
        assert sorted(ended, key=str) == [5, None, None]
        await ships.in_force(5, 4)
        limits = [one.rollout.limits_for(0) for one in (*await ships.chosen(), *await ships.others())]
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
        await ships.one.change(1, {BATCH: 100}, minutes=30, rollout=QUARTER)
        await ships.in_force(2, 1)
        await pretend_time_is_over(ships.one)
        assert await expire_due(ships.one.db, ships.one.bus, {}) == 3
        await ships.in_force(3, 3)
        assert {await limit(one) for one in ships.all} == {1000}
        view = (await ships.view()).staged
        assert view is not None
        assert view.text == "Rolled back by Evenkeel: the time of its temporary value is over"


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
        with pytest.raises(Exception, match="changes"):
            await ships.look(2)
        await ships.one.do("ALTER TABLE changes_away RENAME TO changes")
        assert (await ships.staged()).state == "running"
        assert (await ships.one.rows("SELECT count(*) FROM audit WHERE action = 'config.promote'"))[0][0] == 0
        await asyncio.gather(ships.look(2), ships.look(2), ships.look(2))
        assert (await ships.one.rows("SELECT count(*) FROM audit WHERE action = 'config.promote'"))[0][0] == 1
        await ships.in_force(2, 2)


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
        assert [one[0] for one in acts] == ["config.end_rollout", "config.rollback", "config.change"]
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
        mine = await ships.one.change(10, {RATE: 40}, minutes=30, rollout=QUARTER)
        staged_until = mine.differences[0].after_until
        assert staged_until is not None
        wanted["until"] = staged_until.timestamp()
        await service.extend(ships.one, MIRA, request_id="", **wanted)  # type: ignore[arg-type]
        held = await ships.one.rows("SELECT values FROM revisions ORDER BY number DESC LIMIT 1")
        assert [(one["setting"], one["value"]) for one in held[0][0]] == [(BATCH, 1000), (RATE, 40)]
