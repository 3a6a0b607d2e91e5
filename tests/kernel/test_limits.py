"""Every session has its limits, and what was set is read back: what a pooler drops is said."""

from __future__ import annotations

from typing import Any

import pytest

from server.kernel import db as databases
from server.kernel.connection import opened
from server.kernel.db import LIMITS, WORK, session_settings, unlike
from tests.live.writing import database
from tests.site import answer
from tests.waiting import until

SHOWN = "SELECT " + ", ".join(f"current_setting('{name}')" for name in session_settings())


def test_what_does_not_hold_is_named() -> None:
    assert unlike({"lock_timeout": "3s", "jit": "off"}, ("0", "off")) == "lock_timeout is 0 and not 3s"
    assert unlike(LIMITS, tuple(LIMITS.values())) == ""


@pytest.mark.gen_test
async def test_every_road_has_its_limits(database_url: str) -> None:
    meant = session_settings()
    async with database(database_url) as db:
        async with db.act() as connection:
            assert tuple((await connection.exec_driver_sql(SHOWN)).one()) == ("5s", *tuple(meant.values())[1:])
        async with db.ask() as connection:
            assert tuple((await connection.exec_driver_sql(SHOWN)).one()) == tuple(meant.values())
        for settings in ({}, WORK):
            async with opened(db, "work", **settings) as own:
                found = await (await own.execute(SHOWN)).fetchone()
                assert found == tuple((meant | settings).values())
        assert db.unlimited == {}


@pytest.mark.gen_test
async def test_limits_that_are_dropped_are_said_by_health_and_gone_once_they_hold(
    web: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site = await web()
    with monkeypatch.context() as patched:
        patched.setattr(databases, "setting", lambda word, values: f"{word} timezone = 'UTC'")  # as a pooler might
        (part,) = answer(await site.fetch("/health/ready"))["checks"]["database"]
        assert (part["status"], "in health statement_timeout is 0 and not 10s" in part["output"]) == ("warn", True)
        assert [one for one in caplog.messages if one.startswith("limits do not hold in health")]
    async with opened(site.parts.db, "health"):
        assert "health" not in site.parts.db.unlimited


@pytest.mark.gen_test
async def test_a_session_that_loses_its_limits_later_is_found_by_the_next_heartbeat(web: Any) -> None:
    site = await web()
    async with site.parts.process._connection.use() as connection:
        await connection.execute("SET statement_timeout = 0")
    wanted = "statement_timeout is 0 and not 10s"
    await until(lambda: site.parts.db.unlimited.get("heartbeat") == wanted, "a heartbeat to see it")
