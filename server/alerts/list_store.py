"""SQL of questions about alerts: lists, timelines, measures."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.alerts.alert import Alert, Line
from server.alerts.store import ALERTS, EVENTS, alert_of, readable

State = Literal["open", "resolved", "all"]

STATES: dict[State, str] = {"open": "state <> 'resolved'", "resolved": "state = 'resolved'", "all": "true"}


class MeasureRow(Struct):
    """Means in seconds over alerts that fired; None where there is none to take it of."""

    fired: int
    detect_s: float | None
    notify_s: float | None
    acknowledge_s: float | None
    resolve_s: float | None


class Reach(Struct):
    """The names of the targets that each alert has reached, by its id; `targets` None: not known how many there are."""

    told_to: dict[int, list[str]]
    targets: int | None


async def listed(
    connection: AsyncConnection,
    state: State,
    *,
    service: str | None = None,
    objective: str | None = None,
    before: int | None = None,
    limit: int = 50,
    since: float | None = None,
) -> list[Alert]:
    """Alerts, newest first. `before` is the id of the last one already seen; `since`: resolved since then."""
    rows = await connection.execute(
        text(
            f"""
            SELECT {ALERTS.columns} FROM alerts
            WHERE {STATES[state]} AND (CAST(:service AS text) IS NULL OR service = :service)
                AND (CAST(:objective AS text) IS NULL OR objective = :objective)
                AND (CAST(:before AS bigint) IS NULL OR id < :before)
                AND (CAST(:since AS float8) IS NULL OR alerts.resolved_at >= to_timestamp(:since))
            ORDER BY id DESC LIMIT :limit
            """
        ),
        {
            "service": service,
            "objective": objective,
            "before": before,
            "since": since,
            "limit": limit,
        },
    )
    return readable(rows)


async def one(connection: AsyncConnection, alert_id: int) -> Alert | None:
    """An alert, open or not; None also where it cannot be read."""
    rows = await connection.execute(text(f"SELECT {ALERTS.columns} FROM alerts WHERE id = :id"), {"id": alert_id})
    row = rows.one_or_none()
    return None if row is None else alert_of(row)


async def timeline(connection: AsyncConnection, alert_id: int, limit: int = 500) -> list[Line]:
    """What became of an alert, oldest first; of very much the newest."""
    rows = await connection.execute(
        text(
            f"""
            SELECT {EVENTS.of("newest")} FROM (
                SELECT * FROM alert_events WHERE alert_id = :id ORDER BY id DESC LIMIT :limit
            ) AS newest ORDER BY newest.id
            """
        ),
        {"id": alert_id, "limit": limit},
    )
    return EVENTS.every(rows)


async def measures(connection: AsyncConnection, since: float) -> MeasureRow:
    """How long it took, on average, over the alerts detected since then that fired."""
    rows = await connection.execute(
        text(
            """
            SELECT count(*) AS fired,
                avg(extract(epoch FROM detected_at - onset))
                    FILTER (WHERE onset_method <> 'window')::float8 AS detect_s,
                avg(extract(epoch FROM notified_at - fired_at))::float8 AS notify_s,
                avg(extract(epoch FROM acknowledged_at - coalesce(notified_at, fired_at)))::float8 AS acknowledge_s,
                avg(extract(epoch FROM resolved_at
                    - CASE WHEN onset_method = 'window' THEN detected_at ELSE onset END))::float8 AS resolve_s
            FROM alerts WHERE detected_at >= to_timestamp(:since) AND fired_times > 0
            """
        ),
        {"since": since},
    )
    return MeasureRow(*rows.one())


async def reach(connection: AsyncConnection, alert_ids: list[int]) -> Reach:
    """Whom the messages of these alerts have reached, and how many targets there are."""
    rows = await connection.execute(
        text(
            """
            SELECT n.alert_id, array_agg(DISTINCT t.name) AS names
            FROM notifications n JOIN targets t ON t.id = n.target_id
            WHERE n.alert_id = ANY(:ids) AND n.event = 'trigger' AND n.sent_at IS NOT NULL GROUP BY n.alert_id
            """
        ),
        {"ids": alert_ids},
    )
    told_to = {row.alert_id: list(row.names) for row in rows}
    count = await connection.execute(text("SELECT count(*) FROM targets WHERE removed_at IS NULL"))
    return Reach(told_to, int(count.scalar_one()))
