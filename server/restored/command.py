"""`python -m server restored`: said once of a database that came from a backup, before a process uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.auth.commands import actor, run
from server.kernel.errors import ConfigurationError
from server.kernel.names import OWN
from server.kernel.terminal import say

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


@click.command()
def restored() -> None:
    """End what a database from a backup would do again.

    After a restore, before the service starts. Messages and deploy acts that waited are not sent, open alerts wake
    nobody again, sessions end, numbers given since the backup are not given again. It is in the audit. Refused
    while a process uses the database.
    """
    for what, times in run(settle).items():
        say(f"{times} {what}")
    say("Keys and people are as they were in the backup: what was revoked since is back. See the page Setup.")


async def settle(connection: AsyncConnection) -> dict[str, int]:
    """Settle it; ConfigurationError while a process uses it."""
    from server.auth.audit_store import audit
    from server.restored import store

    there = await store.connected(connection)
    if there:
        raise ConfigurationError(f"{', '.join(there)} use this database. Nothing was done: stop the service first.")
    done = await store.settle(connection, actor(), OWN)
    await audit(connection, actor(), "database.restored", "", None, done)
    return done
