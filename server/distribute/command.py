"""`python -m server distribute`: once, on a cluster of Citus, when raw outcomes fill more than one server."""

from __future__ import annotations

from collections.abc import Iterator

import click

from server.auth.commands import click_errors
from server.kernel.terminal import say

NO_CITUS = (
    "Citus is not in this database, so nothing was done. Install it from its own packages, preload it, and run "
    "CREATE EXTENSION citus in this database of the coordinator and of each worker: docs/scale.md."
)
TWO_DATABASES = (
    "OUTCOMES_DATABASE_URL is set: a second database is swept by what only one server can know, so it cannot be "
    "distributed. Nothing was done. Leave it out, with DATABASE_URL on the cluster's coordinator."
)


@click.command()
def distribute() -> None:
    """Put raw outcomes on the workers of a Citus cluster.

    Log lines too. Safe to repeat, while it serves: what is sent meanwhile waits, or is spooled.
    """
    from server.kernel.settings import read_environment
    from server.process.command_database import database_for_command

    with click_errors():
        env = read_environment(for_database_only=True)
        if env.outcomes_database_url:
            raise click.ClickException(TWO_DATABASES)
        with database_for_command(env) as url:
            for line in distributed(url):
                say(line)


def distributed(url: str) -> Iterator[str]:
    """Distribute what is not yet; what was done, a line a table once it is. ClickException without Citus."""
    import psycopg

    from server.distribute import store

    with psycopg.connect(url, autocommit=True, application_name="evenkeel distribute") as connection:
        if not store.has_citus(connection):
            raise click.ClickException(NO_CITUS)
        count = store.shards(connection)
        for table in store.BEFORE:
            there = store.is_spread(connection, table)
            if not there:
                say(f"{table}: its rows go to the workers, which may take minutes.", err=True)
                store.spread(connection, table, count)
            store.forget_local(connection, table)
            yield f"{table}: distributed already." if there else f"{table}: on {count} shards, by {store.BY[table]}."
