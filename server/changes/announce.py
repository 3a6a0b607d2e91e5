"""A change that a pipeline or a person tells of, such as a deploy from CI.

A deploy is also detected by the first outcome of its version: whichever is first,
it is one change. The same change told again, while nothing of its kind came after
it, is that change. A deploy of a version older than the one that runs rolls that one
back, whether it says so or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct, structs

from server.auth.audit_store import audit
from server.changes import store
from server.changes.store import Change
from server.kernel.errors import invalid
from server.kernel.names import OTHER, OWN

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class AnnouncedChange(Struct, forbid_unknown_fields=True):
    """`version` is what senders write, or for a scale and a flag what it is now: `8 processes`, `new-cart on`.

    `rolls_back` names the version that this deploy takes out of production: the gate denies it from then on. Left out,
    it is the version that runs, if this one is older.
    """

    service: Name
    kind: Literal["deploy", "scale", "flag"]
    version: Name
    summary: Annotated[str, Meta(max_length=500)] = ""
    rolls_back: Annotated[str, Meta(max_length=200)] = ""


class Announced(Struct):
    """The change as recorded. With `already`, it was known, and nothing was added."""

    change: Change
    already: bool


async def announce(connection: AsyncConnection, asked: AnnouncedChange, actor: str, request_id: str) -> Announced:
    """Record an announced change once, with its audit entry. Raises ApiError INVALID."""
    check(asked)
    await store.lock(connection)
    last = await store.newest(connection, asked.service, asked.kind)
    if last is not None and same(last, asked):
        if not detected(last):
            return Announced(last, already=True)
        adopted = await store.adopt(connection, last.id, summary(asked), actor, detail(asked))
        await written(connection, adopted, actor, request_id)
        return Announced(adopted, already=True)
    asked = await going_back(connection, asked, last)
    await store.record(
        connection, asked.kind, asked.service, asked.version, summary(asked), author=actor, detail=detail(asked)
    )
    change = await store.newest(connection, asked.service, asked.kind)
    assert change is not None
    await written(connection, change, actor, request_id)
    return Announced(change, already=False)


async def going_back(connection: AsyncConnection, asked: AnnouncedChange, last: Change | None) -> AnnouncedChange:
    """The change with the version that it takes out of production: the one that runs, where that is newer."""
    if asked.kind != "deploy" or asked.rolls_back or last is None:
        return asked
    if not await store.older(connection, asked.service, asked.version, last.version):
        return asked
    return structs.replace(asked, rolls_back=last.version)


def check(asked: AnnouncedChange) -> None:
    """ApiError INVALID for what cannot be a change."""
    if OTHER in (asked.service, asked.version):
        raise invalid("service" if asked.service == OTHER else "version", f"{OTHER} is what is counted together")
    if asked.rolls_back and asked.kind != "deploy":
        raise invalid("rolls_back", f"only a deploy rolls a version back, not a {asked.kind}")
    if asked.rolls_back == asked.version:
        raise invalid("rolls_back", "is the version that this deploy brings; name the one that it takes away")
    if not all(text.isprintable() for text in (asked.service, asked.version, asked.summary, asked.rolls_back)):
        raise invalid("summary", "has characters that cannot be shown")


def same(last: Change, asked: AnnouncedChange) -> bool:
    """Whether the last change of the kind is this one; one that names nothing that it rolls back may be any."""
    known = last.detail if isinstance(last.detail, dict) else {}
    return last.version == asked.version and asked.rolls_back in ("", known.get("rolls_back", ""))


def detected(change: Change) -> bool:
    """Whether a change was detected by its first outcome and not announced yet."""
    return change.author == OWN and isinstance(change.detail, dict) and "detected" in change.detail


def summary(asked: AnnouncedChange) -> str:
    """What Changes says of it."""
    text = asked.summary or (f"version {asked.version}" if asked.kind == "deploy" else asked.version)
    return f"{text} (rolls back {asked.rolls_back})" if asked.rolls_back else text


def detail(asked: AnnouncedChange) -> dict[str, str]:
    return {"announced": asked.version} | ({"rolls_back": asked.rolls_back} if asked.rolls_back else {})


async def written(connection: AsyncConnection, change: Change, actor: str, request_id: str) -> None:
    """Write the audit entry, in the same transaction."""
    after = {"change": change.id, "version": change.version, "summary": change.summary, "detail": change.detail}
    subject = f"{change.kind} of {change.service}"
    await audit(connection, actor, "change.announce", subject, None, after, request_id)
