"""`alembic downgrade` beside running processes: it says so first, and nobody meets a deadlock."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from alembic.script import ScriptDirectory
from psycopg import sql

from server.process.migrate import alembic_config, current, head
from tests.conftest import ROOT
from tests.running import base_environment
from tests.waiting import PATIENCE_S, wait_for

ADD = """
INSERT INTO processes (kind, name, host, pid, version, stopped_at, heartbeat_at) VALUES
    ('web', 'web.1', 'box', 1, '9.9', NULL, now()), ('web', 'web.2', 'box', 2, '9.9', now(), now()),
    ('web', 'web.3', 'box', 3, '9.9', NULL, now() - interval '1 minute')
"""
# What the process holds that waits for `processes`.
HELD = """
SELECT held.relation::regclass::text FROM pg_locks AS held JOIN pg_class ON pg_class.oid = held.relation
WHERE held.granted AND held.mode = 'AccessExclusiveLock' AND relkind = 'r' AND relname <> 'processes'
    AND held.pid IN (SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'processes'::regclass)
"""


@pytest.fixture
def watching(database_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def downgrading(database_url: str, to: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "alembic", "downgrade", to],
        cwd=ROOT,
        env=base_environment() | {"DATABASE_URL": database_url},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_names_who_runs_before_it_does_anything(
    database_url: str, watching: psycopg.Connection[tuple[object, ...]]
) -> None:
    watching.execute(ADD)
    process = downgrading(database_url, "-1")
    said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 0, said
    assert "Running on this database: web.1 on box (9.9). With an older schema" in said
    assert said.index("Running on this database") < said.index("Running downgrade")
    before = ScriptDirectory.from_config(alembic_config()).get_revision(head())
    assert before is not None
    assert current(database_url) == before.down_revision


def test_who_uses_the_tables_in_another_order_meets_no_deadlock(
    database_url: str, watching: psycopg.Connection[tuple[object, ...]]
) -> None:
    with psycopg.connect(database_url) as user:
        user.execute("SELECT 1 FROM processes")
        process = downgrading(database_url, "base")
        (table,) = wait_for(lambda: watching.execute(HELD).fetchone(), "the downgrade to wait for us")
        user.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(str(table))))
        user.commit()
    said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 0, said
    assert current(database_url) is None
