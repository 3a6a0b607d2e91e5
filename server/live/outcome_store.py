"""SQL of raw outcomes: by request id or trace id, and the newest of many series.

`rows` is a connection to where outcomes are. Where that is another database, the series are read in the main one and
handed to the same question there. Where they are spread over the workers of Citus the series are handed too, and the
question is another one: Citus takes no LIMIT in a LATERAL.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel import shared_clock
from server.kernel.db import HAS_CITUS
from server.kernel.times import utc
from server.live.answers import OutcomeAnswer
from server.tables.detail import SAME


class Filter(NamedTuple):
    """What outcomes are wanted: None is any; times are half-open."""

    service: str | None = None
    route: str | None = None
    status: int | None = None
    start: datetime | None = None
    stop: datetime | None = None


class Place(NamedTuple):
    """Where a page ended: after `seen` outcomes of exactly this time, series and request id.

    It comes back from a caller, who may have written it: `seen` decides how much is read again.
    """

    at: Annotated[datetime, Meta(tz=True)]
    series_id: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    request_id: Annotated[str, Meta(max_length=1000, pattern=r"^[^\x00]*$")]
    seen: Annotated[int, Meta(ge=0, le=10_000)]


class Found(NamedTuple):
    """An outcome and its place in the order."""

    series_id: int
    outcome: OutcomeAnswer


COLUMNS = """
    o.*, o.at AS timestamp, o.duration_us / 1000::float8 AS duration_ms,
    s.service, s.version, s.route, s.method, s.status
"""
ORDER = "at DESC, series_id DESC, request_id DESC, duration_us DESC, bad DESC"


HANDED = """
    SELECT * FROM unnest(
        CAST(:s_ids AS integer[]), CAST(:s_services AS text[]), CAST(:s_versions AS text[]),
        CAST(:s_routes AS text[]), CAST(:s_methods AS text[]), CAST(:s_statuses AS smallint[])
    ) AS s (id, service, version, route, method, status)
"""


class OutcomeSource(NamedTuple):
    """Where to ask for the outcomes of some series, what to select these from there, and what that binds."""

    rows: AsyncConnection
    series: str
    values: dict[str, Any]
    spread: bool


async def spread(rows: AsyncConnection) -> bool:
    """Whether outcomes may be on the workers of Citus."""
    return bool((await rows.execute(text(HAS_CITUS))).scalar_one())


async def _series(
    connection: AsyncConnection,
    rows: AsyncConnection | None,
    wanted: str,
    values: dict[str, Any],
    workers: bool | None = None,
) -> OutcomeSource:
    """`workers`: whether they may be on those of Citus, where that is known."""
    rows = rows or connection
    workers = await spread(rows) if workers is None else workers
    if rows is connection and not workers:
        return OutcomeSource(connection, wanted, values, spread=False)
    found = await connection.execute(
        text(f"SELECT id, service, version, route, method, status FROM ({wanted}) AS s"), values
    )
    names = ("s_ids", "s_services", "s_versions", "s_routes", "s_methods", "s_statuses")
    columns = list(zip(*found, strict=True)) or [()] * len(names)
    handed = {name: list(column) for name, column in zip(names, columns, strict=True)}
    return OutcomeSource(rows, HANDED, values | handed, workers)


# How far the newest of what is on workers is looked for, until it is enough: all of a longer time is read there.
BACK = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(days=3650))
SPREAD = f"""
    SELECT {COLUMNS} FROM outcomes o JOIN ({HANDED}) AS s ON s.id = o.series_id
    WHERE o.series_id = ANY(CAST(:s_ids AS integer[])) {{}}
    ORDER BY {ORDER} LIMIT :limit
"""


# Of a request id or of a trace id, each with its own filters; and not of those that were asked for before.
CARRIES = f"""
    (o.request_id = :request_id OR o.detail ->> 'trace_id' = nullif(:request_id, '{SAME}'))
    AND o.request_id <> ALL(CAST(:but AS text[])) AND coalesce(o.detail ->> 'trace_id', '') <> ALL(CAST(:but AS text[]))
"""


async def by_filters(rows: AsyncConnection) -> bool:
    """Have the filters of ids used from here on, which the planner thinks exclude nothing; whether rows may be on
    the workers of Citus. `by_plan` ends it."""
    workers, _ = (await rows.execute(text(f"{HAS_CITUS}, set_config('enable_seqscan', 'off', true)"))).one()
    if workers:
        await rows.execute(text("SET LOCAL citus.propagate_set_commands = 'local'"))
        await rows.execute(text("SET LOCAL enable_seqscan = off"))
    return bool(workers)


async def by_plan(rows: AsyncConnection) -> None:
    await rows.execute(text("SET LOCAL enable_seqscan = on"))


async def by_request_id(
    connection: AsyncConnection,
    request_id: str,
    limit: int,
    rows: AsyncConnection | None = None,
    but: Sequence[str] = (),
) -> list[Found]:
    """The outcomes that carry a request id or a trace id, newest first, without those that carry one of `but`."""
    values: dict[str, Any] = {"request_id": request_id, "but": list(but)}
    rows = rows or connection
    workers = await by_filters(rows)
    if rows is not connection or workers:
        query = text(f"SELECT DISTINCT series_id FROM outcomes o WHERE {CARRIES}")
        values["ids"] = list((await rows.execute(query, values)).scalars())
    wanted = "SELECT * FROM series WHERE id = ANY(:ids)" if "ids" in values else "SELECT * FROM series"
    there, series, values, _ = await _series(connection, rows, wanted, values, workers)
    found = await there.execute(
        text(
            f"""
            SELECT {COLUMNS} FROM outcomes o JOIN ({series}) AS s ON s.id = o.series_id
            WHERE {CARRIES} ORDER BY {ORDER} LIMIT :limit
            """
        ),
        values | {"limit": limit},
    )
    await by_plan(there)
    return [_found(row) for row in found]


WANTED = """
    SELECT * FROM series s
    WHERE (CAST(:service AS text) IS NULL OR s.service = :service)
        AND (CAST(:route AS text) IS NULL OR s.route = :route)
        AND (CAST(:status AS smallint) IS NULL OR s.status = :status)
