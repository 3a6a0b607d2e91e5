"""Request: everything that carries one request id or trace id, in the order of time."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from dashboard.shared.page import Page
from server.kernel import shared_clock
from server.kernel.names import OWN
from server.live.answers import LogLineAnswer, OutcomeAnswer
from server.live.carrying import Carrying, carrying
from server.parts import Parts
from server.tables.detail import FIELDS
from server.tables.lines import ERROR, WARNING
from server.telemetry import log_store
from server.telemetry.log_store import KeptLine

LONGEST = 128  # characters of a request id


class RequestMoment(Struct):
    """One thing that happened in it: an outcome, a log line of a service, or one of Evenkeel's own."""

    at: datetime
    service: str
    outcome: OutcomeAnswer | None = None
    line: LogLineAnswer | None = None
    own: KeptLine | None = None

    @property
    def level(self) -> str:
        """How bad a log line is, as its mark says it: error, warning, or empty."""
        if self.own is not None:
            return {"critical": "error"}.get(self.own.level, self.own.level)
        severity = self.line.severity if self.line else 0
        return "error" if severity >= ERROR else "warning" if severity >= WARNING else ""


class RequestView(Struct):
    """What was found; empty lists before anything was asked for."""

    id: str
    outcomes: list[OutcomeAnswer]
    lines: list[LogLineAnswer]
    own_lines: list[KeptLine]
    storing: bool  # whether raw outcomes are kept just now
    outcome_days: int
    line_hours: int

    @property
    def moments(self) -> list[RequestMoment]:
        """All of it, oldest first."""
        found = [RequestMoment(one.timestamp, one.service, outcome=one) for one in self.outcomes]
        found += [RequestMoment(line.timestamp, line.service, line=line) for line in self.lines]
        found += [RequestMoment(line.at, OWN, own=line) for line in self.own_lines]
        return sorted(found, key=lambda moment: moment.at)

    @property
    def services(self) -> int:
        """How many services were part of it."""
        return len({moment.service for moment in self.moments})

    @property
    def stored(self) -> int:
        """How many outcomes the request itself brought, where it was one to Evenkeel."""
        found = ((line.fields or {}).get("stored") for line in self.own_lines if line.logger == "evenkeel.access")
        return sum(n for n in found if isinstance(n, int))

    def details(self, one: OutcomeAnswer | LogLineAnswer) -> list[tuple[str, object]]:
        """What its sender said beside, by its name in words: Error class, Trace."""
        of_outcome = isinstance(one, OutcomeAnswer)
        names = (*FIELDS, "request_id") if of_outcome else ("process", "instance", "request_id", "trace_id")
        sent = ((name.removesuffix("_id").replace("_", " ").capitalize(), getattr(one, name)) for name in names)
        said: list[tuple[str, object]] = [(name, value) for name, value in sent if value and value != self.id]
        weight = one.weight if isinstance(one, OutcomeAnswer) else 1
        return said if weight == 1 else [*said, ("Stands for", f"{weight:,} requests")]


async def everything_of(parts: Parts, wanted: str) -> tuple[Carrying, list[KeptLine]]:
    """The outcomes and the log lines that carry the id, and Evenkeel's own."""
    now, hours = shared_clock.now(), parts.env.log_retention_hours
    async with parts.db.ask() as connection, parts.db.rows_beside(connection) as rows:
        found = await carrying(connection, rows, wanted, now, hours)
        return found, await log_store.lines(connection, wanted)


class RequestPage(Page):
    """GET /requests?id=…"""

    async def get(self) -> None:
        wanted = self.get_query_argument("id", "").strip()[:LONGEST]
        found, own = await everything_of(self.parts, wanted) if wanted else (Carrying([], []), [])
        view = RequestView(
            id=wanted,
            outcomes=found.outcomes,
            lines=found.lines,
            own_lines=own,
            storing=self.parts.settings.limits_for(0).ingest_store_outcomes,
            outcome_days=self.parts.env.outcome_retention_days,
            line_hours=self.parts.env.log_retention_hours,
        )
        title = f"Request {wanted}" if wanted else "Requests"
        self.show("request.html", view, title=f"{title} · Evenkeel", page="request")
