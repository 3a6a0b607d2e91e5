"""Dependencies and silences: who is not told, and when after all."""

from __future__ import annotations

import time

import pytest

from server.alerts import silence_store
from server.alerts.machine import RESOLVE_S
from server.alerts.silence import Silence
from server.alerts.telling import AWAITED_HOLD_S, HOLD_S
from server.slo.model.budget_policy import BudgetPolicy
from tests.alerts.making import NOW, board, burning, clear


@pytest.mark.gen_test
async def test_one_page_for_a_service_and_those_that_depend_on_it(database_url: str) -> None:
    policy = BudgetPolicy(depends_on={"shop": ("checkout",), "checkout": ("payments",)})
    names = ("checkout", "payments", "shop")
    async with board(database_url, names, policy) as (second, _):
        all_ = [burning(name) for name in names]
        await second.at(NOW, burning("shop"), burning())
        assert second.told.events() == []
        for tick in range(1, 20):
            await second.at(NOW + tick, *all_)
        assert second.told.events() == [("payments", "trigger")]
        await second.at(NOW + 20, burning(), burning("shop"), clear("payments"))
        await second.at(NOW + 20 + RESOLVE_S, burning(), burning("shop"), clear("payments"))
        assert second.told.events() == [("payments", "resolve")]
        for tick in range(3):
            await second.at(NOW + 21 + RESOLVE_S + tick, burning(), burning("shop"), clear("payments"))
        assert second.told.events() == [("checkout", "trigger")]


@pytest.mark.gen_test
async def test_a_dependency_that_is_silenced_explains_nothing(database_url: str) -> None:
    policy = BudgetPolicy(depends_on={"checkout": ("payments",)})
    async with board(database_url, ("checkout", "payments"), policy) as (second, _):
        now = time.time()
        async with second.board.db.act() as connection:
            await silence_store.add(connection, Silence(0, "payments", "", "maintenance", "mira", 0, 0), 30)
        for tick in range(int(HOLD_S) + 2):
            await second.at(now + tick, burning("payments", bad_ratio=0.002), burning(bad_ratio=1.0))
        assert second.told.events() == [("checkout", "trigger")]


@pytest.mark.gen_test
async def test_a_dependency_that_is_detected_holds_back_what_it_may_explain(database_url: str) -> None:
    policy = BudgetPolicy(depends_on={"shop": ("checkout",), "checkout": ("payments",)})
    names = ("checkout", "payments", "shop")
    async with board(database_url, names, policy) as (second, _):
        coming = burning("payments", due=False)
        for tick in range(40):
            await second.at(NOW + tick, burning(), burning("shop"), coming)
        assert second.told.events() == []
        for tick in range(40, 80):
            shown = await second.at(NOW + tick, burning(), burning("shop"), burning("payments"))
        assert second.told.events() == [("payments", "trigger")]
        assert {alert.service: bool(alert.suppressed_by) for alert in shown} == {
            "payments": False,
            "checkout": True,
            "shop": True,
        }


@pytest.mark.gen_test
async def test_one_that_never_fires_holds_back_no_longer_than_a_minute(database_url: str) -> None:
    policy = BudgetPolicy(depends_on={"checkout": ("payments",)})
    async with board(database_url, ("checkout", "payments"), policy) as (second, _):
        for tick in range(int(AWAITED_HOLD_S)):
            await second.at(NOW + tick, burning(), burning("payments", due=False))
        assert second.told.events() == []
        await second.at(NOW + AWAITED_HOLD_S, burning(), burning("payments", due=False))
        assert second.told.events() == [("checkout", "trigger")]


@pytest.mark.gen_test
async def test_a_silence_that_ends_tells_what_still_fires(database_url: str) -> None:
    async with board(database_url) as (second, _):
        now = time.time()
        async with second.board.db.act() as connection:
            made = await silence_store.add(connection, Silence(0, "checkout", "", "load test", "mira", 0, 0), 1)
        (alert,) = await second.at(now, burning())
        assert (alert.state, alert.silence_id, second.told.events()) == ("firing", made.id, [])
        await second.at(now + 61, burning())
        assert second.told.events() == [("checkout", "trigger")]
