"""A change that a pipeline, a platform or a person tells of, such as a deploy from CI.

A deploy is also detected by the first outcome of its version: whichever is first,
it is one change. The same change told again, while nothing of its kind came after
it, is that change; one that was told as started is so ended. A deploy of a version
older than the one that runs rolls that one back, whether it says so or not.

What a platform tells has a name there, by which it is known whenever it is told again,
and its own time, however late it comes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

from msgspec import Meta, Struct, structs

from server.auth.audit_store import audit
from server.changes import store
from server.changes.store import Change, ChangeState, Migration
from server.kernel.errors import ApiError, invalid
from server.kernel.names import OTHER, OWN
from server.kernel.times import InstantText, instant

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

AHEAD_S = 60.0  # how far a pipeline's clock may be ahead of ours
BACK_S = 24 * 3600.0  # how late a change may be that names no event of a platform: more is a mistake
LATE_S = 60.0  # what comes later than that is said to
AROUND_S = 3600.0  # between a deploy and the first outcome of its version, either way
EVENT_MAX = 500  # characters of what a platform calls a change
UNTIMED_S = 600.0  # for so long what comes again without a time is the same, sent again

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Link = Annotated[str, Meta(max_length=500, pattern=r"^(https?://\S+)?$")]


class AnnouncedChange(Struct, forbid_unknown_fields=True):
    """`version` is what senders write, or for a scale or a flag what it is now: `8 processes`, `new-cart on`. Of kind
    other it may be left out where `summary` says what was changed.

    `rolls_back` names the version that this deploy takes out of production: the gate denies it from then on. Left out,
    it is the version that runs, if this one is older. `started` and `finished` are times of the last 24 hours, now
    where they are left out; with the state `started` it is under way, and the same told again ends it. `migration`:
    whether what it does to a database can be undone.
    """

    service: Name
    kind: Literal["deploy", "scale", "flag", "other"]
    version: Annotated[str, Meta(max_length=200)] = ""
    summary: Annotated[str, Meta(max_length=500)] = ""
    rolls_back: Annotated[str, Meta(max_length=200)] = ""
    actor: Annotated[str, Meta(max_length=200)] = ""
    link: Link = ""
    started: InstantText | None = None
    finished: InstantText | None = None
    state: ChangeState = "finished"
    migration: Migration = "unknown"


class FinishedChange(Struct, forbid_unknown_fields=True):
    """How a change that was under way ended; `finished` is now where it is left out. Of what else is left out, what
    was told before stands."""

    state: Literal["finished", "failed"] = "finished"
    finished: InstantText | None = None
    migration: Migration = "unknown"
    link: Link = ""


class Sent(Struct, frozen=True):
    """How a change came. `platform` '': by our own API; else `event` is its name there. `timed`: it brought its time.
    `returns`: it puts a version back, whichever runs."""

    platform: str = ""
    event: str = ""
    timed: bool = True
    returns: bool = False

    @property
    def told_as(self) -> str | None:
        """What it is known by when it is told again: by a digest where its name is longer than an index holds."""
        event = self.event if len(self.event) <= EVENT_MAX else hashlib.sha256(self.event.encode()).hexdigest()
        return f"{self.platform}/{event}" if self.platform else None


BY_API = Sent()


class Times(TypedDict):
    """The columns of a change that say how far it is."""

    state: ChangeState
    at: datetime
    finished: datetime | None


class Announced(Struct):
    """The change as recorded. With `already`, it was known, and nothing was added."""

    change: Change
    already: bool


async def announce(
    connection: AsyncConnection, asked: AnnouncedChange, actor: str, request_id: str, sent: Sent = BY_API
) -> Announced:
    """Record an announced change once, or its end, with its audit entry. Raises ApiError INVALID."""
    check(asked)
    await store.lock(connection)
    now = await store.now(connection)
    told = times(asked, now, sent)
    if sent.told_as:
        known = await store.told_as(connection, sent.told_as, None if sent.timed else UNTIMED_S)
        if known is not None:
            return await retold(connection, known, asked, told, actor, request_id)
    last = await store.newest(connection, asked.service, asked.kind, told["at"] if sent.platform else None)
    known = await store.under_way(connection, asked.service, asked.kind, asked.version)
    if known is None and sent.platform and asked.kind == "deploy":
        known = await store.detected(connection, asked.service, asked.version, told["at"], AROUND_S)
    known = known or last
    if known is not None and same(known, asked) and not apart(known, asked, sent, told["at"]):
        return await again(connection, known, asked, columns(asked, told, now, sent), actor, request_id)
    asked = await going_back(connection, asked, last, sent)
    values = columns(asked, told, now, sent)
    number = await store.record(connection, asked.kind, asked.service, asked.version, author=actor, **values)
    (change,) = await store.several(connection, [number])
    await written(connection, change, actor, request_id)
    return Announced(change, already=False)


async def retold(  # noqa: PLR0917 - as announce
    connection: AsyncConnection,
    known: Change,
    asked: AnnouncedChange,
    told: Mapping[str, Any],
    actor: str,
    request_id: str,
) -> Announced:
    """An event of a platform that is known: told again it changes nothing; its end may come, or its start after it."""
    new = news(known, asked, told)
    if not new:
        return Announced(known, already=True)
    change = await store.adopt(connection, known.id, **new)
    after = {"change": change.id, "state": change.state, "version": change.version}
    await audit(connection, actor, "change.finish", f"{change.kind} of {change.service}", None, after, request_id)
    return Announced(change, already=True)


def news(known: Change, asked: AnnouncedChange, told: Mapping[str, Any]) -> dict[str, Any]:
    """What an event that is told once more says that was not known: posts may come in any order."""
    if asked.state == "started":
        return {"at": told["at"]} if told["at"] < known.at else {}
    later = known.finished is None or (told["finished"] or known.finished) > known.finished
    if known.state == "started" or (known.state != asked.state and later):
        return {"state": told["state"], "finished": max(told["finished"] or known.at, known.at)}
    return {}


def apart(known: Change, asked: AnnouncedChange, sent: Sent, at: datetime) -> bool:
    """Whether what is told is another change than the one that is known of its version: an event of the same platform
    under another name, or of none. One without a version is that one while it is under way, or within 10 minutes, where
    it says the same."""
    if not asked.version:
        lately = known.state == "started" or abs((at - known.at).total_seconds()) <= UNTIMED_S
        return bool(sent.platform) or known.summary != asked.summary or not lately
    detail = known.detail if isinstance(known.detail, dict) else {}
    return bool(sent.platform) and detail.get("platform") == sent.platform


def came(told: Times, now: datetime, sent: Sent) -> dict[str, Any]:
    """How an event came, where that is worth telling: from where, without a time of its own, or late."""
    if not sent.platform:
        return {}
    late_s = round((now - (told["finished"] or told["at"])).total_seconds())
    found: dict[str, Any] = {"platform": sent.platform}
    found |= {} if sent.timed else {"time": "receipt"}
    return found | ({"late_s": late_s} if late_s > LATE_S else {})


async def again(  # noqa: PLR0917 - as announce
    connection: AsyncConnection,
    last: Change,
    asked: AnnouncedChange,
    told: dict[str, Any],
    actor: str,
    request_id: str,
) -> Announced:
    """What is told of a change that is known, as columns: whose it is, where it was detected, or that it has ended."""
    if detected(last):
        values = told | {"author": actor, "at": min(last.at, told["at"])}
        change = await store.adopt(connection, last.id, **values)
        await written(connection, change, actor, request_id)
        return Announced(change, already=True)
    if asked.state == "started":
        return Announced(last, already=True)
    if last.state == asked.state:
        return Announced(last, already=True)
    if told["told_as"]:  # its clock may be a little behind that of who told of the start
        return await retold(connection, last, asked, told, actor, request_id)
    end = FinishedChange(asked.state, asked.finished, asked.migration, asked.link)
    return structs.replace(await finish(connection, last, end, actor, request_id), already=True)


async def finish(
    connection: AsyncConnection, change: Change, asked: FinishedChange, actor: str, request_id: str
) -> Announced:
    """End a change that is under way, once, with its audit entry. Raises ApiError INVALID, CONFLICT."""
    if not asked.link.isprintable():
        raise invalid("link", "has characters that cannot be shown")
    if change.kind == "maintenance":
        raise ApiError("CONFLICT", f"Change {change.id} is maintenance: end its window instead. Nothing was done.")
    now = await store.now(connection)
    more: dict[str, Any] = {"migration": asked.migration} if asked.migration != "unknown" else {}
    more |= {"link": asked.link} if asked.link else {}
    end = when("finished", asked.finished, now)
    if end < change.at:
        raise invalid("finished", "is before it started")
    done = await store.finish(connection, change.id, asked.state, end, **more)
    if done is None:
        (known,) = await store.several(connection, [change.id])
        if known.state == asked.state:
            return Announced(known, already=True)
        detail = (
            f"Change {known.id} {known.state} before; nothing was done. Tell of another one as a change of its own."
        )
        raise ApiError("CONFLICT", detail)
    after = {"change": done.id, "state": done.state, "version": done.version}
    await audit(connection, actor, "change.finish", f"{done.kind} of {done.service}", None, after, request_id)
    return Announced(done, already=False)


def columns(asked: AnnouncedChange, told: Times, now: datetime, sent: Sent) -> dict[str, Any]:
    """What it is, as it was told."""
    return {
        **told,
        "told_as": sent.told_as,
        "summary": summary(asked),
        "detail": detail(asked) | came(told, now, sent),
        "actor": asked.actor,
        "link": asked.link,
        "migration": asked.migration,
    }


def times(asked: AnnouncedChange, now: datetime, sent: Sent = BY_API) -> Times:
    """Its state, when it began and when it ended; ApiError INVALID where the end is before the beginning."""
    back_s = math.inf if sent.platform else BACK_S
    end = when("finished", asked.finished, now, back_s)
    began = end if asked.started is None else when("started", asked.started, now, back_s)
    if end < began:
        raise invalid("finished", "is before it started")
    return {"state": asked.state, "at": began, "finished": None if asked.state == "started" else end}


def when(field: str, told: str | None, now: datetime, back_s: float = BACK_S) -> datetime:
    """A time that was told, at most now; ApiError INVALID for one that lies ahead or more than `back_s` back."""
    if told is None:
        return now
    found = instant(field, told)
    ago_s = (now - found).total_seconds()
    if not -AHEAD_S <= ago_s <= back_s:
        raise invalid(field, "lies ahead of our clock" if back_s == math.inf else "is a time of the last 24 hours")
    return min(found, now)


async def going_back(
    connection: AsyncConnection, asked: AnnouncedChange, last: Change | None, sent: Sent = BY_API
) -> AnnouncedChange:
    """The change with the version that it takes out of production: the one that runs, where that is newer."""
    if asked.kind != "deploy" or asked.rolls_back or last is None or last.version == asked.version:
        return asked
    if not sent.returns and not await store.older(connection, asked.service, asked.version, last.version):
        return asked
    return structs.replace(asked, rolls_back=last.version)


def check(asked: AnnouncedChange) -> None:
    """ApiError INVALID for what cannot be a change."""
    if OTHER in (asked.service, asked.version):
        raise invalid("service" if asked.service == OTHER else "version", f"{OTHER} is what is counted together")
    if not asked.version and asked.kind != "other":
        raise invalid("version", f"is needed: what runs, or is in force, after a {asked.kind}")
    if not asked.version and not asked.summary:
        raise invalid("summary", "says what was changed, where there is no version")
    if asked.rolls_back and asked.kind != "deploy":
        raise invalid("rolls_back", f"only a deploy rolls a version back, not a {asked.kind}")
    if asked.rolls_back and asked.rolls_back == asked.version:
        raise invalid("rolls_back", "is the version that this deploy brings; name the one that it takes away")
    if asked.state == "started" and asked.finished is not None:
        raise invalid("finished", "is left out of what is only started")
    for field in ("service", "version", "summary", "rolls_back", "actor", "link"):
        if not getattr(asked, field).isprintable():
            raise invalid(field, "has characters that cannot be shown")


def same(last: Change, asked: AnnouncedChange) -> bool:
    """Whether the last change of the kind is this one; one that names nothing that it rolls back may be any.

    What has ended and is told otherwise, as after a second try, is another one.
    """
    known = last.detail if isinstance(last.detail, dict) else {}
    is_open = last.state in ("started", asked.state) or detected(last)
    return is_open and last.version == asked.version and asked.rolls_back in ("", known.get("rolls_back", ""))


def detected(change: Change) -> bool:
    """Whether a change was detected by its first outcome and not announced yet."""
    return change.author == OWN and isinstance(change.detail, dict) and "detected" in change.detail


def summary(asked: AnnouncedChange) -> str:
    """What Changes says of it."""
    text = asked.summary or (f"version {asked.version}" if asked.kind == "deploy" else asked.version)
    return f"{text} (rolls back {asked.rolls_back})" if asked.rolls_back else text


def detail(asked: AnnouncedChange) -> dict[str, Any]:
    return {"announced": asked.version} | ({"rolls_back": asked.rolls_back} if asked.rolls_back else {})


async def written(connection: AsyncConnection, change: Change, actor: str, request_id: str) -> None:
    """Write the audit entry, in the same transaction."""
    after = {"change": change.id, "version": change.version, "summary": change.summary, "detail": change.detail}
    subject = f"{change.kind} of {change.service}"
    await audit(connection, actor, "change.announce", subject, None, after, request_id)
