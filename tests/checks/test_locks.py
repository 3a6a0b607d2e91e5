"""Which statements the schema policy refuses, and which it lets pass."""

from __future__ import annotations

import pytest

from checks.locks import (
    DROP_INDEX,
    EMPTY,
    INDEX,
    LOCK,
    OLD,
    REWRITE,
    ROWS,
    SCAN,
    TRIGGER,
    UNSEEN,
    LockFault,
    broken,
    statements,
)

CREATE = "CREATE TABLE notes (id INTEGER NOT NULL, text TEXT)"


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX minutes_x ON minutes (n)",
        "CREATE INDEX minutes_x ON ONLY minutes (n)",
        "CREATE INDEX outcomes_x ON outcomes (at)",
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
    assert broken([statement + ";"])


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX CONCURRENTLY minutes_x ON minutes (n)",
        "CREATE INDEX outcomes_x ON ONLY outcomes (at)",
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
    assert broken([statement + ";"]) == []


def test_a_table_that_the_migration_made_is_empty() -> None:
    script = f"{CREATE}; CREATE INDEX notes_text ON notes (text); ALTER TABLE notes ALTER COLUMN text SET NOT NULL;"
    assert broken([script]) == []
    assert len(broken([script.replace("ON notes", "ON series")])) == 1


def test_only_what_breaks_an_older_version_may_be_marked_retired() -> None:
    assert broken(["DROP TABLE minutes"], retired=True) == []
    assert broken(["CREATE INDEX a ON minutes (n)"], retired=True)


def test_a_function_body_is_one_statement() -> None:
    body = "CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN UPDATE minutes SET n = 1; END $$ LANGUAGE plpgsql"
    assert [text for text, _ in statements(f"{body}; SELECT 1")] == [body, "SELECT 1"]
    assert broken([body]) == []


def do(body: str) -> str:
    return f"DO $$ BEGIN {body} END $$"


# What a reading by regular expressions let pass, and what is wrong with it.
HIDDEN = (
    ("ALTER TABLE minutes ADD COLUMN x INTEGER, ALTER COLUMN n TYPE NUMERIC", REWRITE),
    ("ALTER TABLE minutes ALTER COLUMN n SET DEFAULT 0, DROP COLUMN n", OLD),
    ("ALTER TABLE minutes ADD COLUMN x INTEGER DEFAULT 0, ADD COLUMN y INTEGER NOT NULL", EMPTY),
    ("ALTER TABLE minutes ADD CONSTRAINT a CHECK (n > 0) NOT VALID, ADD CONSTRAINT b CHECK (n > 1)", SCAN),
    ("ALTER TABLE minutes ADD x INTEGER NOT NULL", EMPTY),
    ("ALTER TABLE minutes ALTER n TYPE NUMERIC", REWRITE),
    ("ALTER TABLE minutes DROP n", OLD),
    ("ALTER TABLE minutes ADD COLUMN x DOUBLE PRECISION DEFAULT (random())", REWRITE),
    ("ALTER TABLE minutes ADD COLUMN x TEXT DEFAULT md5(timeofday())", REWRITE),
    ("ALTER TABLE minutes ADD COLUMN x INTEGER UNIQUE", INDEX),
    ("ALTER TABLE minutes ADD COLUMN x INTEGER CHECK (x > 0)", SCAN),
    ("ALTER TABLE minutes ADD COLUMN x INTEGER DEFAULT 1 REFERENCES series (id)", SCAN),
    ("ALTER TABLE minutes ADD EXCLUDE USING gist (span WITH &&)", INDEX),
    ("ALTER TABLE minutes ADD CONSTRAINT c NOT NULL n", SCAN),
    ("ALTER TABLE minutes SET UNLOGGED", REWRITE),
    ("ALTER TABLE minutes SET TABLESPACE fast", REWRITE),
    ("ALTER TABLE minutes SET SCHEMA old", OLD),
    ("ALTER TABLE outcomes ATTACH PARTITION minutes FOR VALUES FROM (1) TO (2)", SCAN),
    ("CREATE TABLE today PARTITION OF outcomes FOR VALUES FROM (1) TO (2)", LOCK),
    ('ALTER TABLE "my minutes" ALTER COLUMN "the n" TYPE NUMERIC', REWRITE),
    ('CREATE INDEX "by n" ON "my minutes" (n)', INDEX),
    ('UPDATE "my minutes" SET n = 0', ROWS),
    ("REINDEX (VERBOSE) TABLE minutes", INDEX),
    ("REINDEX DATABASE evenkeel", INDEX),
    ("DROP INDEX IF EXISTS minutes_minute", DROP_INDEX),
    ("DROP VIEW minutes_seen", OLD),
    ("DROP FUNCTION pairs_add", OLD),
    ("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'", OLD),
    ("WITH gone AS (DELETE FROM minutes RETURNING n) INSERT INTO hours SELECT * FROM gone", ROWS),
    ("WITH new AS (UPDATE minutes SET n = 0 RETURNING n) SELECT count(*) FROM new", ROWS),
    ("MERGE INTO minutes USING hours ON true WHEN MATCHED THEN DELETE", ROWS),
    ("SELECT n FROM minutes FOR UPDATE", ROWS),
    ("CREATE TRIGGER t BEFORE INSERT ON minutes FOR EACH ROW EXECUTE FUNCTION f()", TRIGGER),
    ("CREATE RULE r AS ON UPDATE TO minutes DO INSTEAD NOTHING", TRIGGER),
    ("LOCK minutes", LOCK),
    ("TRUNCATE ONLY minutes", LOCK),
    ("VACUUM (FULL) minutes", LOCK),
    ("CLUSTER minutes USING minutes_x", LOCK),
    ("REFRESH MATERIALIZED VIEW seen", LOCK),
    (do("UPDATE minutes SET n = 0;"), ROWS),
    (do("IF true THEN NULL; ELSE ALTER TABLE minutes DROP COLUMN n; END IF;"), OLD),
    (do("EXECUTE 'CREATE INDEX i ON minutes (n)';"), INDEX),
    (do("EXECUTE 'DO $x$ BEGIN DELETE FROM minutes; END $x$';"), ROWS),
    ("DO $$ DECLARE r record; BEGIN FOR r IN SELECT 1 LOOP LOCK TABLE minutes; END LOOP; END $$", LOCK),
    (do("EXECUTE format('ALTER TABLE %I DROP COLUMN n', 'minutes');"), UNSEEN),
    ("DO LANGUAGE plpython3u $$ pass $$", UNSEEN),
    ("CALL clear()", UNSEEN),
    ("CREATE INDEX ON ON minutes", UNSEEN),
)


