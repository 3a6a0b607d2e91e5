"""The schema policy against migrations that break it, and against ours."""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg
import pytest

from checks import runner, schema_policy
from checks.check import ROOT, Surroundings
from server.kernel.db import Database

HEAD = 'from alembic import op\nimport sqlalchemy as sa\nrevision = "{me}"\ndown_revision = {before}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").touch()
    return tmp_path


def migration(folder: Path, me: str, before: str | None, text: str) -> None:
    (folder / "versions" / f"{me}_x.py").write_text(HEAD.format(me=me, before=repr(before)) + text)


def whats(folder: Path) -> list[str]:
    return [f"{finding.where} {finding.what}" for finding in schema_policy.inspect(str(folder))]


DOWN = '\ndef downgrade():\n    op.drop_column("minutes", "x")\n'


def test_ours_keep_it() -> None:
    assert schema_policy.inspect(str(ROOT / "migrations")) == []


def test_two_heads_are_named(folder: Path) -> None:
    for me in ("a1", "b2"):
        migration(folder, me, None, "def upgrade(): pass\ndef downgrade(): pass\n")
    assert whats(folder) == ["migrations/versions There are 2 heads: a1, b2."]


def test_no_migration_at_all(folder: Path) -> None:
    assert "There are 0 heads" in whats(folder)[0]


def test_an_index_built_under_a_lock(folder: Path) -> None:
    migration(folder, "a1", None, 'def upgrade():\n    op.create_index("i", "minutes", ["n"])\n' + DOWN)
    (found,) = whats(folder)
    assert "a1_x.py" in found
    assert "blocks every write" in found


def test_an_index_built_concurrently_passes(folder: Path) -> None:
    text = """
def upgrade():
    with op.get_context().autocommit_block():
        op.create_index("i", "minutes", ["n"], postgresql_concurrently=True)
def downgrade():
    with op.get_context().autocommit_block():
        op.drop_index("i", "minutes", postgresql_concurrently=True)
"""
    migration(folder, "a1", None, text)
    assert whats(folder) == []


def test_a_check_is_validated_in_a_transaction_of_its_own(folder: Path) -> None:
    text = """
def upgrade():
    op.create_check_constraint("there", "minutes", "n IS NOT NULL", postgresql_not_valid=True)
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE minutes VALIDATE CONSTRAINT there")
    op.alter_column("minutes", "n", nullable=False)
def downgrade():
    op.drop_constraint("there", "minutes")
"""
    migration(folder, "a1", None, text)
    assert whats(folder) == []


def test_a_block_that_the_migration_runs_is_read(folder: Path) -> None:
    text = 'def upgrade():\n    op.execute("DO $$ BEGIN UPDATE minutes SET n = n % 2; END $$")\n' + DOWN
    migration(folder, "a1", None, text)
    (found,) = whats(folder)
    assert "holds its row locks" in found


@pytest.mark.gen_test
async def test_without_pglast_locks_are_not_judged_and_nothing_is_wrong(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migration(folder, "a1", None, 'def upgrade():\n    op.create_index("i", "minutes", ["n"])\n' + DOWN)
    monkeypatch.delitem(sys.modules, "checks.locks", raising=False)
    monkeypatch.setitem(sys.modules, "pglast", None)
    result = await runner.run(schema_policy.CHECK, Surroundings(ROOT))
    assert (result.status, len(result.findings)) == ("pass", 1)
    assert result.findings[0].level == "note"
    assert [finding.level for finding in schema_policy.inspect(str(folder))] == ["note"]


@pytest.mark.parametrize("down", ["    pass", "    raise NotImplementedError", None])
def test_a_migration_without_a_way_back(folder: Path, down: str | None) -> None:
    up = 'def upgrade():\n    op.add_column("minutes", sa.Column("x", sa.Integer()))\n'
    migration(folder, "a1", None, up + (f"def downgrade():\n{down}\n" if down else ""))
    (found,) = whats(folder)
    assert "downgrade does nothing" in found or "cannot be reversed" in found


@pytest.mark.parametrize(("mark", "kept"), [('"it forgets what was merged"', True), ('""', False), ("True", False)])
def test_a_reason_counts_only_when_it_is_one(folder: Path, mark: str, kept: bool) -> None:
    up = 'def upgrade():\n    op.add_column("minutes", sa.Column("x", sa.Integer()))\n'
    migration(folder, "a1", None, f"IRREVERSIBLE = {mark}\n{up}def downgrade(): pass\n")
    assert (whats(folder) == []) is kept


def test_a_migration_that_reads_the_database_is_refused(folder: Path) -> None:
    text = "def upgrade():\n    op.get_bind().execute(sa.text('SELECT 1')).scalar_one()\ndef downgrade(): pass\n"
    migration(folder, "a1", None, text)
    assert "cannot be rendered" in whats(folder)[0]


@pytest.mark.gen_test
async def test_the_tables_agree_until_somebody_alters_one(database_url: str) -> None:
    db = Database(database_url)
    around = Surroundings(ROOT, db=db)
    try:
        assert await schema_policy.run(around) == []
        with psycopg.connect(database_url) as connection:
            connection.execute("ALTER TABLE processes ADD COLUMN surprise integer")
            connection.execute("DROP INDEX changes_at")
        found = " ".join(finding.what for finding in await schema_policy.run(around))
    finally:
        await db.close()
    assert "surprise" in found
    assert "changes_at" in found
