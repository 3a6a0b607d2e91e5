"""SQL of alerts: what the board reads and writes, and the marks that others set."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.alerts.alert import Alert
from server.kernel.names import OWN
from server.slo.model.status import Evidence

TIMES = (
    "onset",
    "detected_at",
    "fired_at",
    "notified_at",
    "acknowledged_at",
    "clear_since",
    "resolved_at",
    "tier_at",
    "returned_at",
)
PLAIN = (
    "id",
    "objective",
    "service",
    "state",
    "urgency",
    "tier",
    "severity",
    "onset_method",
    "acknowledged_by",
    "acknowledged_as",
    "fired_times",
    "flapping",
    "suppressed_by",
    "silence_id",
    "told",
    "calmed",
)
ALERT = ", ".join(
    [
        *PLAIN,
        *(f"extract(epoch FROM {name})::float8 AS {name}" for name in TIMES),
        "firings::text AS firings",
        "evidence::text AS evidence",
    ]
)
# What the board writes, and how it arrives: JSON, with times as Unix seconds.
ROW = """jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
    id bigint, objective text, service text, state text, urgency text, tier text, severity smallint,
    onset float8, onset_method text, detected_at float8, fired_at float8, clear_since float8, resolved_at float8,
    fired_times int, flapping boolean, suppressed_by bigint, silence_id int, told text, firings jsonb,
    tier_at float8, calmed boolean, returned_at float8, evidence jsonb)"""

# An alert that fires keeps what was done while it was pending; another firing of it does not.
SAME = "(alerts.state = 'pending' OR (alerts.state <> 'resolved' AND alerts.fired_times = r.fired_times))"
ANEW = ", ".join(
    f"{name} = CASE WHEN {SAME} THEN alerts.{name} {otherwise}END"
    for name, otherwise in (
        ("notified_at", ""),
        ("acknowledged_at", ""),
        ("acknowledged_by", "ELSE '' "),
        ("acknowledged_as", ""),
    )
)

log = logging.getLogger("evenkeel.alerts")

evidence_decoder = msgspec.json.Decoder(Evidence)


class Line(msgspec.Struct):
    """One line of an alert's timeline."""

    alert_id: int
    at: float
    kind: str
    text: str
    author: str = OWN


def alert_of(row: Any) -> Alert | None:
    """A row of ALERT; None, and a line in the log, where it cannot be read: one such row must not stop the others."""
    values = dict(row._mapping)
    try:
        values["firings"] = msgspec.json.decode(values["firings"])
        values["evidence"] = evidence_decoder.decode(values["evidence"])
        return msgspec.convert(values, Alert)
    except msgspec.MsgspecError as error:
        log.error("alert %s cannot be read: %s", row.id, error)
        return None


def readable(rows: Iterable[Any]) -> list[Alert]:
    """Those of the rows of ALERT that can be read."""
    return [alert for row in rows if (alert := alert_of(row)) is not None]


async def open_alerts(connection: AsyncConnection) -> tuple[list[Alert], list[int]]:
    """Every alert that has not been resolved, and the ids of those that cannot be read."""
    rows = await connection.execute(text(f"SELECT {ALERT} FROM alerts WHERE state <> 'resolved' ORDER BY id"))
    found = rows.all()
    alerts = readable(found)
    return alerts, sorted({row.id for row in found} - {alert.id for alert in alerts})


async def last_resolved(connection: AsyncConnection, since: float) -> dict[str, Alert]:
    """The last alert of each objective that was resolved since then."""
    rows = await connection.execute(
        text(
            f"""
            SELECT DISTINCT ON (objective) {ALERT} FROM alerts
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
    rows = await connection.execute(
        text(
            f"""
            INSERT INTO alerts (objective, service, state, urgency, tier, severity, onset, onset_method, detected_at,
                fired_at, clear_since, resolved_at, fired_times, flapping, suppressed_by, silence_id, told, firings,
                tier_at, calmed, returned_at, evidence)
            SELECT objective, service, state, urgency, tier, severity, to_timestamp(onset), onset_method,
                to_timestamp(detected_at), to_timestamp(fired_at), to_timestamp(clear_since),
                to_timestamp(resolved_at), fired_times, flapping, suppressed_by, silence_id, told, firings,
                to_timestamp(tier_at), calmed, to_timestamp(returned_at), evidence
            FROM {ROW} RETURNING id, objective
            """
        ),
        {"rows": msgspec.json.encode(alerts).decode()},
    )
    return {row.objective: row.id for row in rows}


async def change(connection: AsyncConnection, alerts: Sequence[Alert]) -> None:
    """Write alerts as they stand now. Who acknowledged and when it was notified are others' to write; with an
    alert that is back, or one that flaps and fires again, both begin anew."""
    if not alerts:
        return
    await connection.execute(
        text(
            f"""
            UPDATE alerts SET {ANEW}, state = r.state, urgency = r.urgency, tier = r.tier, severity = r.severity,
                onset = to_timestamp(r.onset), onset_method = r.onset_method, fired_at = to_timestamp(r.fired_at),
                clear_since = to_timestamp(r.clear_since), resolved_at = to_timestamp(r.resolved_at),
                fired_times = r.fired_times, flapping = r.flapping, suppressed_by = r.suppressed_by,
                silence_id = r.silence_id, told = r.told, firings = r.firings, tier_at = to_timestamp(r.tier_at),
                calmed = r.calmed, returned_at = to_timestamp(r.returned_at), evidence = r.evidence, updated_at = now()
            FROM {ROW} WHERE alerts.id = r.id
            """
        ),
        {"rows": msgspec.json.encode(alerts).decode()},
    )


async def add_events(connection: AsyncConnection, events: Sequence[Line]) -> None:
    """Lines of timelines."""
    if not events:
        return
    await connection.execute(
        text(
            """
            INSERT INTO alert_events (alert_id, at, kind, text, author)
            SELECT alert_id, to_timestamp(at), kind, text, author FROM jsonb_to_recordset(CAST(:rows AS jsonb))
                AS r(alert_id bigint, at float8, kind text, text text, author text)
            """
        ),
        {"rows": msgspec.json.encode(events).decode()},
    )


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
            WHERE id = :id AND state <> 'resolved' AND acknowledged_at IS NULL RETURNING {ALERT}
            """
        ),
        {"id": alert_id, "by": by},
    )
    row = rows.one_or_none()
    return None if row is None else alert_of(row)
