"""Changes that nobody tells of: a migration of the schema, and a restart of processes."""

from __future__ import annotations

import pytest
from alembic import command

from server.changes import store
from server.changes.restarts import Restarts
from server.kernel.db import Database
from server.process.migrate import alembic_config, migrate

pytestmark = pytest.mark.gen_test


async def recorded(db: Database, kind: str) -> list[tuple[str, str, str]]:
    async with db.ask() as connection:
        found = reversed(await store.recent(connection, 0))
        return [(one.version, one.summary, one.migration) for one in found if one.kind == kind]


async def test_a_migration_is_a_change_and_a_new_database_has_none(empty_database_url: str) -> None:
    migrate(empty_database_url)
    db = Database(empty_database_url)
    assert await recorded(db, "migration") == []
    command.downgrade(alembic_config(empty_database_url), "0014")
    migrate(empty_database_url)
    found = [one for one in await recorded(db, "migration") if one[0] == "0015"]
    assert [(version, migration) for version, _, migration in found] == [("0015", "unknown"), ("0015", "reversible")]
    assert found[0][1].startswith("back from 0015: ")
    assert found[1][1].startswith("0015: Changes have a beginning")
    await db.close()


async def test_processes_that_start_again_are_one_restart_of_their_machine(database_url: str) -> None:
    db = Database(database_url)

    async def started(*rows: tuple[str, str, str | None, int]) -> None:
        async with db.act() as connection:
            for name, host, stopped, ago in rows:
                await connection.exec_driver_sql(
                    "INSERT INTO processes (kind, name, host, pid, version, started_at, stopped_at)"
                    " VALUES ('web', %s, %s, 1, '1', now() - make_interval(secs => %s), CAST(%s AS timestamptz))",
                    (name, host, ago, stopped),
                )

    watches = Restarts(db), Restarts(db)
    await started(("web.1", "a", "2026-01-01", 3000), ("watch", "a", None, 3000), ("web.1", "b", None, 3000))
    await watches[0].run()
    assert await recorded(db, "restart") == [], "the first of their name are no restart"
    await started(("web.1", "a", None, 30), ("watch", "a", None, 29), ("web.2", "a", None, 30), ("web.1", "c", None, 9))
    for each in (*watches, watches[0]):
        await each.run()
    assert await recorded(db, "restart") == [("", "web.1 and watch on a, watch had died", "unknown")]
    await started(("web.1", "a", None, 0))
    await watches[0].run()
    assert len(await recorded(db, "restart")) == 1, "its companions may still be starting"
    await db.close()
