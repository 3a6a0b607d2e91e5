"""Targets: added, removed, tested. Each act is audited in the caller's transaction; secrets are in no answer."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Annotated

import msgspec

from server.auth.audit_store import audit
from server.kernel.errors import ApiError, invalid
from server.kernel.ids import uuid7
from server.kernel.times import Instant
from server.notify import outbox_store, store, target
from server.notify.delivery import Parcel, deliver
from server.notify.message import test_text
from server.notify.target import Kind, Target, shown_address

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.kernel.db import Database
    from server.kernel.settings import Environment


class TargetView(msgspec.Struct):
    """A target as it is listed, without its secrets: of a URL only the host is shown."""

    id: int
    name: str
    kind: Kind
    address: str
    step: int
    inbound: bool  # whether PagerDuty's webhooks can be verified here
    created_by: str
    created_at: Instant
    sent_at: Instant | None  # when the last message arrived
    failing_since: Instant | None  # since when one is tried that has not arrived
    waiting: int  # messages that have not arrived
    gave_up_at: Instant | None  # where nothing has arrived since
    last_error: str


class NewTarget(msgspec.Struct):
    """A target just made. `secret` is what its messages are signed with, where it was made here: shown this once."""

    id: int
    name: str
    kind: Kind
    step: int
    secret: str | None


class TargetRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A target to add. `address` is a URL, or of the kind email an address; PagerDuty's may be left out."""

    name: str
    kind: Kind
    address: str = ""
    secret: str = ""
    step: Annotated[int, msgspec.Meta(ge=1, le=target.STEPS)] = 1


class Removed(msgspec.Struct):
    """What the removal did."""

    id: int
    name: str
    message: str


class Tested(msgspec.Struct):
    """What came of a test: `sent in 210 ms`, or why not."""

    ok: bool
    duration_ms: float
    message: str


async def list_targets(connection: AsyncConnection) -> list[TargetView]:
    """Every target, in the order in which they are told."""
    return [as_view(found) for found in await store.faring(connection)]


def as_view(found: store.Faring) -> TargetView:
    values = {name: getattr(found, name) for name in TargetView.__struct_fields__}
    return msgspec.convert(values | {"address": shown_address(found.kind, found.address)}, TargetView)


async def add_target(
    connection: AsyncConnection, env: Environment, wanted: TargetRequest, *, actor: str, request_id: str = ""
) -> NewTarget:
    """A new target; ApiError INVALID names the field that is wrong."""
    name = target.checked_name(wanted.name)
    kind = wanted.kind
    if kind == "email" and env.mail is None:
        raise invalid("kind", "e-mail needs SMTP_URL and SMTP_FROM in the environment, see docs/settings.md")
    given = target.checked_secret(kind, wanted.secret)
    made = f"ew_{secrets.token_urlsafe(32)}" if kind == "webhook" and not given else None
    values = {
        "name": name,
        "kind": kind,
        "address": target.checked_address(kind, wanted.address, private=env.notify_allow_private),
        "secret": made or given,
        "step": target.checked_step(wanted.step),
        "created_by": actor,
    }
    if await store.is_taken(connection, name):
        raise invalid("name", f"there is a target {name} already; give it another, or remove that one first")
    target_id = await store.add(connection, values)
    shown = shown_address(kind, str(values["address"]))
    after = {"id": target_id, "kind": kind, "address": shown, "step": wanted.step}
    await audit(connection, actor, "target.add", name, None, after, request_id)
    return NewTarget(target_id, name, kind, wanted.step, made)


async def remove_target(connection: AsyncConnection, target_id: int, *, actor: str, request_id: str = "") -> Removed:
    """Take a target away; a repeat changes nothing. ApiError NOT_FOUND."""
    found = await store.one(connection, target_id, lock=True)
    if found is None:
        gone = await store.removed(connection, target_id)
        if gone is None:
            raise no_target(target_id)
        return Removed(target_id, gone.name, f"Already removed at {gone.removed_at:%H:%M:%S UTC}; nothing was done.")
    await store.remove(connection, target_id)
    before = {"id": target_id, "kind": found.kind, "address": shown_address(found.kind, found.address)}
    await audit(connection, actor, "target.remove", found.name, before, None, request_id)
    message = f"{found.name} is removed. What had not arrived there is not sent; its secret is forgotten."
    return Removed(target_id, found.name, message)


async def set_inbound_secret(
    connection: AsyncConnection, target_id: int, secret: str, *, actor: str, request_id: str = ""
) -> Target:
    """What PagerDuty signs its webhooks with, known only after the target is there. ApiError INVALID, NOT_FOUND."""
    found = await store.one(connection, target_id, lock=True)
    if found is None:
        raise no_target(target_id)
    await store.set_inbound_secret(connection, target_id, target.checked_inbound_secret(found.kind, secret))
    await audit(connection, actor, "target.inbound_secret", found.name, None, {"id": target_id}, request_id)
    return found


async def send_test(env: Environment, db: Database, target_id: int, *, actor: str, request_id: str = "") -> Tested:
    """Send a test message now, once, and say what came of it. ApiError NOT_FOUND."""
    async with db.act() as connection:
        found = await store.one(connection, target_id)
        if found is None:
            raise no_target(target_id)
        await audit(connection, actor, "target.test", found.name, None, {"id": target_id}, request_id)
    text = test_text(found.name)
    parcel = Parcel(found, f"test/{uuid7()}", "test", text)
    begun = time.perf_counter()
    outcome = await deliver(env, parcel)
    took_ms = (time.perf_counter() - begun) * 1000
    async with db.act() as connection:
        await outbox_store.tested(connection, target_id, parcel.key, text, outcome.error)
    if outcome.error:
        return Tested(False, took_ms, f"{found.name}: not sent: {outcome.error}")
    return Tested(True, took_ms, f"{found.name}: sent in {took_ms:.0f} ms. Look whether it has arrived.")


def no_target(target_id: int) -> ApiError:
    return ApiError("NOT_FOUND", f"There is no target {target_id}. Nothing was done.")
