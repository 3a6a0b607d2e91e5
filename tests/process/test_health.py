"""Health: what is looked at, what only warns, and an answer in time whatever is dead."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
from sqlalchemy import text

from server.kernel import shared_clock
from server.kernel.db import Database
from server.picture.picture import Picture
from server.process import readiness
from server.process.readiness import Schema, schema_part, silent_parts, watch_part
from tests.site import Site, answer
from tests.waiting import until

PARTS = ["auth", "bus", "database", "queue", "redis", "schema", "spool", "watch"]


def test_a_newer_schema_warns_and_an_older_one_fails() -> None:
    schema = Schema("0003", frozenset({"0001", "0002", "0003"}))
    assert [schema_part(at, schema, "").status for at in ("0003", "0004", "0002", None)] == [
        "pass",
        "warn",
        "fail",
        "fail",
    ]


def test_a_slow_moment_warns_and_silence_or_refusal_fails() -> None:
    statuses = [
        silent_parts(error, silent_s, "")["database"].status
        for error, silent_s in (
            (TimeoutError(), 0.5),
            (TimeoutError(), 6.0),
            (OSError("refused"), 0.5),
            (OSError(), float("inf")),
        )
    ]
    assert statuses == ["warn", "fail", "fail", "fail"]


def test_a_watch_that_is_late_or_missing_warns() -> None:
    assert [watch_part(0.5, "", behind).status for behind in (0.0, 3.1)] == ["pass", "warn"]
    assert [watch_part(age, "").status for age in (None, -0.1, 0.0, 3.0, 3.1)] == [
        "warn",
        "pass",
        "pass",
        "pass",
        "warn",
    ]


async def ready(site: Site) -> tuple[int, dict[str, Any]]:
    site.web.server.request_callback.settings.pop("readiness", None)  # type: ignore[union-attr]
    response = await site.fetch("/health/ready")
    assert response.headers["Content-Type"] == "application/health+json"
    return response.code, answer(response)


@pytest.mark.gen_test
async def test_live_is_open_and_counts_as_no_traffic(web: Any) -> None:
    site = await web()
    response = await site.fetch("/health/live")
    assert (response.code, answer(response)["status"]) == (200, "pass")
    assert response.headers["Content-Type"] == "application/health+json"
    assert response.headers["X-Request-Id"]


@pytest.mark.gen_test
async def test_ready_shows_each_part_with_value_and_time(web: Any, redis_url: str) -> None:
    site = await web(REDIS_URL=redis_url)
    async with site.parts.db.act() as connection:
        await connection.execute(text("UPDATE lease SET renewed_at = now()"))
    await until(lambda: site.parts.bus.redis_ok, "Redis")
    site.parts.relay.picture, site.parts.relay._made = Picture(1, 0.0, 1, "", [], [], 1, True), shared_clock.now()
    code, health = await ready(site)
    assert (code, health["status"]) == (200, "pass")
    assert sorted(health["checks"]) == PARTS
    for (part,) in health["checks"].values():
        assert part["observedValue"] is not None
        assert part["time"].endswith("Z")


@pytest.mark.gen_test
async def test_no_watch_and_no_redis_only_warn(web: Any) -> None:
    site = await web(REDIS_URL="redis://127.0.0.1:1/0")
    code, health = await ready(site)
    assert (code, health["status"]) == (200, "warn")
    warned = [name for name, (part,) in health["checks"].items() if part["status"] != "pass"]
    assert sorted(warned) == ["redis", "watch"]


@pytest.mark.gen_test
@pytest.mark.parametrize(("at", "status", "code"), [("9999", "warn", 200), (None, "fail", 503)])
async def test_the_schema_of_another_release(web: Any, at: str | None, status: str, code: int) -> None:
    site = await web()
    async with site.parts.db.act() as connection:
        change = f"UPDATE alembic_version SET version_num = '{at}'" if at else "DELETE FROM alembic_version"
        await connection.execute(text(change))
    got, health = await ready(site)
    assert (got, health["checks"]["schema"][0]["status"]) == (code, status)


@pytest.mark.gen_test
async def test_a_database_that_takes_no_writes_is_a_failure(web: Any) -> None:
    site = await web()
    name = site.env.database_url.partition("/t")[2].partition("?")[0]
    async with site.parts.db.act() as connection:
        await connection.execute(text(f"ALTER DATABASE t{name} SET default_transaction_read_only = on"))
    code, health = await ready(site)
    assert code == 503
    assert "no writes" in health["checks"]["database"][0]["output"]


@pytest.mark.gen_test
async def test_a_dead_and_a_frozen_database_are_told_quickly(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site = await web()
    kept = site.parts.db
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)  # takes connections and never answers, like a frozen server
        for port in (1, silent.getsockname()[1]):
            away = Database(f"postgresql://nobody@127.0.0.1:{port}/none")
            site.parts.db = away
            began = time.monotonic()
            code, health = await ready(site)
            assert time.monotonic() - began < 15
            assert (code, health["checks"]["database"][0]["status"]) == (503, "fail")
            await away.close()
    site.parts.db = kept
    assert (await ready(site))[0] == 200


@pytest.mark.gen_test
async def test_full_pools_are_not_taken_for_a_dead_database(web: Any) -> None:
    site = await web()

    async def hold() -> None:
        async with site.parts.db.act() as connection:
            await connection.execute(text("SELECT pg_sleep(1)"))

    holders = [asyncio.create_task(hold()) for _ in range(5)]
    await asyncio.sleep(0.05)
    code, health = await ready(site)
    assert (code, health["checks"]["database"][0]["status"]) == (200, "pass")
    await asyncio.gather(*holders)


@pytest.mark.gen_test
async def test_strangers_share_a_look(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site = await web()
    looks = 0
    look = readiness.health_store.look

    async def counted(db: Database) -> Any:
        nonlocal looks
        looks += 1
        return await look(db)

    monkeypatch.setattr(readiness.health_store, "look", counted)
    responses = await asyncio.gather(*(site.fetch("/health/ready") for _ in range(30)))
    assert {response.code for response in responses} == {200}
    assert looks <= 2


@pytest.mark.gen_test
async def test_a_process_that_stops_or_starts_is_not_ready(web: Any) -> None:
    site = await web()
    for field, value in (("stopping", True), ("started", False)):
        setattr(site.parts, field, value)
        code, health = await ready(site)
        assert (code, health["checks"]["queue"][0]["status"]) == (503, "fail")
        setattr(site.parts, field, not value)
    assert (await ready(site))[0] == 200
