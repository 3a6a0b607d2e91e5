"""Bring a database to this release's schema, and say which schema it has."""

from __future__ import annotations

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

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
