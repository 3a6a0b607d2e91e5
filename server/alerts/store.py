"""SQL of alerts: what the board reads and writes, the marks that others set, and questions."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.alerts.alert import ANEW, Alert, AlertEvent, Outage
from server.kernel.names import DRILL, OWN
from server.tables import alerts as tables
from server.tables.codec import Rows

ALERTS = Rows(tables.alerts, Alert)
EVENTS = Rows(tables.alert_events, AlertEvent)
PAST_OUTAGES = Rows(tables.alert_outages, Outage)

# The last outage of an alert as a row of alert_outages; how it began stands in `again`, of the first in the alert.
BEGAN = {
    "alert_id": "a.id",
    "number": "coalesce((a.again ->> 'number')::int, 1)",
    "onset": "coalesce(to_timestamp((a.again ->> 'onset')::float8), a.onset)",
    "onset_method": "coalesce(a.again ->> 'onset_method', a.onset_method)",
    "detected_at": "coalesce(to_timestamp((a.again ->> 'detected_at')::float8), a.detected_at)",
}
NAMES = ", ".join(PAST_OUTAGES.fields)
LAST = ", ".join(f"{BEGAN.get(name, f'a.{name}')} AS {name}" for name in PAST_OUTAGES.fields)
# One that flaps was not resolved when the next began.
ENDED = LAST.replace(
    "a.resolved_at AS", "coalesce(a.resolved_at, to_timestamp((r.again ->> 'detected_at')::float8)) AS"
)
OUTAGES = f"(SELECT {LAST} FROM alerts a UNION ALL SELECT {NAMES} FROM alert_outages) AS outages"  # every one
# Before an alert is rewritten for its next outage.
KEEP = f"""
INSERT INTO alert_outages ({NAMES}) SELECT {ENDED} FROM {ALERTS.record} JOIN alerts a ON a.id = r.id
WHERE coalesce((r.again ->> 'number')::int, 1) > {BEGAN["number"]} ON CONFLICT DO NOTHING
"""

# An alert that fires keeps what was done while it was pending; another firing of it does not.
SAME = "(alerts.state = 'pending' OR (alerts.state <> 'resolved' AND alerts.fired_times = r.fired_times))"
# What others write: the board keeps it, or begins it anew.
BEGUN_ANEW = ", ".join(
    f"{name} = CASE WHEN {SAME} THEN alerts.{name} ELSE {'NULL' if value is None else repr(value)} END"
    for name, value in ANEW.items()
)

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


ANY_OPEN = "alerts"
SEEN = {ANY_OPEN: "EXISTS (SELECT FROM alerts WHERE state <> 'resolved')"}


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
    alert that is back, or one that flaps and fires again, both begin anew, and the outage before is kept."""
    if not alerts:
        return
    await connection.execute(text(KEEP), ALERTS.given(alerts))
    written = ALERTS.assignments(but=ANEW)
    statement = f"UPDATE alerts SET {written}, {BEGUN_ANEW}, updated_at = now() FROM {ALERTS.record}"
    await connection.execute(text(f"{statement} WHERE alerts.id = r.id"), ALERTS.given(alerts))


async def add_events(connection: AsyncConnection, events: Sequence[AlertEvent]) -> None:
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


async def acknowledge(connection: AsyncConnection, alert_ids: Sequence[int], by: str) -> list[Alert]:
    """Acknowledge those of the alerts that are open and that nobody has acknowledged; these, by id."""
    rows = await connection.execute(
        text(
            f"""
            WITH held AS MATERIALIZED (
                SELECT id FROM alerts WHERE id = ANY(:ids) AND state <> 'resolved' AND acknowledged_at IS NULL
                ORDER BY id FOR UPDATE
            )
            UPDATE alerts SET acknowledged_at = clock_timestamp(), acknowledged_by = :by, acknowledged_as = urgency
            WHERE id IN (SELECT id FROM held) RETURNING {ALERTS.columns}
            """
        ),
        {"ids": list(alert_ids), "by": by},
    )
    return sorted(readable(rows), key=lambda alert: alert.id)


OUTAGES_MAX = 500
UNREAD = "unreadable"  # a line of the timeline


