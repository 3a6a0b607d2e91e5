"""GET /api/v1/checks: what the self-checks found, now and before."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.kernel.errors import ApiError
from server.selfcheck import store
from server.selfcheck.findings import CheckResult


class Checks(Struct):
    """The newest result of every check, by name."""

    checks: list[CheckResult]


class HistoryQuery(Struct):
    """How many results, 1 to 1000."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class CheckHistory(Struct):
    """The results of one check, newest first. They are kept for 7 days."""

    name: str
    results: list[CheckResult]


class ChecksHandler(ApiHandler):
    @operation("The newest result of every self-check", scope="read", returns=Checks)
    async def get(self) -> None:
        async with self.parts.db.ask() as connection:
            self.reply(Checks(await store.latest(connection)))


class CheckHandler(ApiHandler):
    @operation(
        "The results of one self-check, newest first",
        scope="read",
        query=HistoryQuery,
        returns=CheckHistory,
        errors=("NOT_FOUND",),
    )
    async def get(self, name: str) -> None:
        limit = self.query(HistoryQuery).limit
        async with self.parts.db.ask() as connection:
            results = await store.history(connection, name, limit)
        if not results:
            raise ApiError("NOT_FOUND", f"No check named {name} has run; /api/v1/checks lists those that have.")
        self.reply(CheckHistory(name, results))


ROUTES = (Route("/api/v1/checks", ChecksHandler), Route("/api/v1/checks/{name}", CheckHandler))
