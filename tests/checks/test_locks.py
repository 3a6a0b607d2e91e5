"""Which statements the schema policy refuses, and which it lets pass."""

from __future__ import annotations

import pytest

from checks.locks import broken, statements

CREATE = "CREATE TABLE notes (id INTEGER NOT NULL, text TEXT)"


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX minutes_x ON minutes (n)",
        "CREATE UNIQUE INDEX IF NOT EXISTS minutes_x ON minutes (n)",
        'create index "minutes_x" on "minutes" (n)',
        "DROP INDEX minutes_minute",
        "REINDEX TABLE minutes",
        "ALTER TABLE minutes ADD COLUMN x INTEGER NOT NULL",
        "ALTER TABLE minutes ADD COLUMN x UUID DEFAULT gen_random_uuid() NOT NULL",
        "ALTER TABLE minutes ADD COLUMN x BIGSERIAL",
        "ALTER TABLE minutes ADD COLUMN x INTEGER GENERATED ALWAYS AS (n * 2) STORED",
        "ALTER TABLE minutes ALTER COLUMN n TYPE NUMERIC",
        "ALTER TABLE minutes ALTER COLUMN n SET NOT NULL",
        "ALTER TABLE minutes ADD CONSTRAINT positive CHECK (n > 0)",
        "ALTER TABLE minutes ADD FOREIGN KEY (series_id) REFERENCES series (id)",
        "ALTER TABLE minutes ADD CONSTRAINT one UNIQUE (series_id)",
        "ALTER TABLE minutes RENAME COLUMN n TO total",
        "ALTER TABLE minutes DROP COLUMN n",
        "ALTER TABLE ONLY minutes RENAME TO old_minutes",
        "DROP TABLE minutes",
        "LOCK TABLE minutes IN EXCLUSIVE MODE",
        "TRUNCATE minutes",
        "UPDATE minutes SET n = 0",
        "DELETE FROM minutes",
    ],
)
def test_what_holds_a_live_table_up_is_refused(statement: str) -> None:
    assert broken(statements(statement + ";"))


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX CONCURRENTLY minutes_x ON minutes (n)",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS minutes_x ON minutes (n)",
        "DROP INDEX CONCURRENTLY minutes_minute",
        "ALTER TABLE minutes ADD COLUMN x INTEGER",
        "ALTER TABLE minutes ADD COLUMN x INTEGER DEFAULT 0 NOT NULL",
        "ALTER TABLE minutes ADD COLUMN at TIMESTAMPTZ DEFAULT now() NOT NULL",
        "ALTER TABLE minutes ADD CONSTRAINT positive CHECK (n > 0) NOT VALID",
        "ALTER TABLE minutes VALIDATE CONSTRAINT positive",
        "ALTER TABLE minutes ADD CONSTRAINT one UNIQUE USING INDEX minutes_x",
        "ALTER TABLE minutes ALTER COLUMN n SET DEFAULT 0",
        "ALTER TABLE minutes ALTER COLUMN n DROP NOT NULL",
        CREATE,
    ],
)
def test_what_is_short_passes(statement: str) -> None:
    assert broken(statements(statement + ";")) == []


def test_a_table_that_the_migration_made_is_empty() -> None:
    script = f"{CREATE}; CREATE INDEX notes_text ON notes (text); ALTER TABLE notes ALTER COLUMN text SET NOT NULL;"
    assert broken(statements(script)) == []
    assert len(broken(statements(script.replace("ON notes", "ON series")))) == 1


def test_only_what_breaks_an_older_version_may_be_marked_retired() -> None:
    assert broken(statements("DROP TABLE minutes"), retired=True) == []
    assert broken(statements("CREATE INDEX a ON minutes (n)"), retired=True)


def test_a_function_body_is_one_statement() -> None:
    body = "CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN UPDATE minutes SET n = 1; END $$ LANGUAGE plpgsql"
    assert statements(f"{body}; SELECT 1") == [body, "SELECT 1"]
    assert broken(statements(body)) == []
