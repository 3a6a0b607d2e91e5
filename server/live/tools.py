"""Services and outcomes, as a language model asks for them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from server.live.answers import Outcomes, ServiceRow, TrafficSummary
from server.live.handlers import SummaryQuery, Text, every_service, request_of, summary_of
from server.mcp.tool import Tool
from server.parts import Parts

GROUPS_SHOWN = 50


class ServicesWanted(Struct):
    """At most so many, those first of which most requests fail."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class WorstServices(Struct):
    """Services with their last 5 minutes, and how many more there are."""

    services: list[ServiceRow]
    left_out: int


class SummaryWanted(SummaryQuery, kw_only=True):
    """Of one service. `window`: 1s to 400d, ending now. `group_by`: the 50 with most requests."""

    service: Text


class OutcomesWanted(Struct):
    """The X-Request-Id of a request, or its trace id. `lines`: so many of its log lines at most, the oldest first."""

    request_id: Text
    lines: Annotated[int, Meta(ge=0, le=500)] = 50


async def worst_services(parts: Parts, asked: ServicesWanted) -> WorstServices:
    rows = sorted(await every_service(parts), key=lambda row: (-(row.error_ratio or 0) * row.volume, -row.volume))
    return WorstServices(rows[: asked.limit], max(0, len(rows) - asked.limit))


async def summary(parts: Parts, asked: SummaryWanted) -> TrafficSummary:
    found = await summary_of(parts, asked.service, asked)
    found.groups = found.groups and found.groups[:GROUPS_SHOWN]
    return found


async def by_request_id(parts: Parts, asked: OutcomesWanted) -> Outcomes:
    found = await request_of(parts, asked.request_id)
    found.lines = found.lines and found.lines[: asked.lines]
    return found


TOOLS = (
    Tool(
        "services",
        "Services",
        "Every service with its requests, error ratio and rate of the last 5 minutes; those that fail most first.",
        ServicesWanted,
        WorstServices,
        worst_services,
    ),
    Tool(
        "summary",
        "Summary of a service",
        "Requests, error ratio, rate and latency (p50, p95, p99) of one service over a window that ends now, also by "
        "route, version, method or status.",
        SummaryWanted,
        TrafficSummary,
        summary,
    ),
    Tool(
        "outcomes",
        "Outcomes of a request",
        "How one request was answered, by every service that it passed: status, duration, version, error class; and "
        "what those services logged of it.",
        OutcomesWanted,
        Outcomes,
        by_request_id,
    ),
)
