"""Where Alembic connects: DATABASE_URL, or the embedded database, also while the server runs."""

from __future__ import annotations

import logging

from alembic import context
from sqlalchemy import create_engine, pool

from server.kernel.db import SQLALCHEMY, connect_args, limit
from server.kernel.settings import read_environment
from server.process.command_database import database_for_command
from server.tables import metadata

LOCK_TIMEOUT = "3s"  # a migration that cannot get its lock fails rather than queueing ingest behind it


def run(url: str) -> None:
    """Migrate, one transaction a migration."""
    engine = create_engine(SQLALCHEMY, poolclass=pool.NullPool, connect_args=connect_args(url))
    limit(engine, lock_timeout=LOCK_TIMEOUT, idle_in_transaction_session_timeout="0")
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


given = context.config.attributes.get("url")
if given is not None:
    run(given)
else:
    logging.basicConfig(format="%(message)s")
    logging.getLogger("alembic.runtime").setLevel(logging.INFO)
    with database_for_command(read_environment(for_database_only=True)) as found:
        run(found)
