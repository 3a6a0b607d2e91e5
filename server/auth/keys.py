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
from server.kernel.names import OWN

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

NAME_CHARACTERS = 100
SERVICES_MAX = 100
SERVICE_CHARACTERS = 200  # as of an outcome
SAMPLED_LEAST = 0.00001  # a span stands for 100,000 requests at most, as an outcome does


class NewKey(msgspec.Struct):
    """A key just made; `key` is shown this once."""

    id: int
    name: str
    scopes: list[str]
    services: list[str]  # that it may send and act for; empty: every
    key: str
    sampled: float = 1.0  # the share of requests whose spans its sender sends


async def create_key(
    connection: AsyncConnection,
    name: str,
    scopes: Sequence[str],
    services: Sequence[str] = (),
    *,
    actor: str,
    request_id: str = "",
    lifetime_s: int | None = None,
    sampled: float = 1.0,
) -> NewKey:
    """A new key, for ever or for `lifetime_s` seconds, of some services or of every; ApiError INVALID.

    `sampled`: of what share of the requests its sender sends spans, where these do not say that themselves.
    """
    name = name.strip()
    if not 1 <= len(name) <= NAME_CHARACTERS or not name.isprintable():
        raise invalid("name", f"give 1 to {NAME_CHARACTERS} printable characters")
    granted = checked_scopes(list(scopes))
    bound = checked_services(services, granted)
    if not SAMPLED_LEAST <= sampled <= 1:
        raise invalid("sampled", f"give the share of requests whose spans are sent, from {SAMPLED_LEAST} to 1")
    key = tokens.new_token("ek")
    values = {
        "name": name,
        "prefix": key[: tokens.PREFIX_CHARACTERS],
        "digest": tokens.digest(key),
        "scopes": granted,
        "services": bound,
        "sampled": sampled,
        "created_by": actor,
    }
    key_id = await store.add_key(connection, values, lifetime_s)
    after = {"id": key_id, "scopes": granted, "services": bound, "lifetime_s": lifetime_s, "sampled": sampled}
    await audit(connection, actor, "key.create", name, None, after, request_id)
    await store.signal(connection, "keys")
    return NewKey(key_id, name, granted, bound, key, sampled)


def checked_services(services: Sequence[str], scopes: Sequence[str]) -> list[str]:
    """The services that a key is bound to, each once, in the order of the alphabet; ApiError INVALID."""
    bound = sorted({service.strip() for service in services} - {""})
    if OWN in bound:
        raise invalid("services", f"{OWN} is Evenkeel itself: no key sends its outcomes")
    if len(bound) > SERVICES_MAX:
        raise invalid("services", f"give at most {SERVICES_MAX}")
    if any(len(service) > SERVICE_CHARACTERS or not service.isprintable() for service in bound):
        raise invalid("services", f"give names of 1 to {SERVICE_CHARACTERS} printable characters")
    if bound and "admin" in scopes:
        raise invalid("services", "a key with the scope admin is of every service; leave them out")
    return bound


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
