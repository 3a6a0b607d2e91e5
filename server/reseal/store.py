"""SQL of what is stored encrypted, wherever it stands."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Column, Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.auth import second_step
from server.changes import flag_sources as flags
from server.changes import hooks as change_hooks
from server.changes import targets as deploys
from server.kernel import sealed
from server.notify import secrets
from server.signals import copying
from server.tables.alerts import targets
from server.tables.deploys import deploy_targets
from server.tables.flags import flag_sources
from server.tables.hooks import hooks
from server.tables.people import users
from server.tables.signals import alertmanagers

# Every column with secrets, and what its keys are derived for.
SEALED: tuple[tuple[Table, Column[str], str], ...] = (
    (users, users.c.totp_secret, second_step.PURPOSE),
    (targets, targets.c.secret, secrets.OUT),
    (targets, targets.c.inbound_secret, secrets.IN),
    (deploy_targets, deploy_targets.c.secret, deploys.SECRETS),
    (hooks, hooks.c.secret, change_hooks.SECRETS),
    (flag_sources, flag_sources.c.address, flags.ADDRESSES),
    (flag_sources, flag_sources.c.header, flags.HEADERS),
    (alertmanagers, alertmanagers.c.address, copying.SECRETS),
)


class Resealed(NamedTuple):
    """How many secrets were encrypted anew, were so already, and cannot be opened."""

    anew: int = 0
    already: int = 0
    lost: int = 0


async def reseal(connection: AsyncConnection, secret_key: str) -> Resealed:
    """Encrypt everything that only an accepted key opens with the key itself. What no key opens stays as it is."""
    counts = {"anew": 0, "already": 0, "lost": 0}
    for table, column, purpose in SEALED:
        rows = select(table.c.id, column).where(column.startswith(sealed.PREFIX)).order_by(table.c.id).with_for_update()
        for row_id, stored in (await connection.execute(rows)).all():
            outcome, text = again(secret_key, purpose, stored)
            counts[outcome] += 1
            if text:
                await connection.execute(update(table).where(table.c.id == row_id).values({column.name: text}))
    return Resealed(**counts)


def again(secret_key: str, purpose: str, stored: str) -> tuple[str, str]:
    """What becomes of one secret, and its new text where it gets one."""
    if sealed.opens(str(secret_key), purpose, stored):
        return "already", ""
    try:
        return "anew", sealed.seal(secret_key, purpose, sealed.opened(secret_key, purpose, stored))
    except sealed.Unreadable:
        return "lost", ""