@pytest.mark.parametrize(("statement", "fault"), HIDDEN, ids=[statement for statement, _ in HIDDEN])
def test_what_is_wrong_is_found_wherever_it_stands(statement: str, fault: LockFault) -> None:
    assert [found for _, found in broken([statement])] == [fault]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE minutes ADD x INTEGER, ADD y TEXT DEFAULT 'a' NOT NULL",
        "ALTER TABLE minutes ADD COLUMN at DATE DEFAULT CURRENT_DATE",
        "ALTER TABLE minutes ADD COLUMN x INTEGER GENERATED ALWAYS AS (n * 2) VIRTUAL",
        "ALTER TABLE minutes ADD COLUMN x INTEGER REFERENCES series (id)",
        "ALTER TABLE minutes DROP CONSTRAINT positive, SET (fillfactor = 70)",
        "ALTER INDEX minutes_x RENAME TO minutes_n",
        "ALTER TYPE mood ADD VALUE 'fine'",
        "REINDEX INDEX CONCURRENTLY minutes_x",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY seen",
        "VACUUM minutes",
        "DROP TRIGGER t ON minutes",
        "UPDATE minutes SET n = 0 WHERE id IN (SELECT id FROM minutes WHERE n IS NULL LIMIT 1000)",
        "INSERT INTO minutes (n) VALUES (1)",
        "COMMENT ON COLUMN minutes.n IS 'an UPDATE minutes; that is none'",
        "SELECT 'DROP TABLE minutes; TRUNCATE minutes'",
        "CREATE TABLE notes (id BIGINT REFERENCES series (id))",
        "SET lock_timeout = '2s'",
        do("PERFORM 1; EXECUTE 'SELECT 1';"),
    ],
)
def test_what_only_looks_long_passes(statement: str) -> None:
    assert broken([statement]) == []


def test_a_table_that_may_have_been_there_is_not_taken_for_empty() -> None:
    script = "CREATE TABLE IF NOT EXISTS minutes (n INTEGER); CREATE INDEX i ON minutes (n)"
    assert [fault for _, fault in broken([script])] == [INDEX]
    assert broken([script.replace("IF NOT EXISTS ", "")]) == []
    assert broken(["CREATE TABLE old.minutes (n INTEGER)", "CREATE INDEX i ON minutes (n)"])


def test_a_check_is_validated_without_the_lock_that_added_it_and_then_proves_not_null() -> None:
    add = "ALTER TABLE minutes ADD CONSTRAINT there CHECK (n IS NOT NULL) NOT VALID"
    validate = "ALTER TABLE minutes VALIDATE CONSTRAINT there"
    require = "ALTER TABLE minutes ALTER COLUMN n SET NOT NULL"
    assert broken([add, "COMMIT", validate, require]) == []
    assert [text for text, _ in broken([add, validate])] == [validate]
    assert [text for text, _ in broken([add, "COMMIT", require])] == [require], "it was never validated"
    assert broken([add, "COMMIT", validate, require.replace("n SET", "m SET")]), "another column"
