"""HTTP of flags: documents that are sent to us, and where others are read."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from msgspec import Meta, Struct

from server.changes import flag_sources, flag_store, flags
from server.changes.flag_sources import FlagSourceRequest, FlagSourceView, FlagsTaken
from server.changes.waits import TOPIC
from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.kernel.errors import invalid
from server.kernel.ids import number_in

STORE_S = 5.0


class FlagsAsked(Struct):
    """`service`: whose flags they are; left out, the only one of the key. `source` tells several documents of a service
    apart."""

    service: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    source: Annotated[str, Meta(min_length=1, max_length=100)] = "flags"


class FlagsHandler(ApiHandler):
    """/api/v1/hooks/flags"""

    basic = True
    receiver = "Flags"

    def body_limit(self) -> int:
        return flag_sources.DOCUMENT_MAX

    @operation(
        "Send the flags of a service as they are: what differs from the ones before are changes",
        scope="act",
        query=FlagsAsked,
        body=dict[str, Any],
        of_service=True,
        returns=FlagsTaken,
        errors=("BAD_REQUEST", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "INVALID", "FORBIDDEN", "UNAVAILABLE"),
    )
    async def post(self) -> None:
        """The same again changes nothing; the first document is what the next is compared with."""
        asked = self.query(FlagsAsked)
        assert self.identity is not None
        found = await asyncio.to_thread(flags.read, self.json())
        service = asked.service or (next(iter(self.identity.services)) if len(self.identity.services) == 1 else "")
        if not service:
            raise invalid("service", "is named nowhere: give it in the address, ?service=NAME")
        self.for_service(service)
        async with asyncio.timeout(STORE_S), self.parts.db.act() as connection:
            source = await flag_store.sent(connection, service, asked.source, self.identity.actor)
            made = await flag_sources.compare(connection, source, found, "", self.identity.actor)
        for number in made:
            await self.parts.bus.publish(TOPIC, number)
        told = flags.as_told(flags.differences(source.flags, found)) if source.flags is not None else []
        self.reply(FlagsTaken(len(found), [summary for _, summary in told]))


class FlagSourcesHandler(ApiHandler):
    """/api/v1/flag-sources"""

    @operation("Where flags are read, and how that fares; no secrets", scope="admin", returns=list[FlagSourceView])
    async def get(self) -> None:
        async with self.parts.db.ask() as connection:
            self.reply([flag_sources.view(one) for one in await flag_store.every(connection)])

    @operation("Read the flags of a service", scope="admin", body=FlagSourceRequest, returns=FlagSourceView, status=201)
    async def post(self) -> None:
        """Each 30 s from now on; the first look is what the next is compared with."""
        asked = self.body(FlagSourceRequest)
        assert self.identity is not None
        by = (self.identity.actor, self.request_id)
        async with self.parts.db.act() as connection:
            self.reply(await flag_sources.add(connection, self.parts.env, asked, *by))


class FlagSourceRemoveHandler(ApiHandler):
    """/api/v1/flag-sources/{source_id}/remove"""

    @operation("Read flags there no longer", scope="admin", returns=FlagSourceView, errors=("NOT_FOUND",))
    async def post(self, source_id: str) -> None:
        assert self.identity is not None
        number = number_in(source_id)
        if number is None:
            raise invalid("source_id", "is a whole number")
        by = (self.identity.actor, self.request_id)
        async with self.parts.db.act() as connection:
            self.reply(await flag_sources.remove(connection, number, *by))


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/hooks/flags", FlagsHandler),
    Route("/api/v1/flag-sources", FlagSourcesHandler),
    Route("/api/v1/flag-sources/{source_id}/remove", FlagSourceRemoveHandler),
)
