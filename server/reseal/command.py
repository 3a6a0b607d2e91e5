"""`python -m server reseal`: after a change of SECRET_KEY, before the old one is no longer accepted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from server.auth.commands import actor, run
from server.kernel.terminal import say

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.reseal.store import Resealed


@click.command()
def reseal() -> None:
    """Encrypt stored secrets with a new SECRET_KEY.

    Those that one of SECRET_KEYS_ACCEPTED opens. Safe to repeat, while it serves. Exits with 1 where some open with
    none of them.
    """
    from server.auth.audit_store import audit
    from server.kernel.settings import key_of, read_environment
    from server.reseal import store

    key = key_of(read_environment(for_database_only=True))

    async def act(connection: AsyncConnection) -> Resealed:
        done = await store.reseal(connection, key)
        await audit(connection, actor(), "secrets.reseal", "", None, done._asdict())
        return done

    done = run(act)
    say(f"{done.anew} secrets are encrypted with SECRET_KEY now, {done.already} were already.")
    if done.lost:
        say(f"{done.lost} open with none of the keys and stay as they are; see the check secret_key.", err=True)
        sys.exit(1)
