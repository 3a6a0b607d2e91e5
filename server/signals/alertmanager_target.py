"""Where silences are written back, as administrators set it up. The address is in no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from server.auth.audit_store import audit
from server.kernel import sealed
from server.kernel.errors import ApiError
from server.kernel.times import Instant
from server.kernel.urls import checked_url, shown_url
from server.signals import copy_store
from server.signals.copy_store import AlertmanagerTarget
from server.signals.copying import SECRETS, NotWritten, client_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.kernel.settings import Environment

NONE = "Silences are written back nowhere. Nothing was done."


class AlertmanagerRequest(Struct, forbid_unknown_fields=True):
    """`address` is a URL up to `/api/v2`, with a user name and a password in it where it asks for them."""

    address: Annotated[str, Meta(min_length=1, max_length=2000)]


class AlertmanagerView(Struct):
    """Where silences are written back, without its secret: of the address only the host is shown."""

    address: str
    created_by: str
    created_at: Instant


class AlertmanagerProbed(Struct):
    """Whether it would take a silence now, and what is in the way."""

    ok: bool
    message: str


def view(target: AlertmanagerTarget) -> AlertmanagerView:
    """What is shown of it."""
    return AlertmanagerView(target.host, target.created_by, target.created_at)


async def put(
    connection: AsyncConnection, env: Environment, asked: AlertmanagerRequest, actor: str, request_id: str
) -> AlertmanagerView:
    """Write silences back there; ApiError INVALID names the field."""
    address = checked_url(asked.address.strip(), private=env.notify_allow_private)
    stored = sealed.seal(env.secret_key, SECRETS, address)
    made = await copy_store.put(connection, stored, shown_url(address), actor)
    await audit(connection, actor, "alertmanager.put", made.host, None, {"address": made.host}, request_id)
    return view(made)


async def remove(connection: AsyncConnection, actor: str, request_id: str) -> str:
    """Write them back nowhere; the host that it was. ApiError NOT_FOUND."""
    host = await copy_store.remove(connection)
    if host is None:
        raise ApiError("NOT_FOUND", NONE)
    await audit(connection, actor, "alertmanager.remove", host, {"address": host}, None, request_id)
    return host


async def probe(env: Environment, target: AlertmanagerTarget | None) -> AlertmanagerProbed:
    """Look whether it answers, changing nothing there. ApiError NOT_FOUND."""
    if target is None:
        raise ApiError("NOT_FOUND", NONE)
    try:
        await client_of(env, target.address).probe()
    except NotWritten as error:
        return AlertmanagerProbed(False, str(error))
    return AlertmanagerProbed(True, "It answers. Whether it takes a silence is seen with the first.")
