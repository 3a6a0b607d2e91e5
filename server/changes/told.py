"""What a platform tells of a change: whose it is, in whose name, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from server.auth.identity import Identity
from server.changes import store
from server.changes.announce import Announced, AnnouncedChange, Sent, announce
from server.changes.hook_store import Hook
from server.changes.store import Change
from server.kernel.errors import ApiError, invalid
from server.receivers.environment import named as in_environment
from server.receivers.told_change import NothingTold, ToldChange, shortened

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


class ToldAnswer(Struct):
    """What became of it: the change, which was known before with `already`; null where it is none, and why."""

    change: Change | None
    already: bool
    message: str


class ChangeSender(Struct, frozen=True):
    """Who tells of changes, by key or hook: the name for the audit, and the services that it may tell of."""

    actor: str
    services: frozenset[str]
    may_touch: Callable[[str], bool]


def by_key(identity: Identity) -> ChangeSender:
    """A key of the scope act; ApiError FORBIDDEN for any other."""
    if "act" not in identity.scopes:
        raise ApiError("FORBIDDEN", f"{identity.name} lacks the scope act. Nothing was done.")
    return ChangeSender(identity.actor, identity.services, identity.may_touch)


def by_hook(hook: Hook) -> ChangeSender:
    """A hook."""
    return ChangeSender(f"hook:{hook.name}", frozenset(hook.services), hook.may_touch)


async def tell(
    connection: AsyncConnection, told: ToldChange | NothingTold, sender: ChangeSender, service: str, request_id: str
) -> ToldAnswer:
    """Record what a platform tells; `service` where its address names one. ApiError INVALID, FORBIDDEN."""
    if isinstance(told, NothingTold):
        return ToldAnswer(None, False, f"{told.reason} Nothing was recorded.")
    service = service_of(told, sender, service)
    version = shortened(told.version, await store.newest_version(connection, service))
    asked = AnnouncedChange(
        service=service,
        kind=told.kind,
        version=version,
        summary=told.summary,
        actor=told.actor,
        link=told.link,
        started=told.began.isoformat() if told.began else None,
        finished=told.ended.isoformat() if told.ended and told.state != "started" else None,
        state=told.state,
    )
    sent = Sent(told.platform, told.event, timed=told.began is not None, returns=told.returns)
    return answered(await announce(connection, asked, sender.actor, request_id, sent))


def answered(done: Announced) -> ToldAnswer:
    """What became of it, in words."""
    what = f"{done.change.kind} of {done.change.service} is change {done.change.id}"
    return ToldAnswer(done.change, done.already, f"This {what}{', which was known' if done.already else ''}.")


def service_of(told: ToldChange, sender: ChangeSender, named: str) -> str:
    """The service as it is counted: what the address names, else the only one of who tells, else what it is called
    there; with its environment. ApiError INVALID, FORBIDDEN."""
    only = next(iter(sender.services)) if len(sender.services) == 1 else ""
    base = named or only or told.service
    if not base:
        raise invalid("service", "is named nowhere: give it in the address, ?service=NAME")
    found = base if base.endswith(f"@{told.environment}") else in_environment(base, told.environment)
    if not sender.may_touch(base) and not sender.may_touch(found):
        known = ", ".join(sorted(sender.services))
        raise ApiError("FORBIDDEN", f"{sender.actor} is of {known}, not of {found}. Nothing was done.")
    return found
