"""Settings reach every process: by signal, by polling, past a stuck ingest, from any environment."""

import asyncio
import os
import signal
import time
from typing import Any

import pytest
import redis

from server.config import in_force as module
from server.config.in_force import SettingsInForce
from server.config.view import config_view
from server.kernel.errors import ConfigurationError
from tests.config.machine import Member, member, members
from tests.conftest import MakeEnv
from tests.waiting import NEVER_S, PATIENCE_S, until

BATCH = "INGEST_MAX_BATCH_ITEMS"


async def everywhere(all_of_them: list[Member], number: int) -> None:
    await until(lambda: all(m.settings.revision == number for m in all_of_them), f"revision {number} everywhere")


async def proven(one: Member, number: int, count: int) -> None:
    while (await one.rows(f"SELECT count(*) FROM receipts WHERE revision = {number}"))[0][0] < count:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("bus", ["redis", "postgres"])
@pytest.mark.gen_test
async def test_a_revision_is_in_force_everywhere_at_once_and_each_process_proves_it(
    make_env: MakeEnv, redis_url: str, bus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_S", NEVER_S)
    env = make_env(**({"REDIS_URL": redis_url} if bus == "redis" else {}))
    async with members(env, 4) as all_of_them:
        one = all_of_them[0]
        receipts: list[int] = []
        all_of_them[3].bus.subscribe("receipt", receipts.append)
        for number in range(2, 12, 2):
            await one.change(number - 1, {BATCH: 100})
            await everywhere(all_of_them, number)
            assert {m.settings.limits_for(0).ingest_max_batch_items for m in all_of_them} == {100}
            await one.rollback(number, number - 1)
            await everywhere(all_of_them, number + 1)
            assert {m.settings.limits_for(0).ingest_max_batch_items for m in all_of_them} == {1000}
        await proven(one, 11, 4)
        await until(lambda: 11 in receipts, "the signal of a receipt")
        view = await config_view(one, time.time())  # type: ignore[arg-type]
        assert view.progress.complete
        assert view.progress.text.startswith("4 of 4 processes, slowest ")
        assert view.progress.slowest_ms is not None


@pytest.mark.gen_test
async def test_with_the_bus_lost_polling_finds_the_revision(make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.2)
    async with members(make_env(), 2) as (one, other):
        await other.bus.close()
        await one.change(1, {BATCH: 100})
        await everywhere([one, other], 2)


@pytest.mark.gen_test
async def test_a_revision_applies_while_every_question_and_writer_connection_is_stuck(
    make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_S", NEVER_S)
    async with members(make_env(), 2) as (one, other):
        stuck = [await other.db.raw("writer") for _ in range(2)]
        questions = [await other.db.read.connect() for _ in range(5)]
        sleeping = [asyncio.ensure_future(c.execute("SELECT pg_sleep(600)")) for c in stuck]
        await one.change(1, {BATCH: 100})
        await everywhere([one, other], 2)
        await proven(one, 2, 2)
        for task in sleeping:
            task.cancel()
        await asyncio.gather(*sleeping, return_exceptions=True)
        for connection in stuck:
            await connection.close()
        for question in questions:
            await question.close()


@pytest.mark.gen_test
async def test_a_process_survives_the_loss_of_the_database_and_then_catches_up(make_env: MakeEnv) -> None:
    async with members(make_env(), 2) as (one, other):
        await one.change(1, {BATCH: 100})
        await everywhere([one, other], 2)
        await one.do("ALTER TABLE revisions RENAME TO revisions_away")
        other.settings.signal(3)
        await asyncio.sleep(0.05)
        assert other.settings.limits_for(0).ingest_max_batch_items == 100
        await one.do("ALTER TABLE revisions_away RENAME TO revisions")
        await one.change(2, {BATCH: 50})
        await everywhere([one, other], 3)


@pytest.mark.gen_test
async def test_four_processes_that_start_at_once_make_one_first_revision_and_record_the_environment_once(
    make_env: MakeEnv,
) -> None:
    env = make_env(INGEST_MAX_BATCH_ITEMS="700")

    async def started() -> int:
        async with member(env) as one:
            return one.settings.limits_for(0).ingest_max_batch_items

    assert await asyncio.gather(*(started() for _ in range(4))) == [700] * 4
    async with member(make_env(INGEST_MAX_BATCH_ITEMS="700")) as one:
        assert (await one.rows("SELECT count(*) FROM revisions"))[0][0] == 1
        found = await one.rows("SELECT summary FROM changes WHERE kind = 'environment'")
        assert [row[0].partition(": ")[2] for row in found] == ["batch items not set -> 700"]


@pytest.mark.gen_test
async def test_a_difference_of_the_environment_is_recorded_and_a_revision_outranks_it(make_env: MakeEnv) -> None:
    async with member(make_env()) as one:
        assert await one.rows("SELECT 1 FROM changes") == []
        await one.change(1, {BATCH: 100})
    async with member(make_env(INGEST_MAX_BATCH_ITEMS="700", INGEST_STORE_OUTCOMES="off")) as one:
        assert one.settings.limits_for(0).ingest_max_batch_items == 100
        assert one.settings.limits_for(0).ingest_store_outcomes is False
        found = await one.rows("SELECT summary, detail FROM changes WHERE kind = 'environment'")
        assert found[0][0].endswith("batch items not set -> 700, store outcomes not set -> off")
        assert found[0][1]["environment"] == {BATCH: 700, "INGEST_STORE_OUTCOMES": False}
        view = await config_view(one, time.time())  # type: ignore[arg-type]
        batch = next(s for s in view.settings if s.name == BATCH)
        assert (batch.in_force.value, batch.in_force.source, batch.environment, batch.default) == (
            100,
            "revision",
            700,
            1000,
        )
        receipt = (await one.rows(f"SELECT applied FROM receipts WHERE process_id = {one.process.id}"))[0][0]
        assert receipt[BATCH] == {"value": 100, "source": "revision", "environment": 700}
    async with member(make_env()) as one:
        found = await one.rows("SELECT summary FROM changes WHERE kind = 'environment' ORDER BY id DESC")
        assert found[0][0].endswith("batch items 700 -> not set, store outcomes off -> not set")


@pytest.mark.parametrize(
    ("name", "text"),
    [(BATCH, "0"), (BATCH, "1_000"), (BATCH, "ten"), (BATCH, "9" * 40), (BATCH, "1e3"), ("INGEST_STORE_OUTCOMES", "x")],
)
@pytest.mark.gen_test
async def test_a_wrong_environment_stops_the_start_with_its_name(make_env: MakeEnv, name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        async with member(make_env(**{name: text})):
            pass


@pytest.mark.gen_test
async def test_without_a_watch_an_overdue_value_ends_all_the_same(
    make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.1)
    async with members(make_env(), 2) as (one, other):
        await one.change(1, {BATCH: 100}, minutes=30)
        await everywhere([one, other], 2)
        await one.do("UPDATE revisions SET values = jsonb_set(values, '{0,until}', '1') WHERE number = 2")
        await everywhere([one, other], 3)
        assert one.settings.limits_for(0).ingest_max_batch_items == 1000


@pytest.mark.gen_test
async def test_a_setting_of_a_newer_version_does_not_stop_this_one(make_env: MakeEnv) -> None:
    async with member(make_env()) as one:
        newer: Any = """[{"setting": "TOMORROW", "value": 5, "scope": "all", "until": null},
                    {"setting": "INGEST_MAX_BATCH_ITEMS", "value": 7, "scope": "region:eu", "until": null},
                    {"setting": "INGEST_MAX_BATCH_ITEMS", "value": 9, "scope": "all", "until": null}]"""
        await one.do(
            f"INSERT INTO revisions (number, values, kind, author, reason) VALUES (2, '{newer}', 'change', 'x', 'y')"
        )
        one.settings.signal(2)
        await everywhere([one], 2)
        assert one.settings.limits_for(1).ingest_max_batch_items == 9
        assert (await config_view(one, time.time())).revision.revision == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("bus", ["redis", "postgres"])
@pytest.mark.gen_test
async def test_a_process_can_be_closed_at_any_moment(make_env: MakeEnv, redis_url: str, bus: str) -> None:
    env = make_env(**({"REDIS_URL": redis_url} if bus == "redis" else {}))
    async with member(env) as one:
        other = SettingsInForce(one.env, one.db, one.bus, one.process)
        for step in range(40):
            await other.start()
            other._receipt = 0  # so that it writes and signals again
            other._loop.wake()
            await asyncio.sleep(step / 6_000)
            await asyncio.wait_for(other.close(), PATIENCE_S)


@pytest.mark.gen_test
async def test_a_frozen_redis_does_not_hold_the_brake_up(
    make_env: MakeEnv, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_S", NEVER_S)
    with redis.Redis.from_url(redis_url) as client:
        pid = client.info()["process_id"]
    async with members(make_env(REDIS_URL=redis_url), 3) as all_of_them:
        os.kill(pid, signal.SIGSTOP)
        try:
            await all_of_them[0].change(1, {BATCH: 100})
            await everywhere(all_of_them, 2)
        finally:
            os.kill(pid, signal.SIGCONT)
        await until(lambda: all(m.bus.redis_ok for m in all_of_them), "Redis to be used again")
