"""Secrets of targets: in the database encrypted with keys derived from SECRET_KEY, opened where they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from server import __version__
from server.kernel import sealed
from server.notify import store
from server.notify.target import Target

if TYPE_CHECKING:
    from server.kernel.db import Database

OUT = "secrets of targets"
IN = "inbound secrets of targets"
LOST = "its secret cannot be opened, SECRET_KEY has changed: see the check secret_key"
SEAL_EVERY_S = 60.0


def kept(secret_key: str, secret: str) -> str:
    """What messages are signed with, as it is stored; empty stays empty."""
    return sealed.seal(secret_key, OUT, secret) if secret else ""


def inbound_kept(secret_key: str, secret: str) -> str:
    """What acknowledgements are signed with, as it is stored; empty stays empty."""
    return sealed.seal(secret_key, IN, secret) if secret else ""


def opened(secret_key: str, target: Target) -> Target:
    """The target with the secret of its messages in the open. Raises sealed.Unreadable."""
    return replace(target, secret=sealed.opened(secret_key, OUT, target.secret))


def inbound(secret_key: str, target: Target) -> str:
    """What its acknowledgements are signed with, empty where that is not known. Raises sealed.Unreadable."""
    return sealed.opened(secret_key, IN, target.inbound_secret)


async def seal_plain(db: Database, secret_key: str) -> None:
    """The job `seal`: encrypt what earlier releases have stored, once only processes of this version run.

    An earlier release would take the encrypted text for the secret. After a downgrade of the schema, which opens
    them, nothing is sealed.
    """
    async with db.act() as connection:
        for target in await store.plain(connection, __version__):
            secrets = {"secret": target.secret, "inbound_secret": target.inbound_secret}
            if not sealed.is_sealed(target.secret):
                secrets["secret"] = kept(secret_key, target.secret)
            if not sealed.is_sealed(target.inbound_secret):
                secrets["inbound_secret"] = inbound_kept(secret_key, target.inbound_secret)
            await store.set_secrets(connection, target.id, secrets)
