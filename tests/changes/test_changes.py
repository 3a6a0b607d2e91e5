"""Changes on a real database: what is recorded once, and how it is found again."""

import asyncio
import time
from typing import Any

import pytest

from server.changes import store
from server.changes.deploys import Deploys
from server.kernel.db import Database


async def add_series(db: Database, *rows: tuple[str, str, str]) -> None:
    async with db.act() as connection:
        for service, version, route in rows:
            await connection.exec_driver_sql(
                "INSERT INTO series (service, version, route, method, status) VALUES (%s, %s, %s, 'GET', 200)",
                (service, version, route),
            )


async def recorded(db: Database) -> list[tuple[str, str]]:
    async with db.ask() as connection:
        return sorted((c.service, c.version) for c in await store.recent(connection, 0) if c.kind == "deploy")


@pytest.mark.gen_test
async def test_a_version_first_seen_is_one_deploy_however_many_series_and_watches(database_url: str) -> None:
    db = Database(database_url)
    await add_series(db, ("checkout", "a1", "/x"), ("checkout", "a1", "/y"), ("checkout", "", "/x"))
    await add_series(db, ("checkout", "(other)", "/x"), ("(other)", "b", "/x"), ("cart", "a1", "/x"))
    first, other = Deploys(db), Deploys(db)
    await asyncio.gather(first.run(1), other.run(2), first.run(1))
    assert await recorded(db) == [], "where a service begins to send is not a deploy"
    await add_series(db, ("checkout", "a2", "/x"), ("checkout", "a2", "/y"), ("checkout", "a1", "/z"))
    await asyncio.gather(first.run(1), other.run(2), first.run(1))
    assert await recorded(db) == [("checkout", "a2")]
    await add_series(db, ("checkout", "a1", "/new"), ("cart", "a2", "/x"))
    await asyncio.gather(first.run(1), other.run(2))
    assert await recorded(db) == [("cart", "a2"), ("checkout", "a2")]
    await db.close()


@pytest.mark.gen_test
async def test_a_series_that_commits_after_a_later_one_is_not_missed(database_url: str) -> None:
    now = [1000.0]
    db = Database(database_url)
    job = Deploys(db, lambda: now[0])
    insert = "INSERT INTO series (service, version, route, method, status) VALUES ('s', %s, '/', 'GET', 200)"
    await add_series(db, ("s", "first", "/"))
    async with db.act() as slow:
        await slow.exec_driver_sql(insert, ("early",))
        await add_series(db, ("s", "late", "/"))
        for _ in range(5):
            await job.run()
            now[0] += 9
        assert await recorded(db) == [("s", "late")]
    await job.run()
    assert await recorded(db) == [("s", "early"), ("s", "late")]
    await db.close()


@pytest.mark.gen_test
async def test_the_job_reads_only_what_is_new_once_it_has_run_for_a_while(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    floors: list[int] = []
    original = store.record_first_seen

    async def spied(connection: Any, floor: int) -> Any:
        floors.append(floor)
        return await original(connection, floor)

    monkeypatch.setattr(store, "record_first_seen", spied)
    db = Database(database_url)
    await add_series(db, ("s", "a", "/"))
    job = Deploys(db, lambda: now[0])
    for _ in range(30):
        await job.run()
        now[0] += 5
    assert floors[0] == 0
    assert floors[-1] == 1
    assert len(job._marks) <= 14
    await db.close()


@pytest.mark.gen_test
async def test_changes_are_paged_newest_first_and_a_service_also_sees_the_settings(database_url: str) -> None:
    db = Database(database_url)
    async with db.act() as connection:
        for i in range(5):
            await store.record(connection, "deploy", "cart", f"v{i}", "x", author="me", detail={"i": i})
        await store.record(connection, "revision", "evenkeel", "2", "y", author="me")
        await store.record(connection, "deploy", "other", "z", "z", author="me")
    async with db.ask() as connection:
        everything = await store.recent(connection, 0)
        assert [c.id for c in everything] == [7, 6, 5, 4, 3, 2, 1]
        page = await store.recent(connection, 0, "cart", 3)
        assert [c.id for c in page] == [6, 5, 4]
        assert [c.id for c in await store.recent(connection, 0, "cart", 9, before=page[-1].id)] == [3, 2, 1]
        assert await store.recent(connection, everything[0].at.timestamp() + 1) == []
        assert page[1].detail == {"i": 4}
    await db.close()


@pytest.mark.gen_test
async def test_a_deploy_is_at_its_first_outcome_however_late_that_came(web: Any) -> None:
    site, now = await web(), time.time()
    key = await site.key()

    def sent(version: str, ago_s: float) -> dict[str, Any]:
        at = int((now - ago_s) * 1000)
        shop = {"service": "shop", "route": "/", "method": "GET", "status": 200, "duration_ms": 1}
        return shop | {"version": version, "timestamp": at}

    for batch in ([sent("two", 1)], [sent("three", 40), sent("three", 3)], [sent("four", 1500)], [sent("one", 7200)]):
        assert (await site.fetch("/api/v1/outcomes", method="POST", key=key, data=batch)).code == 201
    await Deploys(site.parts.db).run()
    async with site.parts.db.ask() as connection:
        found = {c.version: now - c.at.timestamp() for c in await store.recent(connection, 0) if c.kind == "deploy"}
    # It came last, and was the first: no deploy.
    assert found == {
        "two": pytest.approx(1, abs=1.5),
        "three": pytest.approx(40, abs=1.5),
        "four": pytest.approx(1500, abs=1.5),
    }
