"""SQL of alerts: what the board reads and writes, and the marks that others set."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.alerts.alert import ANEW, Alert, Line
from server.tables import alerts as tables
from server.tables.codec import Rows

ALERTS = Rows(tables.alerts, Alert)
EVENTS = Rows(tables.alert_events, Line)

# An alert that fires keeps what was done while it was pending; another firing of it does not.
SAME = "(alerts.state = 'pending' OR (alerts.state <> 'resolved' AND alerts.fired_times = r.fired_times))"
# What others write: the board keeps it, or begins it anew.
BEGUN_ANEW = ", ".join(
    f"{name} = CASE WHEN {SAME} THEN alerts.{name} ELSE {'NULL' if value is None else repr(value)} END"
    for name, value in ANEW.items()
)
FOUND_AT = "detected_at"  # one that is back was detected when it was detected first

log = logging.getLogger("evenkeel.alerts")


def alert_of(row: Any) -> Alert | None:
    """A row; None, and a line in the log, where it cannot be read: one such row must not stop the others."""
    try:
        return ALERTS.read(row)
    except msgspec.MsgspecError as error:
        log.error("alert %s cannot be read: %s", row.id, error)
        return None


def readable(rows: Iterable[Any]) -> list[Alert]:
    """Those of the rows that can be read."""
    return [alert for row in rows if (alert := alert_of(row)) is not None]


async def open_alerts(connection: AsyncConnection) -> tuple[list[Alert], list[int]]:
    """Every alert that has not been resolved, and the ids of those that cannot be read."""
    rows = await connection.execute(text(f"SELECT {ALERTS.columns} FROM alerts WHERE state <> 'resolved' ORDER BY id"))
    found = rows.all()
    alerts = readable(found)
    return alerts, sorted({row.id for row in found} - {alert.id for alert in alerts})


async def last_resolved(connection: AsyncConnection, since: float) -> dict[str, Alert]:
    """The last alert of each objective that was resolved since then."""
    rows = await connection.execute(
        text(
            f"""
            SELECT DISTINCT ON (objective) {ALERTS.columns} FROM alerts
            WHERE state = 'resolved' AND resolved_at >= to_timestamp(:since)
            ORDER BY objective, alerts.resolved_at DESC
            """
        ),
        {"since": since},
    )
    return {alert.objective: alert for alert in readable(rows)}


async def add(connection: AsyncConnection, alerts: Sequence[Alert]) -> dict[str, int]:
    """Keep new alerts; their ids by objective. An objective that has an open one is an IntegrityError."""
    if not alerts:
        return {}
    statement = text(f"{ALERTS.insert()} RETURNING id, objective")
    rows = await connection.execute(statement, ALERTS.given(alerts))
    return {row.objective: row.id for row in rows}


async def change(connection: AsyncConnection, alerts: Sequence[Alert]) -> None:
    """Write alerts as they stand now. Who acknowledged and when it was notified are others' to write; with an
    alert that is back, or one that flaps and fires again, both begin anew."""
    if not alerts:
        return
    written = ALERTS.assignments(but=(FOUND_AT, *ANEW))
    statement = f"UPDATE alerts SET {written}, {BEGUN_ANEW}, updated_at = now() FROM {ALERTS.record}"
    await connection.execute(text(f"{statement} WHERE alerts.id = r.id"), ALERTS.given(alerts))


async def add_events(connection: AsyncConnection, events: Sequence[Line]) -> None:
    """Lines of timelines."""
    if not events:
        return
    await connection.execute(text(EVENTS.insert()), EVENTS.given(events))


async def mark_notified(connection: AsyncConnection, alert_id: int, at: float) -> None:
    """The first notification of this firing has really been sent."""
    await connection.execute(
        text("UPDATE alerts SET notified_at = to_timestamp(:at) WHERE id = :id AND notified_at IS NULL"),
        {"id": alert_id, "at": at},
    )


async def acknowledge(connection: AsyncConnection, alert_id: int, by: str) -> Alert | None:
    """Acknowledge an alert that is open and that nobody has acknowledged; the alert, None otherwise."""
    rows = await connection.execute(
        text(
            f"""
            UPDATE alerts SET acknowledged_at = clock_timestamp(), acknowledged_by = :by, acknowledged_as = urgency
            WHERE id = :id AND state <> 'resolved' AND acknowledged_at IS NULL RETURNING {ALERTS.columns}
            """
        ),
        {"id": alert_id, "by": by},
    )
    row = rows.one_or_none()
    return None if row is None else alert_of(row)
