"""Everything that carries an id: outcomes and log lines of all services."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.times import utc
from server.live import line_store
from server.live.answers import LogLineAnswer, OutcomeAnswer
from server.live.outcomes import outcomes_by_request_id

LINES_MOST = 500
TRACES_MOST = 3  # of one request id that are followed


class Carrying(Struct):
    """Outcomes, newest first, and log lines, oldest first, that carry a request id or a trace id."""

    outcomes: list[OutcomeAnswer]
    lines: list[LogLineAnswer]

    @property
    def traces(self) -> set[str]:
        """The trace ids in them."""
        return {one.trace_id for one in self.outcomes if one.trace_id} | {
            line.trace_id for line in self.lines if line.trace_id
        }


class CarryingSource(NamedTuple):
    """Where series are, where outcomes and lines are, and since when lines are kept."""

    connection: AsyncConnection
    rows: AsyncConnection
    since: datetime

    async def of(self, wanted: str, but: Sequence[str] = ()) -> Carrying:
        """What carries one id and none of `but`."""
        return Carrying(
            await outcomes_by_request_id(self.connection, wanted, self.rows, but),
            await line_store.by_id(self.rows, wanted, self.since, LINES_MOST, but),
        )


async def carrying(
    connection: AsyncConnection, rows: AsyncConnection, wanted: str, now: float, line_hours: int
) -> Carrying:
    """What carries a request id or trace id; of a request id also what carries only its trace id, as another service
    sends it. `now` in Unix seconds."""
    source = CarryingSource(connection, rows, utc(now - line_hours * 3600))
    found = await source.of(wanted)
    asked = [wanted]
    for trace in sorted(found.traces - {wanted})[:TRACES_MOST]:
        more = await source.of(trace, asked)
        found.outcomes += more.outcomes
        found.lines += more.lines
        asked.append(trace)
    found.outcomes.sort(key=lambda one: one.timestamp, reverse=True)
    found.lines.sort(key=lambda line: line.timestamp)
    found.lines = found.lines[:LINES_MOST]
    return found
