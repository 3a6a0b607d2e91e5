"""Where Alembic connects: DATABASE_URL, or the embedded database, also while the server runs;
then OUTCOMES_DATABASE_URL, which is kept at the same revision."""

from __future__ import annotations

import logging
from typing import Any

from alembic import command, context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection, create_engine, pool

from server.kernel.db import SQLALCHEMY, connect_args, limit
from server.kernel.settings import read_environment
from server.process.command_database import database_for_command
from server.process.migrate import be_alone, recorded, running
from server.tables import metadata

log = logging.getLogger("evenkeel.migrate")

LOCK_TIMEOUT = "3s"  # a migration that cannot get its lock fails rather than queueing ingest behind it


def run(url: str) -> None:
    """Migrate up, one transaction a migration; or down, in one that has every table to itself."""
    engine = create_engine(SQLALCHEMY, poolclass=pool.NullPool, connect_args=connect_args(url))
    limit(engine, statement_timeout="0", lock_timeout=LOCK_TIMEOUT, idle_in_transaction_session_timeout="0")
    down = downgrades()
    with engine.connect() as connection:
        if down:
            say_who_runs(connection)
        context.configure(
            connection=connection,
            target_metadata=metadata,
            transaction_per_migration=not down,
            on_version_apply=None if is_new(connection) else record,  # type: ignore[arg-type]  # called by name
        )
        with context.begin_transaction():
            if down:
                be_alone(connection)
            context.run_migrations()
    engine.dispose()


def is_new(connection: Connection) -> bool:
    """Whether the database has no schema yet."""
    found = MigrationContext.configure(connection).get_current_revision() is None
    connection.rollback()
    return found


def record(*, step: MigrationInfo, **_: Any) -> None:
    """A migration is a change of production, recorded with it."""
    script: Any = step.up_revision
    why = getattr(script.module, "IRREVERSIBLE", "")
    recorded(context.get_bind(), script.revision, script.doc, down=not step.is_upgrade, irreversible=why)


def downgrades() -> bool:
    """Whether the command is `alembic downgrade`."""
    chosen = getattr(context.config.cmd_opts, "cmd", None)
    return chosen is not None and chosen[0] is command.downgrade


def say_who_runs(connection: Connection) -> None:
    """Before anything is done: an older schema is not what a running process needs."""
    found = running(connection)
    connection.rollback()
    if found:
        log.warning(
            "Running on this database: %s. With an older schema they are not ready and answer 503: roll the "
            "application back first, see docs/runbook.md.",
            ", ".join(found),
        )


given = context.config.attributes.get("url")
if given is not None:
    run(given)
else:
    logging.basicConfig(format="%(message)s")
    logging.getLogger("alembic.runtime").setLevel(logging.INFO)
    environment = read_environment(for_database_only=True)
    with database_for_command(environment) as found:
        run(found)
    if environment.outcomes_database_url:
        run(environment.outcomes_database_url)
