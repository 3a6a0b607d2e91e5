"""SQL of the questions: merging happens here, so that no event loop waits for it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.live.clauses_store import UNFOLDED
from server.live.ranges import Pieces, Span, by_service
from server.live.service_rollups_store import cover

# What answers may be grouped by; never text from a caller.
GROUPS = {
    None: "''",
    "service": "s.service",
    "route": "s.route",
    "version": "s.version",
    "method": "s.method",
    "status": "s.status::text",
}
PARTS = {None: "", "route": "route", "version": "version"}  # of a service, by which there are rollups


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
        for span_s, span in pieces.services:
            rows = f"service_rollups s WHERE service = :service AND part = :part AND span_s = {span_s}"
            self._select("s.at", "s.n, s.bad", "s.sketch", f"{rows} AND", span)

    def _add(self, tables: str, time: str, sketch: str, span: Span) -> None:
        self._select(time, "t.n, t.bad", sketch, f"{tables} JOIN wanted s ON s.id = series_id WHERE", span)

    def _select(self, time: str, counts: str, sketch: str, rows: str, span: Span) -> None:
        number = len(self.arms)
        self.values |= {f"from{number}": span[0], f"to{number}": span[1]}
        self.arms.append(
            f"""
            SELECT s.name, {time} AS at, {counts}, {sketch if self.sketches else "NULL::bigint[]"} AS sketch
            FROM {rows} {time} >= to_timestamp(:from{number}) AND {time} < to_timestamp(:to{number})
            """
        )

    @property
    def query(self) -> str:
        return " UNION ALL ".join(self.arms)


SHARES = """
    min(bucket) FILTER (WHERE upto >= 0.50::float8 * total) AS p50,
    min(bucket) FILTER (WHERE upto >= 0.95::float8 * total) AS p95,
    min(bucket) FILTER (WHERE upto >= 0.99::float8 * total) AS p99
"""
# Groups are numbered, so that what is sorted is short; one of a single row, as a step of a series mostly is, is ranked
# by itself. Counts are floats (whole, far below 2^53): a sum over a window of bigint is a slow numeric.
QUANTILES = f"""
    buckets AS MATERIALIZED (
        SELECT number, pair >> 32 AS bucket, sum((pair & 4294967295)::float8) AS c
        FROM source JOIN counted USING (name, step), unnest(sketch) AS pair WHERE pieces > 1 GROUP BY 1, 2
    ),
    totals AS (SELECT number, sum(c) AS total FROM buckets GROUP BY number),
    ranked AS (
        SELECT number, bucket, sum(c) OVER (PARTITION BY number ORDER BY bucket ROWS UNBOUNDED PRECEDING) AS upto
        FROM buckets
    ),
    quantiles AS (
        SELECT number, {SHARES} FROM ranked JOIN totals USING (number) GROUP BY number
        UNION ALL
        SELECT number, p50, p95, p99 FROM source JOIN counted USING (name, step) CROSS JOIN LATERAL (
            SELECT {SHARES} FROM (
                SELECT pair >> 32 AS bucket, sum((pair & 4294967295)::float8) OVER () AS total,
                    sum((pair & 4294967295)::float8) OVER (ORDER BY pair ROWS UNBOUNDED PRECEDING) AS upto
                FROM unnest(sketch) AS pair
            ) AS alone
        ) AS found
        WHERE pieces = 1
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
    if service is not None and group_by in PARTS and (pieces.minutes or pieces.hours):
        pieces = by_service(pieces, await cover(connection), step_s, minutes=group_by is None)
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
            counted AS MATERIALIZED (
                SELECT name, step, sum(n)::bigint AS n, sum(bad)::bigint AS bad, count(*) AS pieces,
                    row_number() OVER () AS number
                FROM source GROUP BY name, step
            )
            {", " + QUANTILES if sketches else ""}
            SELECT c.name, c.step, c.n, c.bad, {"p50, p95, p99" if sketches else "NULL, NULL, NULL"}
            FROM counted c {"LEFT JOIN quantiles USING (number)" if sketches else ""}
            ORDER BY c.step, c.n DESC, c.name
            """
        ),
        values | ({"part": PARTS[group_by]} if pieces.services else {}),
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