"""


async def newest(
    connection: AsyncConnection, wanted: Filter, after: Place | None, limit: int, rows: AsyncConnection | None = None
) -> list[Found]:
    """The newest outcomes after a place, that place's own first: the top of each series, merged."""
    conditions, values = _conditions(wanted, after)
    there, series, values, workers = await _series(connection, rows, WANTED, values)
    if workers:
        end = after.at if after else wanted.stop or utc(shared_clock.now())
        return await _newest_spread(there, conditions, values, limit, end)
    found = await there.execute(
        text(
            f"""
            SELECT {COLUMNS}
            FROM ({series}) AS s
            CROSS JOIN LATERAL (
                SELECT * FROM outcomes o WHERE o.series_id = s.id {conditions} ORDER BY {ORDER} LIMIT :limit
            ) AS o
            ORDER BY {ORDER} LIMIT :limit
            """
        ),
        values | {"limit": limit},
    )
    return [_found(row) for row in found]


async def _newest_spread(
    rows: AsyncConnection, conditions: str, values: dict[str, Any], limit: int, end: datetime
) -> list[Found]:
    """The same of what is on workers: of the minute to `end`, or, while that is not enough, of a longer time."""
    query = text(SPREAD.format(f"{conditions} AND o.at >= :back_to"))
    earliest = values.get("start", utc(0))
    found: list[Found] = []
    for back in BACK:
        back_to = max(earliest, end - back)
        found = [_found(row) for row in await rows.execute(query, values | {"back_to": back_to, "limit": limit})]
        if len(found) == limit or back_to == earliest:
            break
    return found


async def newest_failing(
    connection: AsyncConnection,
    service: str,
    since: datetime,
    over_ms: float | None,
    limit: int,
    *,
    rows: AsyncConnection | None = None,
) -> list[OutcomeAnswer]:
    """The newest outcomes of a service since then that failed; with `over_ms` those that took longer instead.

    Only series are looked at that have counted such a one by the second, so that a busy service costs no more
    than a quiet one.
    """
    counted = "d.bad > 0" if over_ms is None else "d.n > d.bad"
    wanted = f"""
        SELECT * FROM series s WHERE s.service = :service AND EXISTS (
            SELECT FROM deltas d WHERE d.series_id = s.id AND d.second >= :since AND {counted}
        )
    """
    there, series, values, workers = await _series(connection, rows, wanted, {"service": service, "since": since})
    failed = "o.bad" if over_ms is None else "NOT o.bad AND o.duration_us > :over_us"
    of_each = f"""
        SELECT {COLUMNS}
        FROM ({series}) AS s
        CROSS JOIN LATERAL (
            SELECT * FROM outcomes o WHERE o.series_id = s.id AND o.at >= :since AND {failed}
            ORDER BY at DESC LIMIT :limit
        ) AS o
        ORDER BY {ORDER} LIMIT :limit
    """
    found = await there.execute(
        text(SPREAD.format(f" AND o.at >= :since AND {failed}") if workers else of_each),
        values | {"limit": limit} | ({} if over_ms is None else {"over_us": round(over_ms * 1000)}),
    )
    return [_found(row).outcome for row in found]


def _conditions(wanted: Filter, after: Place | None) -> tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {"service": wanted.service, "route": wanted.route, "status": wanted.status}
    conditions = ""
    if wanted.start is not None:
        conditions += " AND o.at >= :start"
        values["start"] = wanted.start
    if wanted.stop is not None:
        conditions += " AND o.at < :stop"
        values["stop"] = wanted.stop
    if after is not None:
        # The first condition is what the index can use.
        conditions += " AND o.at <= :at AND (o.at, o.series_id, o.request_id) <= (:at, :series_id, :request_id)"
        values |= {"at": after.at, "series_id": after.series_id, "request_id": after.request_id}
    return conditions, values


def _found(row: Row[Any]) -> Found:
    detail = row.detail or {}
    if detail.get("trace_id") == SAME:
        detail = detail | {"trace_id": row.request_id}
    return Found(row.series_id, msgspec.convert(detail | dict(row._mapping), OutcomeAnswer))
