"""Acts on targets: add, remove, test. Each is audited in the caller's transaction; secrets are in no answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import msgspec

from server.auth.audit_store import audit
from server.kernel.errors import ApiError, invalid
from server.kernel.ids import uuid7
from server.kernel.times import Instant
from server.notify import outbox_store, secrets, store
from server.notify.delivery import deliver
from server.notify.kind import Kind, Parcel
from server.notify.kinds import KINDS, KindName, kind_of
from server.notify.message import test_text
from server.notify.steps import STEPS
from server.notify.target import Target

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.kernel.db import Database
    from server.kernel.settings import Environment

NAME_CHARACTERS = 100


class TargetView(msgspec.Struct):
    """A target as it is listed, without its secrets: of a URL only the host is shown."""

    id: int
    name: str
    kind: str
    address: str
    step: int
    inbound: bool  # whether acknowledgements come back from there
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
    kind: KindName
    step: int
    secret: str | None


class TargetRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A target to add. `address` is a URL, or of the kind email an address; PagerDuty's may be left out."""

    name: str
    kind: KindName
    address: str = ""
    secret: str = ""
    step: Annotated[int, msgspec.Meta(ge=1, le=STEPS)] = 1


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
    return msgspec.convert(values | {"address": kind_of(found.kind).shown_address(found.address)}, TargetView)


async def add_target(
    connection: AsyncConnection, env: Environment, wanted: TargetRequest, *, actor: str, request_id: str = ""
) -> NewTarget:
    """A new target; ApiError INVALID names the field that is wrong."""
    name = checked_name(wanted.name)
    kind = checked_kind(wanted.kind)
    why = kind.unavailable(env)
    if why:
        raise invalid("kind", f"{kind.title} {why}, see docs/settings.md")
    given = kind.checked_secret(wanted.secret.strip())
    made = "" if given else kind.new_secret()
    values = {
        "name": name,
        "kind": kind.name,
        "address": kind.checked_address(wanted.address.strip(), private=env.notify_allow_private),
        "secret": secrets.kept(env.secret_key, made or given),
        "step": checked_step(wanted.step),
        "created_by": actor,
    }
    target_id = await store.add(connection, values)
    if target_id is None:
        raise invalid("name", f"there is a target {name} already; give it another, or remove that one first")
    shown = kind.shown_address(str(values["address"]))
    after = {"id": target_id, "kind": kind.name, "address": shown, "step": wanted.step}
    await audit(connection, actor, "target.add", name, None, after, request_id)
    return NewTarget(target_id, name, kind.name, wanted.step, made or None)


def checked_name(name: str) -> str:
    """The name without blanks around it, or ApiError INVALID."""
    name = name.strip()
    if not 1 <= len(name) <= NAME_CHARACTERS or not name.isprintable():
        raise invalid("name", f"give 1 to {NAME_CHARACTERS} printable characters")
    return name


def checked_kind(name: str) -> Kind:
    """The kind of this name, or ApiError INVALID."""
    if name not in KINDS:
        raise invalid("kind", f"is one of {', '.join(KINDS)}")
    return KINDS[name]


def checked_step(step: int) -> int:
    """Which step it is told in: 1 first, or ApiError INVALID."""
    if not 1 <= step <= STEPS:
        raise invalid("step", f"is 1 to {STEPS}: 1 is told first, 2 when nobody has acknowledged after 5 minutes")
    return step


async def remove_target(connection: AsyncConnection, target_id: int, *, actor: str, request_id: str = "") -> Removed:
    """Take a target away; a repeat changes nothing. ApiError NOT_FOUND."""
    found = await store.one(connection, target_id, lock=True)
    if found is None:
        gone = await store.removed(connection, target_id)
        if gone is None:
            raise no_target(target_id)
        return Removed(target_id, gone.name, f"Already removed at {gone.removed_at:%H:%M:%S UTC}; nothing was done.")
    await store.remove(connection, target_id)
    before = {"id": target_id, "kind": found.kind, "address": kind_of(found.kind).shown_address(found.address)}
    await audit(connection, actor, "target.remove", found.name, before, None, request_id)
    message = f"{found.name} is removed. What had not arrived there is not sent; its secret is forgotten."
    return Removed(target_id, found.name, message)


async def set_inbound_secret(
    connection: AsyncConnection, env: Environment, target_id: int, secret: str, *, actor: str, request_id: str = ""
) -> Target:
    """What its acknowledgements are signed with, known only after it is there. ApiError INVALID, NOT_FOUND."""
    found = await store.one(connection, target_id, lock=True)
    if found is None:
        raise no_target(target_id)
    checked = kind_of(found.kind).checked_inbound_secret(secret.strip())
    kept = secrets.inbound_kept(env.secret_key, checked)
    await store.set_secrets(connection, target_id, {"inbound_secret": kept})
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
    attempt = await deliver(env, parcel)
    took_ms = (time.perf_counter() - begun) * 1000
    async with db.act() as connection:
        await outbox_store.tested(connection, target_id, parcel.key, text, attempt.error)
    if attempt.error:
        return Tested(False, took_ms, f"{found.name}: not sent: {attempt.error}")
    return Tested(True, took_ms, f"{found.name}: sent in {took_ms:.0f} ms. Look whether it has arrived.")


def no_target(target_id: int) -> ApiError:
    return ApiError("NOT_FOUND", f"There is no target {target_id}. Nothing was done.")
