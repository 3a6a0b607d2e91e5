"""SQL of the questions: merging happens here, so that no event loop waits for it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.live.clauses_store import UNFOLDED
from server.live.ranges import Pieces, Span

# What answers may be grouped by; never text from a caller.
GROUPS = {
    None: "''",
    "service": "s.service",
    "route": "s.route",
    "version": "s.version",
    "method": "s.method",
    "status": "s.status::text",
}


class Group(NamedTuple):
    """Counts of a group in a step, and the sketch buckets of its quantiles."""

    name: str
    step: int
    n: int
    bad: int
    p50: int | None
    p95: int | None
    p99: int | None


class Source:
    """The rows that the pieces name, as one FROM clause with its values."""

    def __init__(self, pieces: Pieces, *, sketches: bool) -> None:
        self.values: dict[str, Any] = {}
        self.arms: list[str] = []
        self.sketches = sketches
        for span in pieces.hours:
            self._add("hours t", "t.hour", "t.sketch", span)
        minutes = "minutes t" + (" LEFT JOIN minute_sketches k USING (series_id, minute)" if sketches else "")
        for span in pieces.minutes:
            self._add(minutes, "minute" if sketches else "t.minute", "k.sketch", span)
        for span in pieces.unfolded:
            self._add(UNFOLDED, "t.second", "t.sketch", span)
        for span in pieces.seconds:
            self._add("writers w JOIN deltas t ON t.writer_id = w.id", "t.second", "t.sketch", span)

    def _add(self, tables: str, time: str, sketch: str, span: Span) -> None:
        number = len(self.arms)
        self.values |= {f"from{number}": span[0], f"to{number}": span[1]}
        self.arms.append(
            f"""
            SELECT s.name, {time} AS at, t.n, t.bad, {sketch if self.sketches else "NULL::bigint[]"} AS sketch
            FROM {tables} JOIN wanted s ON s.id = series_id
            WHERE {time} >= to_timestamp(:from{number}) AND {time} < to_timestamp(:to{number})
            """
        )

    @property
    def query(self) -> str:
        return " UNION ALL ".join(self.arms)


QUANTILES = """
    buckets AS (
        SELECT name, step, pair >> 32 AS bucket, sum(pair & 4294967295) AS c
        FROM source, unnest(sketch) AS pair GROUP BY 1, 2, 3
    ),
    ranked AS (
        SELECT name, step, bucket,
            sum(c) OVER (PARTITION BY name, step ORDER BY bucket) AS upto,
            sum(c) OVER (PARTITION BY name, step) AS total
        FROM buckets
    ),
    quantiles AS (
        SELECT name, step,
            min(bucket) FILTER (WHERE upto >= 0.50 * total) AS p50,
            min(bucket) FILTER (WHERE upto >= 0.95 * total) AS p95,
            min(bucket) FILTER (WHERE upto >= 0.99 * total) AS p99
        FROM ranked GROUP BY name, step
    )
"""


async def groups(
    connection: AsyncConnection,
    pieces: Pieces,
    service: str | None,
    group_by: str | None,
    *,
    step_s: int = 0,
    sketches: bool = True,
) -> list[Group]:
    """Counts and nearest-rank quantiles by group and, with `step_s`, by step (Unix seconds; 0 without)."""
    source = Source(pieces, sketches=sketches)
    if not source.arms:
        return []
    step = "(extract(epoch FROM at)::bigint / :step) * :step" if step_s else "0::bigint"
    values = source.values | ({"step": step_s} if step_s else {}) | ({"service": service} if service else {})
    rows = await connection.execute(
        text(
            f"""
            WITH wanted AS MATERIALIZED (
                SELECT s.id, {GROUPS[group_by]} AS name FROM series s {"WHERE s.service = :service" if service else ""}
            ),
            source AS MATERIALIZED (SELECT name, {step} AS step, n, bad, sketch FROM ({source.query}) AS pieces),
            counted AS (
                SELECT name, step, sum(n)::bigint AS n, sum(bad)::bigint AS bad FROM source GROUP BY name, step
            )
            {", " + QUANTILES if sketches else ""}
            SELECT c.name, c.step, c.n, c.bad, {"p50, p95, p99" if sketches else "NULL, NULL, NULL"}
            FROM counted c {"LEFT JOIN quantiles USING (name, step)" if sketches else ""}
            ORDER BY c.step, c.n DESC, c.name
            """
        ),
        values,
    )
    return [Group(*row) for row in rows]


class Known(NamedTuple):
    """A service and how much of it is counted apart."""

    name: str
    first_seen_at: Any
    routes: int
    versions: int


async def services(connection: AsyncConnection) -> list[Known]:
    """Every service, by name."""
    rows = await connection.execute(
        text(
            """
            SELECT service, min(first_seen_at) AS first_seen_at,
                count(DISTINCT route) AS routes, count(DISTINCT version) AS versions
            FROM series GROUP BY service ORDER BY service
            """
        )
    )
    return [Known(*row) for row in rows]


async def first_seen_at(connection: AsyncConnection, service: str) -> datetime | None:
    """When the first outcome of a service came; it may be of an earlier time. None: none ever came."""
    query = "SELECT min(first_seen_at) FROM series WHERE service = :service"
    found: datetime | None = (await connection.execute(text(query), {"service": service})).scalar_one()
    return found


async def exists(connection: AsyncConnection, service: str) -> bool:
    """Whether an outcome of the service has ever come."""
    query = "SELECT EXISTS (SELECT 1 FROM series WHERE service = :service)"
    return bool((await connection.execute(text(query), {"service": service})).scalar_one())
