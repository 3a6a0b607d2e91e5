"""API keys: made, listed, revoked. Each act is audited in the caller's transaction and seen by every process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from server.auth import store, tokens
from server.auth.audit_store import audit
from server.auth.identity import checked_scopes
from server.auth.store import ApiKey
from server.kernel.errors import ApiError, invalid

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

NAME_CHARACTERS = 100


class NewKey(msgspec.Struct):
    """A key just made; `key` is shown this once."""

    id: int
    name: str
    scopes: list[str]
    key: str


async def create_key(
    connection: AsyncConnection,
    name: str,
    scopes: Sequence[str],
    *,
    actor: str,
    request_id: str = "",
    lifetime_s: int | None = None,
) -> NewKey:
    """A new key, for ever or for `lifetime_s` seconds; ApiError INVALID for a bad name or scope."""
    name = name.strip()
    if not 1 <= len(name) <= NAME_CHARACTERS or not name.isprintable():
        raise invalid("name", f"give 1 to {NAME_CHARACTERS} printable characters")
    granted = checked_scopes(list(scopes))
    key = tokens.new_token("ek")
    values = {
        "name": name,
        "prefix": key[: tokens.PREFIX_CHARACTERS],
        "digest": tokens.digest(key),
        "scopes": granted,
        "created_by": actor,
    }
    key_id = await store.add_key(connection, values, lifetime_s)
    after = {"id": key_id, "scopes": granted, "lifetime_s": lifetime_s}
    await audit(connection, actor, "key.create", name, None, after, request_id)
    await store.signal(connection, "keys")
    return NewKey(key_id, name, granted, key)


async def revoke_key(connection: AsyncConnection, key_id: int, *, actor: str, request_id: str = "") -> ApiKey:
    """End a key; every process refuses it within 5 s. A repeat changes nothing. ApiError NOT_FOUND."""
    key = await store.key_by_id(connection, key_id)
    if key is None:
        raise ApiError("NOT_FOUND", f"There is no key {key_id}. Nothing was done.")
    if key.revoked_at is None:
        key.revoked_at = await store.revoke_key(connection, key_id)
        after = {"id": key_id, "revoked_at": key.revoked_at}
        await audit(connection, actor, "key.revoke", key.name, {"id": key_id, "scopes": key.scopes}, after, request_id)
        await store.signal(connection, "keys")
    return key
