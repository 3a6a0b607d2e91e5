"""Hooks: made and removed by administrators; and which of them has signed what comes. Secrets are in no answer."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from server.auth.audit_store import audit
from server.auth.keys import NAME_CHARACTERS, checked_services
from server.changes import hook_store
from server.changes.hook_store import Hook
from server.kernel import sealed, standard_webhooks
from server.kernel.errors import ApiError, invalid
from server.kernel.times import Instant

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.kernel.settings import Environment

SECRETS = "secrets of hooks"
HOOKS_MAX = 50  # each is tried on what comes
STANDARD = ("webhook-id", "webhook-timestamp", "webhook-signature")

Signs = Callable[[str], bool]  # whether a secret has signed it


class HookRequest(Struct, forbid_unknown_fields=True):
    """A hook to make. `services` are those that it may tell of; left out, every."""

    name: str
    services: list[str] = []


class HookView(Struct):
    """A hook without its secret."""

    id: int
    name: str
    services: list[str]
    created_by: str
    created_at: Instant
    used_at: Instant | None


class HookMade(Struct):
    """`secret` is what the platform signs with, or sends as its token: shown this once."""

    hook: HookView
    secret: str


def view(one: Hook) -> HookView:
    """What is shown of one."""
    return HookView(one.id, one.name, one.services, one.created_by, one.created_at, one.used_at)


async def make(
    connection: AsyncConnection, env: Environment, asked: HookRequest, actor: str, request_id: str
) -> HookMade:
    """A new hook; ApiError INVALID names the field that is wrong."""
    name = asked.name.strip()
    if not 1 <= len(name) <= NAME_CHARACTERS or not name.isprintable():
        raise invalid("name", f"give 1 to {NAME_CHARACTERS} printable characters")
    services = checked_services(asked.services, ())
    if len(await hook_store.every(connection)) >= HOOKS_MAX:
        raise invalid("name", f"there are {HOOKS_MAX} hooks already; remove one that nobody uses")
    secret = standard_webhooks.new_secret()
    made = await hook_store.add(connection, name, services, sealed.seal(env.secret_key, SECRETS, secret), actor)
    if made is None:
        raise invalid("name", f"there is a hook {name} already; give it another, or remove that one first")
    await audit(connection, actor, "hook.create", name, None, {"id": made.id, "services": services}, request_id)
    return HookMade(view(made), secret)


async def remove(connection: AsyncConnection, hook_id: int, actor: str, request_id: str) -> str:
    """Forget one: what it signs is refused from now on. Its name; ApiError NOT_FOUND."""
    name = await hook_store.remove(connection, hook_id)
    if name is None:
        raise ApiError("NOT_FOUND", f"There is no hook {hook_id}. Nothing was done.")
    await audit(connection, actor, "hook.remove", name, {"id": hook_id}, None, request_id)
    return name


async def signer(connection: AsyncConnection, env: Environment, signs: Signs) -> Hook | None:
    """The hook whose secret has signed it; None: none of them has."""
    for one in await hook_store.every(connection):
        try:
            secret = sealed.opened(env.secret_key, SECRETS, one.secret)
        except sealed.Unreadable:  # the check secret_key names it
            continue
        if signs(secret):
            return one
    return None


def standard(headers: Mapping[str, str], body: bytes, now: float) -> Signs:
    """By Standard Webhooks. ApiError FORBIDDEN where that was not tried, or long ago."""
    key, timestamp, signatures = (headers.get(name, "") for name in STANDARD)
    if not key or not signatures:
        raise refused(f"Sign it as Standard Webhooks says: {', '.join(STANDARD)}.")
    if not standard_webhooks.is_recent(timestamp, now):
        limit = f"{standard_webhooks.TOLERANCE_S / 60:g} min"
        raise refused(f"webhook-timestamp is not of the last {limit} by our clock; sign each try anew.")
    return lambda secret: standard_webhooks.signed_by(secret, key, timestamp, signatures, body)


def by_token(token: str) -> Signs:
    """By the secret itself, as GitLab's older tokens do it."""
    return lambda secret: hmac.compare_digest(secret.encode(), token.encode())


def refused(why: str) -> ApiError:
    """What a platform is told whose signature is of no hook."""
    return ApiError("FORBIDDEN", f"{why} Nothing was done.")
