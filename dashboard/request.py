"""Request: everything that carries one request id."""

from __future__ import annotations

from msgspec import Struct

from dashboard.shared.page import Page
from server.live.answers import OutcomeAnswer
from server.live.outcomes import outcomes_by_request_id
from server.parts import Parts
from server.tables.detail import FIELDS
from server.telemetry import log_store
from server.telemetry.log_store import KeptLine

LONGEST = 128  # characters of a request id


class RequestView(Struct):
    """What was found; empty lists before anything was asked for."""

    id: str
    outcomes: list[OutcomeAnswer]
    lines: list[KeptLine]
    storing: bool  # whether raw outcomes are kept just now
    outcome_days: int
    log_days: int

    @property
    def stored(self) -> int:
        """How many outcomes the request itself brought, where it was one to Evenkeel."""
        found = ((line.fields or {}).get("stored") for line in self.lines if line.logger == "evenkeel.access")
        return sum(n for n in found if isinstance(n, int))

    def details(self, one: OutcomeAnswer) -> list[tuple[str, object]]:
        """What its sender said beside, by its name in words: Error class, Trace."""
        sent = ((name.removesuffix("_id").replace("_", " ").capitalize(), getattr(one, name)) for name in FIELDS)
        said: list[tuple[str, object]] = [(name, value) for name, value in sent if value]
        return said if one.weight == 1 else [*said, ("Stands for", f"{one.weight:,} requests")]


async def everything_of(parts: Parts, request_id: str) -> tuple[list[OutcomeAnswer], list[KeptLine]]:
    """The outcomes and the log lines that carry the id."""
    async with parts.db.ask() as connection, parts.db.rows_beside(connection) as rows:
        return await outcomes_by_request_id(connection, request_id, rows), await log_store.lines(connection, request_id)


class RequestPage(Page):
    """GET /requests?id=…"""

    async def get(self) -> None:
        request_id = self.get_query_argument("id", "").strip()[:LONGEST]
        outcomes: list[OutcomeAnswer] = []
        lines: list[KeptLine] = []
        if request_id:
            outcomes, lines = await everything_of(self.parts, request_id)
        view = RequestView(
            id=request_id,
            outcomes=outcomes,
            lines=lines,
            storing=self.parts.settings.limits_for(0).ingest_store_outcomes,
            outcome_days=self.parts.env.outcome_retention_days,
            log_days=self.parts.env.log_retention_days,
        )
        title = f"Request {request_id}" if request_id else "Requests"
        self.show("request.html", view, title=f"{title} · Evenkeel", page="request")
