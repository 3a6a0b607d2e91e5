"""The link with which the first administrator signs in, printed at start while there are no people."""

from __future__ import annotations

from server.auth import people_store, signin_store, tokens
from server.kernel.db import Database
from server.kernel.settings import Environment

LIFETIME_S = 24 * 3600
PATH = "/welcome"  # the page that asks for address and password; opening it changes nothing


async def first_admin_link(db: Database, env: Environment) -> str | None:
    """A new link that works once, for 24 hours and only while there are no people; None where there are.

    The token is in the query string, which is never logged.
    """
    async with db.act() as connection:
        if await people_store.count(connection):
            return None
        token = tokens.new_token("el")
        await signin_store.add_link(connection, tokens.digest(token), "admin", LIFETIME_S)
    return f"{env.public_url}{PATH}?token={token}"


async def link_works(db: Database, token: str) -> bool:
    """Whether a link can still be used."""
    if not tokens.well_formed("el", token):
        return False
    async with db.act() as connection:
        role = await signin_store.link_role(connection, tokens.digest(token))
        return role is not None and not await people_store.count(connection)
