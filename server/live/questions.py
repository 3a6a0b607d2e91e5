"""Questions about services: ratios, latency and traffic. Their cost grows with series and minutes, not outcomes.

Every function reads in the caller's snapshot (`db.ask()`), so that rollups and
the deltas that are not in them yet add up.
"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.errors import ApiError
from server.kernel.times import utc
from server.live import store
from server.live.answers import Metric, SeriesAnswer, SeriesPoint, ServiceRow, SummaryRow, TrafficSummary, VersionCounts
from server.live.ranges import Pieces, down, plan, step_for
from server.live.sketch import value_us
from server.live.sliding import milliseconds

SERVICES_S = 300


async def require(connection: AsyncConnection, service: str) -> None:
    """ApiError 404 where no outcome of the service has ever come."""
    if "\0" in service or not await store.exists(connection, service):
        detail = f"No outcome of a service named {service} has come; /api/v1/services lists them."
        raise ApiError("NOT_FOUND", detail)


def window(seconds: float, now: float) -> Pieces:
    """The last `seconds`, the second in progress included."""
    stop = int(now) + 1
    return plan(stop - seconds, stop, now)


async def summary(
    connection: AsyncConnection, service: str, seconds: float, now: float, group_by: str | None = None
) -> list[SummaryRow]:
    """The last `seconds` by group, most volume first; without `group_by` one row named ''."""
    pieces = window(seconds, now)
    found = await store.groups(connection, pieces, service, group_by)
    rows = [summary_row(group, pieces.stop - pieces.start) for group in found]
    return rows or ([] if group_by else [SummaryRow("", 0, 0, None, 0.0, None, None, None)])


async def between(connection: AsyncConnection, service: str, start: float, stop: float, now: float) -> SummaryRow:
    """A service over [start, stop), Unix seconds, widened to what is kept of that age."""
    pieces = plan(start, stop, now)
    found = await store.groups(connection, pieces, service, None)
    span_s = max(1, pieces.stop - pieces.start)
    return summary_row(found[0], span_s) if found else SummaryRow("", 0, 0, None, 0.0, None, None, None)


async def whole_summary(
    connection: AsyncConnection, service: str, seconds: float, now: float, group_by: str | None
) -> TrafficSummary:
    """The service as a whole and, where asked for, by group."""
    pieces = window(seconds, now)
    (total,) = await summary(connection, service, seconds, now)
    groups = await summary(connection, service, seconds, now, group_by) if group_by else None
    return TrafficSummary(
        service=service,
        window=f"{int(seconds)}s",
        start=utc(pieces.start),
        stop=utc(pieces.stop),
        volume=total.volume,
        bad=total.bad,
        error_ratio=total.error_ratio,
        requests_per_second=total.requests_per_second,
        p50_ms=total.p50_ms,
        p95_ms=total.p95_ms,
        p99_ms=total.p99_ms,
        partial=False,
        estimated=False,
        latency_error=None,
        groups=groups,
    )


def summary_row(group: store.Group, span_s: int) -> SummaryRow:
    return SummaryRow(
        name=group.name,
        volume=group.n,
        bad=group.bad,
        error_ratio=ratio(group),
        requests_per_second=group.n / span_s,
        p50_ms=bucket_ms(group.p50),
        p95_ms=bucket_ms(group.p95),
        p99_ms=bucket_ms(group.p99),
    )


def ratio(group: store.Group) -> float | None:
    return group.bad / group.n if group.n else None


def bucket_ms(bucket: int | None) -> float | None:
    return None if bucket is None else milliseconds(value_us(bucket))


async def series(
    connection: AsyncConnection, service: str, metric: Metric, start: float, end: float, *, step_s: int, now: float
) -> SeriesAnswer:
    """A point for each step of [start, end), widened to what is kept of that age."""
    end = min(end, int(now) + 1)
    step = step_for(start, now, step_s)
    pieces = plan(down(int(start), step), end, now, step)
    found = await store.groups(connection, pieces, service, None, step_s=step, sketches=metric == "latency")
    by_step = {group.step: group for group in found}
    steps = range(down(pieces.start, step), pieces.stop, step)
    points = [point(metric, at, by_step.get(at)) for at in steps]
    return SeriesAnswer(service, metric, utc(pieces.start), utc(pieces.stop), step, points)


async def by_version(
    connection: AsyncConnection, service: str, start: float, end: float, *, step_s: int, now: float
) -> VersionCounts:
    """How many requests each version served in each step of [start, end) that is over, widened to what is kept."""
    step = step_for(start, now, step_s)
    pieces = plan(down(int(start), step), min(end, int(now) + 1), now, step)
    counts: dict[str, dict[int, int]] = {}
    for group in await store.groups(connection, pieces, service, "version", step_s=step, sketches=False):
        counts.setdefault(group.name, {})[group.step] = group.n
    return VersionCounts(down(pieces.start, step), down(min(int(end), int(now)), step), step, counts)


def point(metric: Metric, at: int, group: store.Group | None) -> SeriesPoint:
    when = utc(at)
    if group is None or not group.n:
        return SeriesPoint(when, 0, 0, None)
    if metric == "error_ratio":
        return SeriesPoint(when, group.n, group.bad, ratio(group))
    if metric == "volume":
        return SeriesPoint(when, group.n, group.bad, group.n)
    p50, p95, p99 = bucket_ms(group.p50), bucket_ms(group.p95), bucket_ms(group.p99)
    return SeriesPoint(when, group.n, group.bad, p95, p50, p95, p99)


async def services(connection: AsyncConnection, now: float) -> list[ServiceRow]:
    """Every service by name, with its last 5 minutes."""
    pieces = window(SERVICES_S, now)
    found = await store.groups(connection, pieces, None, "service", sketches=False)
    counted = {group.name: group for group in found}
    rows = []
    for known in await store.services(connection):
        group = counted.get(known.name) or store.Group(known.name, 0, 0, 0, None, None, None)
        rows.append(
            ServiceRow(
                name=known.name,
                first_seen_at=known.first_seen_at,
                routes=known.routes,
                versions=known.versions,
                volume=group.n,
                error_ratio=ratio(group),
                requests_per_second=group.n / SERVICES_S,
            )
        )
    return rows