async def end_unread(connection: AsyncConnection, ids: Sequence[int]) -> None:
    """End alerts that cannot be read, so that what burns makes a new one; their rows stay as they are."""
    if not ids:
        return
    values = {"ids": list(ids), "kind": UNREAD, "text": "It cannot be read, and was ended: what burns is a new alert."}
    await connection.execute(
        text(
            f"""
            WITH ended AS (
                UPDATE alerts SET state = 'resolved', resolved_at = now(), updated_at = now()
                WHERE id = ANY(:ids) AND state <> 'resolved' RETURNING id
            )
            INSERT INTO alert_events (alert_id, kind, text, author) SELECT id, :kind, :text, '{OWN}' FROM ended
            """
        ),
        values,
    )


async def ended_unread(connection: AsyncConnection, within_s: float) -> list[int]:
    """The alerts that were ended so within the last seconds."""
    rows = await connection.execute(
        text(
            """
            SELECT DISTINCT alert_id FROM alert_events
            WHERE kind = :kind AND at > now() - make_interval(secs => :within_s) ORDER BY alert_id
            """
        ),
        {"kind": UNREAD, "within_s": within_s},
    )
    return list(rows.scalars())


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


async def several(connection: AsyncConnection, alert_ids: Sequence[int]) -> list[Alert]:
    """These alerts, by id; without those that cannot be read."""
    rows = await connection.execute(
        text(f"SELECT {ALERTS.columns} FROM alerts WHERE id = ANY(:ids) ORDER BY id"), {"ids": list(alert_ids)}
    )
    return readable(rows)


async def timeline(connection: AsyncConnection, alert_id: int, limit: int = 500) -> list[AlertEvent]:
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


async def outages(connection: AsyncConnection, alert_ids: Sequence[int]) -> dict[int, list[Outage]]:
    """Every outage of these alerts, in order."""
    rows = await connection.execute(
        text(f"SELECT {PAST_OUTAGES.of('outages')} FROM {OUTAGES} WHERE alert_id = ANY(:ids) ORDER BY number"),
        {"ids": list(alert_ids)},
    )
    found: dict[int, list[Outage]] = {alert_id: [] for alert_id in alert_ids}
    for outage in PAST_OUTAGES.every(rows):
        found[outage.alert_id].append(outage)
    return found


async def outages_between(connection: AsyncConnection, service: str, start: float, end: float) -> list[Outage]:
    """The outages of a service detected in [start, end), newest first; at most OUTAGES_MAX."""
    rows = await connection.execute(
        text(
            f"""
            SELECT {PAST_OUTAGES.of("outages")} FROM {OUTAGES}
            WHERE service = :service AND detected_at >= to_timestamp(:start) AND detected_at < to_timestamp(:end)
            ORDER BY outages.detected_at DESC LIMIT :many
            """
        ),
        {"service": service, "start": start, "end": end, "many": OUTAGES_MAX},
    )
    return PAST_OUTAGES.every(rows)


async def measures(connection: AsyncConnection, since: float) -> MeasureRow:
    """How long it took, on average, over the outages detected since then that fired: each counts once, a
    drill's never."""
    rows = await connection.execute(
        text(
            f"""
            SELECT count(*) AS fired,
                avg(extract(epoch FROM detected_at - onset))
                    FILTER (WHERE onset_method <> 'window')::float8 AS detect_s,
                avg(extract(epoch FROM notified_at - fired_at))::float8 AS notify_s,
                avg(greatest(0, extract(epoch FROM acknowledged_at - coalesce(notified_at, fired_at))))
                    FILTER (WHERE acknowledged_at IS NOT NULL)::float8 AS acknowledge_s,
                avg(extract(epoch FROM coalesce(over_at, resolved_at)
                    - CASE WHEN onset_method = 'window' THEN detected_at ELSE onset END))
                    FILTER (WHERE resolved_at IS NOT NULL)::float8 AS resolve_s
            FROM {OUTAGES} WHERE detected_at >= to_timestamp(:since) AND fired_at IS NOT NULL
                AND NOT starts_with(service, :drill)
            """
        ),
        {"since": since, "drill": DRILL},
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
