"""Acknowledged while the board goes on."""

from __future__ import annotations

import asyncio

import pytest

from server.alerts import store
from server.alerts.machine import RESOLVE_S
from server.alerts.telling import STAYS_S
from tests.alerts.making import NOW, Second, Told, board, burning, clear
from tests.live.rollups import lead


@pytest.mark.gen_test
async def test_acknowledged_while_a_step_is_under_way(database_url: str) -> None:
    async with board(database_url) as (second, _):
        (alert,) = await second.at(NOW, burning())
        stepping = asyncio.create_task(second.at(NOW + 1, burning(bad_ratio=0.8)))
        async with second.board.db.act() as connection:
            assert len(await store.acknowledge(connection, [alert.id], "mira")) == 1
            await store.mark_notified(connection, alert.id, NOW + 0.5)
            await asyncio.sleep(0.05)
        await stepping
        (alert,) = await second.at(NOW + 2, burning(bad_ratio=0.8))
        assert (alert.severity, alert.acknowledged_by, alert.notified_at) == (1, "mira", NOW + 0.5)
        await second.at(NOW + 3, clear())
        await second.at(NOW + 3 + RESOLVE_S, clear())
        (alert,) = await second.at(NOW + 4 + RESOLVE_S, burning())
        assert (alert.acknowledged_by, alert.acknowledged_at, alert.notified_at) == ("", None, None)


@pytest.mark.gen_test
async def test_acknowledged_while_pending_nobody_is_told_and_it_stays_acknowledged(database_url: str) -> None:
    async with board(database_url) as (second, _):
        (alert,) = await second.at(NOW, burning(due=False))
        async with second.board.db.act() as connection:
            await store.acknowledge(connection, [alert.id], "mira")
        (alert,) = await second.at(NOW + 1, burning())
        (alert,) = await second.at(NOW + 2, burning())
        assert (alert.state, alert.acknowledged_by, alert.acknowledged_as) == ("firing", "mira", "page")
        assert second.told.events() == []


@pytest.mark.gen_test
async def test_an_outage_after_flapping_asks_to_be_acknowledged_again_whoever_watches(database_url: str) -> None:
    async with board(database_url) as (second, _):
        now = NOW
        for _ in range(3):
            await second.at(now, burning())
            await second.at(now + 1, clear())
            await second.at(now + 1 + RESOLVE_S, clear())
            now += RESOLVE_S + 2
        async with second.board.db.act() as connection:
            (done,) = await store.acknowledge(connection, [1], "mira")
            await store.mark_notified(connection, 1, now)
        assert done.calmed
        again = max(now, done.acknowledged_at or 0) + 1
        second.told.events()
        await second.at(again, burning())
        lead(database_url, 2)
        other = Second(second.board.db, second.board.policies, Told(), term=2)
        (alert,) = await other.at(again + STAYS_S, burning())
        assert [notice.key for notice in other.told.notices] == ["alert-1/resolve/3", "alert-1/trigger/4/page"]
        (alert,) = await other.at(again + STAYS_S + 1, burning())
        assert (alert.acknowledged_by, alert.acknowledged_at, alert.notified_at) == ("", None, None)
        assert (alert.fired_at, alert.returned_at) == (again + STAYS_S, None)
