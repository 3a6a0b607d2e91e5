"""SQL of how exact a service's figures are, where they come from telemetry."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class Exact(Struct, frozen=True):
    """How exact the figures of a service were within the hour.

    `estimated`: it samples, and nobody knows how many requests some of its spans stand for: the error ratio counts,
    volume and budget are estimates. `latency_error`: its latency is of histograms, and from the median up it may be
    wrong by so much of a true duration, 0.33 for a third. `bounds_ms` are the borders of their buckets, where they are
    explicit.
    """

    estimated: bool = False
    latency_error: float | None = None
    bounds_ms: tuple[float, ...] = ()

    def splits(self, threshold_ms: float) -> tuple[float, float] | None:
        """The bucket that a threshold lies within: what took so long is not judged by it."""
        low, high = 0.0, 0.0
        for low, high in zip((0.0, *self.bounds_ms), self.bounds_ms, strict=False):
            if low < threshold_ms < high:
                return low, high
        return None


async def exact(connection: AsyncConnection, service: str) -> Exact:
    """How exact a service's figures are."""
    rows = await connection.execute(
        text(
            "SELECT coalesce(sampled_at > now() - interval '1 hour', false) AS estimated,"
            " coalesce(measured_at > now() - interval '1 hour', false) AS measured, latency_error, bounds_ms"
            " FROM telemetry_services WHERE service = :service"
        ),
        {"service": service},
    )
    row = rows.one_or_none()
    if row is None:
        return Exact()
    if not row.measured:
        return Exact(row.estimated)
    return Exact(row.estimated, row.latency_error, tuple(row.bounds_ms))
