"""What the page is given."""

import time

import pytest

from server.config.registry import SETTINGS
from server.config.service import extend
from server.config.view import ConfigView, SettingView, config_view
from tests.config.machine import JON, MIRA, Member, member, members
from tests.conftest import MakeEnv
from tests.waiting import until

BATCH, RATE, STORE = "INGEST_MAX_BATCH_ITEMS", "INGEST_MAX_ITEMS_PER_SECOND", "INGEST_STORE_OUTCOMES"


async def view_of(one: Member, now: float | None = None) -> ConfigView:
    return await config_view(one, now or time.time())  # type: ignore[arg-type]


def setting(view: ConfigView, name: str) -> SettingView:
    return next(one for one in view.settings if one.name == name)


@pytest.mark.gen_test
async def test_a_fresh_start_shows_the_defaults_and_nothing_to_roll_back(make_env: MakeEnv) -> None:
    async with member(make_env()) as one:
        view = await view_of(one)
        assert (view.revision.revision, view.rollback, view.more) == (1, None, False)
        assert [s.in_force.source for s in view.settings] == ["default"] * len(SETTINGS)
        assert not any(s.recent for s in view.settings)
        assert view.progress.text.startswith("1 of 1 process")


@pytest.mark.gen_test
async def test_the_button_says_exactly_what_it_will_change_and_then_what_undoes_it(make_env: MakeEnv) -> None:
    async with member(make_env(INGEST_MAX_BATCH_ITEMS="700")) as one:
        await one.change(1, {BATCH: 100, STORE: False})
        button = (await view_of(one)).rollback
        assert button is not None
        assert (button.from_, button.to, button.undo) == (2, 1, False)
        assert button.label == "Roll back to 1: batch items 100 -> 700, store outcomes off -> on"
        done = await one.rollback(button.from_, button.to)
        assert [d.text for d in done.differences] == [d.text for d in button.differences]
        undo = (await view_of(one)).rollback
        assert undo is not None
        assert (undo.from_, undo.to, undo.undo) == (3, 2, True)
        assert undo.label == "Undo: batch items 700 -> 100, store outcomes on -> off, back to 2"
        await one.rollback(undo.from_, undo.to)
        again = (await view_of(one)).rollback
        assert again is not None
        assert again.label == "Undo: batch items 100 -> 700, store outcomes off -> on, back to 3 (= 1)"


@pytest.mark.gen_test
async def test_a_temporary_value_shows_what_stands_under_it_its_end_and_the_warning(make_env: MakeEnv) -> None:
    async with member(make_env()) as one:
        await one.change(1, {BATCH: 500})
        saved = await one.change(2, {BATCH: 100}, minutes=30)
        ends = saved.differences[0].after_until
        assert ends is not None
        shown = setting(await view_of(one), BATCH)
        assert (shown.in_force.value, shown.in_force.standing, shown.in_force.standing_source) == (100, 500, "revision")
        assert (shown.in_force.until, shown.in_force.ends_soon, shown.recent) == (ends, False, True)
        assert setting(await view_of(one, ends.timestamp() - 301), BATCH).in_force.ends_soon is False
        assert setting(await view_of(one, ends.timestamp() - 299), BATCH).in_force.ends_soon is True
        await extend(one, MIRA, setting=BATCH, scope="all", until=ends.timestamp(), minutes=30, request_id="")  # type: ignore[arg-type]
        assert setting(await view_of(one, ends.timestamp() - 299), BATCH).in_force.ends_soon is False


@pytest.mark.gen_test
async def test_each_setting_names_its_last_change_and_its_own_way_back(make_env: MakeEnv) -> None:
    async with member(make_env()) as one:
        await one.change(1, {BATCH: 100}, JON, reason="surge")
        await one.change(2, {RATE: 50})
        view = await view_of(one)
        last = setting(view, BATCH).last_change
        assert last is not None
        assert (last.revision, last.author, last.reason) == (2, "jon@example.org", "surge")
        assert last.rollback is not None
        assert last.rollback.label == "Roll back to 1: batch items 100 -> 1000, items per second 50 -> no limit"
        assert setting(view, STORE).last_change is None
        assert (setting(view, BATCH).recent, setting(view, STORE).recent) == (True, False)
        assert setting(await view_of(one, time.time() + 25 * 3600), BATCH).recent is False


@pytest.mark.gen_test
async def test_history_has_differences_and_a_way_back_to_each(make_env: MakeEnv) -> None:
    async with member(make_env()) as one:
        for number in range(1, 56):
            await one.change(number, {BATCH: 100 + number})
        view = await view_of(one)
        assert (len(view.history), view.more, view.history[0].revision, view.history[-1].revision) == (50, True, 56, 7)
        assert view.history[0].rollback is None
        assert [d.text for d in view.history[-1].differences] == ["batch items 105 -> 106"]
        offer = view.history[-1].rollback
        assert offer is not None
        assert offer.label == "Roll back to 7: batch items 155 -> 106"


@pytest.mark.gen_test
async def test_another_environment_and_a_straggler_are_named(make_env: MakeEnv) -> None:
    async with member(make_env(), "web.1") as one, member(make_env(INGEST_MAX_BATCH_ITEMS="700"), "web.2") as other:
        there = setting(await view_of(one), BATCH).elsewhere
        assert [(e.process.partition("/")[2], e.value, e.source, e.environment) for e in there] == [
            ("web.2", 700, "environment", 700)
        ]
        await other.settings.close()
        await one.change(1, {BATCH: 100})
        await until(lambda: one.settings.revision == 2, "the revision")
        made_at = (await view_of(one)).revision.at
        view = await view_of(one, made_at.timestamp() + 2)
        assert [s.text for s in view.progress.stragglers if s.process == "web.2"] == [
            "web.2 has not applied it yet; may still enforce batch items 700"
        ]


@pytest.mark.gen_test
async def test_a_key_with_its_own_value_is_shown_by_name(make_env: MakeEnv) -> None:
    async with members(make_env(), 1) as (one,):
        await one.do(
            """INSERT INTO api_keys (name, prefix, digest, scopes, created_by)
               VALUES ('ci-loadgen', 'ek_', '\\x01', '{ingest}', 'test')"""
        )
        await one.change(1, {BATCH: 100}, scope="key:1", minutes=15)
        shown = setting(await view_of(one), BATCH)
        assert (shown.in_force.value, shown.in_force.until) == (1000, None)
        assert [(s.scope_name, s.key_id, s.value, s.standing) for s in shown.scopes] == [("ci-loadgen", 1, 100, 1000)]
        assert shown.scopes[0].until is not None
        assert shown.recent
