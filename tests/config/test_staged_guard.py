"""What the bake looks at: objectives that burn, receipts, and a clock that counts only what was looked at."""

from __future__ import annotations

import time

import pytest

from tests.config.fleet import BATCH, RATE, fleet, limit
from tests.config.machine import JON, objective, refused
from tests.conftest import MakeEnv


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
        assert [one.rollback is not None for one in view.history[:2]] == [False, True], "History has it"
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
async def test_a_revision_answers_for_what_began_after_it_was_staged(make_env: MakeEnv) -> None:
    async with fleet(make_env, 2) as ships:
        await ships.stage()
        await ships.proven(2)
        burning = objective("cart-latency", "burning", 1.3)
        burning.onset = time.time() - 300  # the test has only just found what began long before
        ships.show(burning)
        await ships.look()
        found = await ships.staged()
        assert (found.state, found.known) == ("running", ["cart-latency"])
        later = objective("evenkeel-availability", "burning", 14.4)
        later.onset = time.time()
        ships.show(burning, later)
        await ships.look()
        found = await ships.staged()
        assert (found.state, found.why) == ("rolled_back", "evenkeel-availability burns 14.4x")


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
        await ships.all[0].settings.close()
        await ships.stage()
        await ships.look()
        assert (await ships.staged()).held == "web.1 has not applied it"
        view = (await ships.view()).staged
        assert view is not None
        assert (view.applied, view.ends_at) == (0, None)
