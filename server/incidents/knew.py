"""What was known at a moment of an incident: the picture that was kept then, and the timeline up to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from server.incidents import store
from server.incidents.acting import room_of
from server.incidents.incident import Incident, Role, Task
from server.incidents.room import IncidentRoom
from server.incidents.timeline_store import Line, timeline
from server.kernel.errors import ApiError, invalid
from server.kernel.text import clock
from server.kernel.times import utc
from server.picture import kept_store
from server.picture.kept import unpack
from server.picture.kept_store import EVERY_S, KEPT_DAYS, KeptSpan
from server.picture.picture import OpenIncident, Picture

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

LINES = 200
AFTER_S = 60.0  # the end itself is seen too


class Knew(Struct):
    """The picture nearest before a moment that was asked for, what may be looked at, and what stood then. Times are
    Unix seconds; `then` None: the incident was not open in the picture."""

    incident: Incident
    picture: Picture
    kept: KeptSpan
    then: OpenIncident | None
    commander: str
    tasks: list[Task]  # open then
    lines: list[Line]  # newest first


async def knew(connection: AsyncConnection, number: int, at: float | None, now: float) -> Knew:
    """What was known at a time, or last. ApiError NOT_FOUND where nothing is kept of it, INVALID for a time that is not
    of the incident."""
    room = await room_of(connection, number)
    begin, end = stretch(room.incident, now)
    kept = await kept_store.span(connection, begin, end)
    if kept is None:
        raise ApiError("NOT_FOUND", f"Nothing is kept of incident {number}: pictures are kept for {KEPT_DAYS} days.")
    moment = kept.last if at is None else at
    if not begin - EVERY_S <= moment <= end + EVERY_S:
        raise invalid("at", f"is a time from {clock(utc(kept.first))} to {clock(utc(kept.last))}")
    body = await kept_store.at(connection, kept.first, max(moment, kept.first))
    picture = await asyncio.to_thread(unpack, body) if body is not None else None
    if picture is None:
        raise ApiError("NOT_FOUND", f"The picture of {clock(utc(moment))} cannot be read by this version of Evenkeel.")
    services = await store.services(connection, [number])
    lines = await timeline(connection, room.incident, services.get(number, set()), now, LINES, known=picture.at)
    return as_it_stood(room, picture, kept, lines)


def stretch(incident: Incident, now: float) -> tuple[float, float]:
    """From when to when it was looked at, Unix seconds."""
    ends = [at for at in (incident.resolved_at, incident.closed_at) if at is not None]
    return incident.detected_at, now if incident.open or not ends else max(ends) + AFTER_S


def as_it_stood(room: IncidentRoom, picture: Picture, kept: KeptSpan, lines: list[Line]) -> Knew:
    """What of the room was so at the picture's time."""
    at = picture.at
    then = next((one for one in picture.incidents if one.id == room.incident.id), None)
    tasks = [task for task in room.tasks if task.created_at <= at and (task.done_at is None or task.done_at > at)]
    return Knew(room.incident, picture, kept, then, commander(room.roles, at), tasks, lines)


def commander(roles: Sequence[Role], at: float) -> str:
    """Who commanded at a time; empty: nobody."""
    held = (one for one in roles if one.role == "commander" and one.since <= at and (one.until or at + 1) > at)
    return next((one.person for one in held), "")
