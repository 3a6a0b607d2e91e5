"""Acts on the settings on a real database: races, repeats, expiry, and what is written down."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from server.config import service
from server.config.expiry import expire_due
from server.config.saving import Saved
from server.kernel.errors import ApiError
from tests.config.machine import JON, MIRA, Member, member, members, pretend_time_is_over, refused
from tests.conftest import MakeEnv
from tests.waiting import until

BATCH, RATE = "INGEST_MAX_BATCH_ITEMS", "INGEST_MAX_ITEMS_PER_SECOND"


async def numbers(one: Member) -> list[int]:
    return [row[0] for row in await one.rows("SELECT number FROM revisions ORDER BY number")]


@pytest.mark.gen_test
async def test_of_two_changes_of_the_same_revision_one_wins_and_the_other_learns_who(make_env: MakeEnv) -> None:
    async with members(make_env(), 4) as all_of_them:
        results = await asyncio.gather(
            *(m.change(1, {BATCH: 100 + i}, [MIRA, JON][i % 2], reason=f"try {i}") for i, m in enumerate(all_of_them)),
            return_exceptions=True,
        )
        won = [r for r in results if isinstance(r, Saved)]
        lost = [r for r in results if isinstance(r, ApiError)]
        assert (len(won), len(lost)) == (1, 3)
        assert await numbers(all_of_them[0]) == [1, 2]
        for error in lost:
            assert error.code == "REVISION_CHANGED"
            assert won[0].author in error.detail
            assert error.extra["saved"][0]["revision"] == 2
            assert error.extra["saved"][0]["differences"][0]["after"] == won[0].differences[0].after


@pytest.mark.gen_test
async def test_a_rollback_pressed_many_times_is_done_once_and_says_who_did_it(make_env: MakeEnv) -> None:
    async with members(make_env(), 4) as all_of_them:
        one = all_of_them[0]
        await one.change(1, {BATCH: 100}, JON)
        people = [MIRA, JON, MIRA, JON]
        results = await asyncio.gather(*(m.rollback(2, 1, who) for m, who in zip(all_of_them, people, strict=True)))
        assert await numbers(one) == [1, 2, 3]
        done = [r for r in results if not r.already]
        assert len(done) == 1
        for repeat in (r for r in results if r.already):
            assert (repeat.revision, repeat.author, repeat.at) == (3, done[0].author, done[0].at)
            assert repeat.message.startswith(f"Already rolled back to 1 by {done[0].author}, ")
        assert (await one.rows("SELECT count(*) FROM audit WHERE action = 'config.rollback'"))[0][0] == 1


@pytest.mark.gen_test
async def test_rolling_back_a_rollback_needs_a_name_and_then_undoes_it(make_env: MakeEnv) -> None:
    async with member(make_env()) as one:
        await one.change(1, {BATCH: 100})
        back = await one.rollback()
        assert (back.revision, back.restores, back.differences[0].text) == (3, 1, "batch items 100 -> 1000")
        assert back.undo is not None
        assert (back.undo.from_, back.undo.to, back.undo.label) == (3, 2, "Undo: batch items 1000 -> 100, back to 2")
        assert (await refused(one.rollback(), "ROLLBACK_AMBIGUOUS")).extra["undo"] == 2
        assert (await refused(one.rollback(from_=3), "ROLLBACK_AMBIGUOUS")).extra["in_force"] == 3
        again = await one.rollback(to=1, who=JON)
        assert (again.already, again.revision, again.author) == (True, 3, MIRA.actor)
        undone = await one.rollback(3, 2, JON)
        assert (undone.revision, undone.restores, undone.differences[0].after) == (4, 2, 100)
        late = await one.rollback(2, 1, JON)
        assert late.already
        assert late.in_force == 4
        assert late.message.endswith(f"Revision 4 by {JON.actor} is in force now.")
        assert await numbers(one) == [1, 2, 3, 4]


@pytest.mark.gen_test
async def test_a_rollback_of_what_somebody_changed_meanwhile_is_refused_and_names_it(make_env: MakeEnv) -> None:
    async with member(make_env()) as one:
        await one.change(1, {BATCH: 100})
        await one.change(2, {RATE: 50}, JON)
        error = await refused(one.rollback(2, 1), "CONFLICT")
        assert "jon@example.org saved 3" in error.detail
        assert "items per second no limit -> 50" in error.detail
        assert await numbers(one) == [1, 2, 3]
        assert (await refused(one.rollback(9, 1), "INVALID")).extra["errors"][0]["field"] == "from"
        assert (await refused(one.rollback(3, 9), "INVALID")).extra["errors"][0]["field"] == "to"


@pytest.mark.gen_test
async def test_the_end_of_a_value_restores_only_its_own_setting(make_env: MakeEnv) -> None:
    async with member(make_env(INGEST_MAX_BATCH_ITEMS="700")) as one:
        await one.change(1, {BATCH: 100}, minutes=30)
        await one.change(2, {RATE: 50})
        assert await expire_due(one.db, one.bus, one.settings.environment) is None
        await pretend_time_is_over(one)
        ended = await asyncio.gather(*(expire_due(one.db, one.bus, one.settings.environment) for _ in range(3)))
        assert sorted(ended, key=str) == [4, None, None]
        rows = await one.rows("SELECT kind, author, values FROM revisions WHERE number = 4")
        assert rows[0] == ("expiry", "evenkeel", [{"setting": RATE, "value": 50, "scope": "all", "until": None}])
        summary = (await one.rows("SELECT summary FROM changes WHERE version = '4'"))[0][0]
        assert summary == "revision 4: batch items 100 -> 700"


@pytest.mark.gen_test
async def test_the_end_of_a_value_that_was_replaced_changes_nothing(make_env: MakeEnv) -> None:
    async with member(make_env()) as one:
        await one.change(1, {BATCH: 100}, minutes=30)
        await one.change(2, {BATCH: 200})
        await pretend_time_is_over(one)
        assert await expire_due(one.db, one.bus, {}) is None
        assert await numbers(one) == [1, 2, 3]


@pytest.mark.gen_test
async def test_a_rollback_does_not_bring_back_what_has_ended_and_undoes_the_last_act_over_an_end(
    make_env: MakeEnv,
) -> None:
    async with member(make_env()) as one:
        await one.change(1, {BATCH: 100}, minutes=30)
        await one.change(2, {RATE: 50})
        await pretend_time_is_over(one)
        assert await expire_due(one.db, one.bus, {}) == 4
        saved = await one.rollback(from_=3)
        assert [d.text for d in saved.differences] == ["items per second 50 -> no limit"]
        assert (saved.revision, saved.restores, saved.already) == (5, 2, False)
        assert (await one.rows("SELECT values FROM revisions WHERE number = 5"))[0][0] == []


@pytest.mark.gen_test
async def test_extending_twice_extends_once_and_what_has_ended_cannot_be_extended(make_env: MakeEnv) -> None:
    async with member(make_env()) as one:
        saved = await one.change(1, {BATCH: 100}, minutes=10)
        until = saved.differences[0].after_until
        assert until is not None

        def extend() -> Any:
            wanted = {"setting": BATCH, "scope": "all", "until": until.timestamp(), "minutes": 30, "request_id": ""}
            return service.extend(one, MIRA, **wanted)  # type: ignore[arg-type]

        results = await asyncio.gather(extend(), extend())
        assert sorted(r.already for r in results) == [False, True]
        extended = next(r for r in results if not r.already)
        assert extended.differences[0].after_until == until + timedelta(minutes=30)
        assert extended.differences[0].after == 100
        await pretend_time_is_over(one)
        await expire_due(one.db, one.bus, {})
        await refused(extend(), "CONFLICT")


@pytest.mark.gen_test
async def test_a_key_has_its_own_limit_only_while_it_is_in_use(make_env: MakeEnv) -> None:
    async with member(make_env()) as one:
        await one.do(
            """INSERT INTO api_keys (name, prefix, digest, scopes, created_by) VALUES
               ('ci-loadgen', 'ek_', '\\x01', '{ingest}', 'test'), ('other', 'ek_', '\\x02', '{ingest}', 'test')"""
        )
        saved = await one.change(1, {BATCH: 100}, scope="key:1")
        assert saved.differences[0].text == "batch items 1000 -> 100 for ci-loadgen"
        await until(lambda: one.settings.revision >= 2, "revision 2")
        limits = [one.settings.limits_for(key).ingest_max_batch_items for key in (0, 1, 2)]
        assert limits == [1000, 100, 1000]
        await one.do("UPDATE api_keys SET revoked_at = now() WHERE id = 2")
        error = await refused(one.change(2, {BATCH: 100}, scope="key:2"), "INVALID")
        assert "key:1 (ci-loadgen)" in error.detail
        await refused(one.change(2, {BATCH: 100}, scope="key:77"), "INVALID")


@pytest.mark.gen_test
async def test_a_revision_its_audit_entry_and_its_change_are_stored_together_or_not_at_all(make_env: MakeEnv) -> None:
    async with member(make_env()) as one:
        await one.change(1, {BATCH: 100}, reason="surge from ci-loadgen")
        audit = await one.rows("SELECT actor, action, subject, before, after, request_id FROM audit")
        assert audit[0][:3] == ("mira@example.org", "config.change", "revision 2")
        assert audit[0][3] == {"revision": 1, "values": []}
        assert audit[0][4]["values"][0]["value"] == 100
        assert audit[0][5] == "r-1"
        change = await one.rows("SELECT kind, version, summary, author FROM changes")
        assert change == [("revision", "2", "revision 2: batch items 1000 -> 100", "mira@example.org")]
        await one.do("ALTER TABLE changes RENAME TO changes_away")
        with pytest.raises(Exception, match="changes"):
            await one.rollback()
        assert await numbers(one) == [1, 2]
        assert len(await one.rows("SELECT 1 FROM audit")) == 1
        await until(lambda: one.settings.revision >= 2, "revision 2")
        assert one.settings.limits_for(0).ingest_max_batch_items == 100


@pytest.mark.gen_test
async def test_a_change_that_changes_nothing_makes_no_revision(make_env: MakeEnv) -> None:
    async with member(make_env()) as one:
        await one.change(1, {BATCH: 100})
        assert (await one.change(2, {BATCH: 100})).already
        assert (await one.change(2, {RATE: None})).already
        assert await numbers(one) == [1, 2]


@pytest.mark.parametrize(
    ("values", "more", "field"),
    [
        ({}, {}, "values"),
        ({"NO_SUCH": 1}, {}, "values.NO_SUCH"),
        ({BATCH: 0}, {}, f"values.{BATCH}"),
        ({BATCH: True}, {}, f"values.{BATCH}"),
        ({BATCH: 10**30}, {}, f"values.{BATCH}"),
        ({"INGEST_STORE_OUTCOMES": 1}, {}, "values.INGEST_STORE_OUTCOMES"),
        ({BATCH: None}, {"minutes": 5}, f"values.{BATCH}"),
        ({BATCH: 1}, {"minutes": 0}, "minutes"),
        ({BATCH: 1}, {"minutes": 10**12}, "minutes"),
        ({BATCH: 1}, {"reason": "  \n "}, "reason"),
        ({BATCH: 1}, {"reason": "nul \x00"}, "reason"),
        ({BATCH: 1}, {"reason": "\ud800"}, "reason"),
        ({BATCH: 1}, {"reason": "x" * 501}, "reason"),
        ({BATCH: 1}, {"scope": "key:x"}, "scope"),
    ],
)
@pytest.mark.gen_test
async def test_what_is_wrong_is_named_and_nothing_is_saved(
    make_env: MakeEnv, values: dict[str, Any], more: dict[str, Any], field: str
) -> None:
    async with member(make_env()) as one:
        error = await refused(one.change(1, values, **more), "INVALID")
        assert error.extra["errors"][0]["field"] == field
        assert await numbers(one) == [1]
