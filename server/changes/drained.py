"""Changes that lines of a drain tell of."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from server.auth.identity import Identity
from server.changes import store
from server.changes.announce import AnnouncedChange, Sent, announce
from server.changes.store import Change
from server.changes.waits import TOPIC
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.parts import Parts
from server.receivers.drained import DrainedChange
from server.receivers.told_change import NAME_MAX, SUMMARY_MAX, VERSION_MAX, shown

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

log = logging.getLogger("evenkeel.changes")

STORE_S = 1.5
RELEASE = re.compile(r"v\d+")


async def tell_drained(
    parts: Parts, platform: str, changes: Sequence[DrainedChange], identity: Identity, request_id: str
) -> int:
    """Record those that were not known; how many. Raises ApiError UNAVAILABLE, TimeoutError."""
    mine = [one for one in changes if identity.may_touch(one.service)]
    if not mine:
        return 0
    new: list[int] = []
    async with asyncio.timeout(STORE_S), parts.db.act() as connection:
        await store.lock(connection)
        for one in mine:
            change = await recorded(connection, one, platform, identity.actor, request_id)
            new += [change.id] if change else []
    for number in new:
        await parts.bus.publish(TOPIC, number)
    return len(new)


async def recorded(
    connection: AsyncConnection, one: DrainedChange, platform: str, actor: str, request_id: str
) -> Change | None:
    """The change that was recorded; None where it was known, or is none."""
    at = datetime.fromtimestamp(min(one.at / 1_000_000, shared_clock.now()), UTC)
    asked, sent = asked_of(one, at), Sent(platform, f"{one.service}/{one.event}"[:NAME_MAX], returns=one.returns)
    if at.microsecond and await joined(connection, asked, sent, at):
        return None
    try:
        found = await announce(connection, asked, actor, request_id, sent)
    except ApiError as error:
        if error.code != "INVALID":
            raise
        log.warning("a change of %s in a drain is none: %s", one.service, error.detail)
        return None
    return None if found.already else found.change


async def joined(connection: AsyncConnection, asked: AnnouncedChange, sent: Sent, at: datetime) -> bool:
    """Put the two lines of one release together that came apart: they are of one microsecond. Whether they were."""
    others = await store.told_at(connection, asked.service, sent.platform, at)
    released = RELEASE.fullmatch(asked.version) is not None
    other = next((one for one in others if (RELEASE.fullmatch(one.version) is not None) is not released), None)
    if other is None or asked.kind == "scale" or other.kind == "scale":
        return False
    if released:
        await store.adopt(connection, other.id, version=asked.version, told_as=sent.told_as)
    elif other.summary == f"version {other.version}":
        await store.adopt(connection, other.id, summary=asked.summary, kind=asked.kind)
    return True


def asked_of(one: DrainedChange, at: datetime) -> AnnouncedChange:
    """The change as if it had been announced when it was."""
    return AnnouncedChange(
        service=shown(one.service, NAME_MAX),
        kind=one.kind,
        version=shown(one.version, VERSION_MAX),
        summary=shown(one.summary, SUMMARY_MAX),
        actor=shown(one.actor, NAME_MAX),
        started=at.isoformat(),
        finished=at.isoformat(),
    )
