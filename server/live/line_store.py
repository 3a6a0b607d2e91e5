"""SQL of log lines of services: by request id or trace id, and the newest errors of a service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.times import utc
from server.live.answers import LogLineAnswer
from server.live.outcome_store import by_filters, by_plan
from server.tables.lines import ERROR

ERRORS_SHOWN = 5
COLUMNS = "at AS timestamp, service, severity, level, message, cut, instance, process, request_id, trace_id"


async def by_id(
    rows: AsyncConnection, wanted: str, since: datetime, limit: int, but: Sequence[str] = ()
) -> list[LogLineAnswer]:
    """The lines that carry a request id or trace id, and none of `but`, oldest first."""
    await by_filters(rows)
    found = await rows.execute(
        text(
            f"""
            SELECT {COLUMNS} FROM service_lines
            WHERE (request_id = :wanted OR trace_id = :wanted) AND at >= :since
                AND request_id <> ALL(CAST(:but AS text[])) AND trace_id <> ALL(CAST(:but AS text[]))
            ORDER BY at, arrived LIMIT :limit
            """
        ),
        {"wanted": wanted, "since": since, "but": list(but), "limit": limit},
    )
    await by_plan(rows)
    return [_line(row) for row in found]


class LinesToday(NamedTuple):
    """What came of a service's log lines since midnight (UTC), and what of it is not kept."""

    lines: int
    bytes: int
    over_lines: int
    old_lines: int


class ServiceLines(NamedTuple):
    """The newest error lines of a service, newest first, and what came today; None: nothing."""

    errors: list[LogLineAnswer]
    today: LinesToday | None


async def service_lines(
    connection: AsyncConnection, rows: AsyncConnection, service: str, from_s: float, now: float
) -> ServiceLines:
    """Of a service since then, Unix seconds. `rows`: where lines are."""
    found = await connection.execute(
        text(
            """
            SELECT sum(lines)::bigint, sum(bytes)::bigint, sum(over_lines)::bigint, sum(old_lines)::bigint
            FROM line_days WHERE day = :day AND service = :service HAVING count(*) > 0
            """
        ),
        {"day": utc(now).date(), "service": service},
    )
    today = found.one_or_none()
    return ServiceLines(
        await newest_errors(rows, service, utc(from_s), ERRORS_SHOWN), None if today is None else LinesToday(*today)
    )


async def newest_errors(rows: AsyncConnection, service: str, since: datetime, limit: int) -> list[LogLineAnswer]:
    """The newest lines of a service since then that are errors or worse, newest first."""
    found = await rows.execute(
        text(
            f"""
            SELECT {COLUMNS} FROM service_lines
            WHERE service = :service AND at >= :since AND severity >= {ERROR}
            ORDER BY at DESC, arrived DESC LIMIT :limit
            """
        ),
        {"service": service, "since": since, "limit": limit},
    )
    return [_line(row) for row in found]


def _line(row: Any) -> LogLineAnswer:
    return msgspec.convert(dict(row._mapping), LogLineAnswer)
