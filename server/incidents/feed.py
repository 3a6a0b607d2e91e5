"""What one client of an incident has not been sent yet: entries of its timeline, and how it stands.

The client's place is the id of the last entry that it has: entries of an incident are numbered in the order of their
commits, for whoever adds one holds the incident. So nothing is kept for a client, and nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from server.http.shown import answered, shows
from server.incidents import store
from server.incidents.acting import missing
from server.incidents.answers import incident_answer
from server.incidents.store import ENTRIES
from server.kernel.text import first_line

if TYPE_CHECKING:
    from server.incidents.incident import Incident, TimelineEntry
    from server.parts import Parts

log = logging.getLogger("evenkeel.incidents")

POLL_S = 5.0  # a signal only saves waiting
COMMENT_S = 15.0  # a silence longer than a proxy's patience is broken by a comment
PAGE = 500  # entries at a time
COMMENT = b": still here\n\n"


@shows(ENTRIES, but=("incident_id", "key"))
class EntryAnswer(msgspec.Struct):
    """One entry of the timeline. `corrects`: the entry that it stands for."""


class Feed:
    """Made when a client connects; `close` when it has gone. `last` is the id of the last entry that it has."""

    def __init__(self, parts: Parts, incident_id: int, last: int) -> None:
        self.parts = parts
        self.incident_id = incident_id
        self.last = last
        self.ended = False
        self._incident: Incident | None = None  # as it was sent
        self._awake = asyncio.Event()
        self._leave = (
            parts.bus.subscribe("incidents", self._signalled),
            parts.relay.subscribe(lambda picture: None, self.end),
        )

    def _signalled(self, incident_id: int) -> None:
        if incident_id == self.incident_id:
            self._awake.set()

    def end(self) -> None:
        """The client has gone, or the process stops: whoever waits wakes."""
        self.ended = True
        self._awake.set()

    def close(self) -> None:
        """Hear no more signals."""
        for leave in self._leave:
            leave()

    async def read(self) -> bytes:
        """The events that are new, empty where nothing is; ApiError NOT_FOUND."""
        async with self.parts.db.ask() as connection:
            incident = await store.one(connection, self.incident_id)
            if incident is None:
                raise missing(self.incident_id)
            entries = await store.entries_after(connection, self.incident_id, self.last, PAGE)
        events = [entry_event(one) for one in entries]
        if entries:
            self.last = entries[-1].id
        if len(entries) == PAGE:
            self._awake.set()  # there is more
        elif incident != self._incident:
            self._incident = incident
            events.append(b"event: incident\ndata: %s\n\n" % msgspec.json.encode(incident_answer(incident)))
        return b"".join(events)

    async def next(self) -> bytes:
        """What comes next, or a comment after a silence; empty once it has ended."""
        for _ in range(round(COMMENT_S / POLL_S)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._awake.wait()
            self._awake.clear()
            if self.ended:
                return b""
            try:
                if events := await self.read():
                    return events
            except (SQLAlchemyError, OSError) as error:
                log.warning("the events of incident %d wait: %s", self.incident_id, first_line(error))
        return COMMENT


def entry_event(entry: TimelineEntry) -> bytes:
    """An entry as server-sent event text. JSON has no line breaks, so one `data` line is enough."""
    shown = msgspec.json.encode(answered(entry, EntryAnswer))
    return b"id: %d\nevent: entry\ndata: %s\n\n" % (entry.id, shown)
