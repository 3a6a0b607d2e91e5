"""SQL of meters, and of what services send. See server/receivers/otlp/meters.py."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.connection import Connection
from server.receivers.otlp.measured import MeasuredBuckets
from server.receivers.otlp.meters import KnownMeters, Meter, MeterReading, read_state

SETTLED_S = 20  # what an export was split into has come: what a source tells of for the first time is new to it


async def known_meters(connection: AsyncConnection, points: Sequence[tuple[bytes, bytes, str]]) -> KnownMeters:
    """What is known of these series, their sources and services."""
    series, sources, services = (list(dict.fromkeys(column)) for column in zip(*points, strict=True))
    rows = await connection.execute(
        text(
            "SELECT series, read_to, state, heard_at < now() - interval '1 hour' AS unheard FROM meters"
            " WHERE series = ANY(:series) AND read_to > 0"
        ),
        {"series": series},
    )
    found = rows.all()
    meters = {bytes(row.series): Meter(row.read_to, read_state.decode(row.state)) for row in found}
    first = "(extract(epoch FROM min(first_at)) * 1000000000)::bigint AS first"
    rows = await connection.execute(
        text(
            "SELECT DISTINCT source FROM meters WHERE source = ANY(:sources)"
            f" AND first_at < now() - interval '{SETTLED_S} seconds'"
        ),
        {"sources": sources},
    )
    settled = {bytes(source) for source in rows.scalars()}
    rows = await connection.execute(
        text(f"SELECT service, {first} FROM meters WHERE service = ANY(:services) GROUP BY service"),
        {"services": services},
    )
    since = {row.service: int(row.first) for row in rows}
    return KnownMeters(meters, settled, since, [bytes(row.series) for row in found if row.unheard])


async def hear(connection: AsyncConnection, series: Collection[bytes]) -> None:
    """Note that these are still told of."""
    await connection.execute(
        text(
            "UPDATE meters SET heard_at = now() WHERE series = ANY (ARRAY("
            " SELECT series FROM meters WHERE series = ANY(:series) ORDER BY series FOR UPDATE SKIP LOCKED))"
        ),
        {"series": list(series)},
    )


async def move(connection: Connection, readings: Sequence[MeterReading]) -> list[bool]:
    """Move meters on, in the caller's transaction: each reading that goes on the last one. False for one that does
    not: another has come before it, and what it counts is counted.
    """
    first = sorted({reading.series: reading for reading in readings}.values())
    columns = [[one.series for one in first], [one.source for one in first], [one.service for one in first]]
    await connection.execute(
        "INSERT INTO meters (series, source, service, read_to, state) SELECT series, source, service, 0, ''"
        " FROM unnest(%s::bytea[], %s::bytea[], %s::text[]) AS given(series, source, service) ORDER BY series"
        " ON CONFLICT DO NOTHING",
        columns,
    )
    found = await connection.execute(
        "SELECT series, read_to FROM meters WHERE series = ANY(%s) ORDER BY series FOR UPDATE", (columns[0],)
    )
    read_to = {bytes(series): int(time) for series, time in cast(Any, await found.fetchall())}
    states: dict[bytes, bytes] = {}
    moved: list[bool] = []
    for reading in readings:
        goes_on = read_to[reading.series] == reading.before
        moved.append(goes_on)
        if goes_on:
            read_to[reading.series], states[reading.series] = reading.time, reading.state
    await connection.execute(
        "UPDATE meters SET read_to = given.read_to, state = given.state, heard_at = now()"
        " FROM unnest(%s::bytea[], %s::bigint[], %s::bytea[]) AS given(series, read_to, state)"
        " WHERE meters.series = given.series",
        (list(states), [read_to[series] for series in states], list(states.values())),
    )
    return moved


async def note_spans(connection: AsyncConnection, services: Sequence[str], *, sampled: bool) -> None:
    """Spans of these, given in order, have come; `sampled`: nobody knows how many requests they stand for."""
    both = "spans_at = now(), sampled_at = now()" if sampled else "spans_at = now()"
    await connection.execute(
        text(
            "INSERT INTO telemetry_services (service, spans_at, sampled_at)"
            " SELECT service, now(), CASE WHEN :sampled THEN now() END"
            " FROM unnest(CAST(:services AS text[])) AS given(service)"
            f" ON CONFLICT (service) DO UPDATE SET {both}"
        ),
        {"services": list(services), "sampled": sampled},
    )


async def note_histograms(connection: AsyncConnection, measured: Mapping[str, MeasuredBuckets]) -> None:
    """Histograms of these services have counted; how exact they are."""
    await connection.execute(
        text(
            "INSERT INTO telemetry_services AS t (service, measured_at, latency_error, bounds_ms)"
            " VALUES (:service, now(), :error, CAST(:bounds AS float8[])) ON CONFLICT (service) DO UPDATE SET"
            " measured_at = now(), latency_error = excluded.latency_error, bounds_ms = excluded.bounds_ms"
        ),
        [
            {"service": service, "error": one.error, "bounds": list(one.bounds_ms)}
            for service, one in sorted(measured.items())
        ],
    )


async def span_services(connection: AsyncConnection) -> set[str]:
    """Services of which spans have come within the hour."""
    rows = await connection.execute(
        text("SELECT service FROM telemetry_services WHERE spans_at > now() - interval '1 hour'")
    )
    return set(rows.scalars())
