"""Bring a database to this release's schema, and say which schema it has."""

from __future__ import annotations

import json
import time
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from server.kernel.db import session_settings, setting
from server.kernel.errors import ConfigurationError
from server.kernel.names import HOST, OWN

ALONE_WITHIN_S = 60.0
# Shorter than deadlock_timeout, 1 s: who waits for us is let through before anybody is told of a deadlock.
LOCKS_WITHIN = "800ms"
RUNNING = """
SELECT name || ' on ' || host || ' (' || version || ')' FROM processes
WHERE stopped_at IS NULL AND heartbeat_at > clock_timestamp() - interval '10 s' ORDER BY host, name
"""
TABLES = """
SELECT string_agg(quote_ident(relname), ', ' ORDER BY relname) FROM pg_class
WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = current_schema()::regnamespace
"""

# Null where there is no table of changes; whether it says what can be undone.
SAYS = """
SELECT CASE WHEN to_regclass('changes') IS NOT NULL THEN EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = to_regclass('changes') AND attname = 'migration' AND NOT attisdropped
) END
"""
RECORD = """
INSERT INTO changes (at, kind, service, version, summary, author, detail)
VALUES (clock_timestamp(), 'migration', :service, :version, :summary, :author, CAST(:detail AS jsonb))
"""
UNDONE = """
UPDATE changes SET migration = :migration
WHERE id = (SELECT max(id) FROM changes WHERE kind = 'migration' AND version = :version)
"""

ROOT = Path(__file__).resolve().parents[2]


def alembic_config(url: str | None = None) -> Config:
    """Alembic's configuration, from pyproject.toml; `url` is where to migrate."""
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["url"] = url
    return config


def migrate(url: str) -> None:
    """Upgrade to our head; a database that is newer than us is left as it is."""
    at = current(url)
    if at is None or (at in known() and at != head()):
        command.upgrade(alembic_config(url), "head")


def current(url: str) -> str | None:
    """The revision that a database is at; None where it has no schema."""
    with psycopg.connect(url) as connection:
        connection.execute(setting("SET LOCAL", session_settings()))
        found = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
        if found is None or found[0] is None:
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def head() -> str:
    """The newest revision that this release knows."""
    found = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert found is not None
    return found


def known() -> frozenset[str]:
    """Every revision that this release knows: a database at any other one is newer."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions())


def running(connection: Connection) -> list[str]:
    """The processes that use the database now, as `web.1 on HOST (VERSION)`."""
    there = connection.exec_driver_sql("SELECT to_regclass('processes') IS NOT NULL").scalar_one()
    return list(connection.exec_driver_sql(RUNNING).scalars()) if there else []


def recorded(connection: Connection, revision: str, what: str, *, down: bool, irreversible: str) -> None:
    """Record a migration as a change, in its own transaction, where the schema has changes.

    `irreversible` is why it cannot be undone, empty where it can.
    """
    can_be_told = connection.exec_driver_sql(SAYS).scalar_one()
    if can_be_told is None:
        return
    detail = {"direction": "down" if down else "up", "irreversible": irreversible}
    values = {
        "service": OWN,
        "version": revision,
        "summary": f"{'back from ' if down else ''}{revision}: {what}",
        "author": f"host:{HOST}",
        "detail": json.dumps(detail),
    }
    connection.execute(text(RECORD), values)
    if can_be_told:
        undone = {"migration": "irreversible" if irreversible else "reversible", "version": revision}
        connection.execute(text(UNDONE), undone)


def be_alone(connection: Connection) -> None:
    """Lock every table for the rest of the transaction, without a deadlock: all within a moment, or none and again.

    ConfigurationError where that does not come about.
    """
    deadline = time.monotonic() + ALONE_WITHIN_S
    tables = connection.exec_driver_sql(TABLES).scalar_one()
    while tables:
        attempt = connection.begin_nested()
        try:
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{LOCKS_WITHIN}'")
            connection.exec_driver_sql(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            attempt.commit()
            return
        except OperationalError as error:
            attempt.rollback()
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"The tables were in use for {ALONE_WITHIN_S:g} s. Nothing was done: stop what uses them."
                ) from error
            time.sleep(0.2)
