"""SQL of the outbox: rows written with what they tell of, claimed, sent, and marked.

A claim is an update that only one can make; it ends by itself, so that what a
dead process had claimed is sent by another. Nothing is sent while an earlier
message of the same alert, incident or window to the same target waits: a resolve never overtakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.alerts.alert import Alert
from server.alerts.store import mark_notified
from server.notify.kind import Thread
from server.notify.message import Event, IncidentFacts, MaintenanceFacts
from server.notify.store import TARGETS
from server.notify.target import Target
from server.tables.alerts import notifications
from server.tables.codec import Rows

CLAIM_S = 30.0  # longer than any try
KEPT_DAYS = 90


class StoredBody(msgspec.Struct):
    """What a row holds of what it tells: the words, and the alert, the incident or the window as it stood."""

    text: str
    alert: Alert | None = None
    incident: IncidentFacts | None = None
    maintenance: MaintenanceFacts | None = None


class ClaimedRow(msgspec.Struct):
    """One message to be stored, of an alert, of an incident or of a maintenance window."""

    alert_id: int | None
    target_id: int
    event: Event
    dedup_key: str
    body: StoredBody
    incident_id: int | None = None
    maintenance_id: int | None = None


NOTIFICATIONS = Rows(notifications, ClaimedRow)
PUT = text(f"{NOTIFICATIONS.insert()} ON CONFLICT (dedup_key) DO NOTHING RETURNING id")


class Claimed(NamedTuple):
    """One message that is ours to send until the claim ends. `attempt` is 1 for the first try."""

    id: int
    alert_id: int | None  # None: of an incident or of a maintenance window
    target: Target
    event: Event
    key: str
    body: StoredBody | None  # None: it cannot be read, as after a change of its shape
    attempt: int
    age_s: float
    refused_s: float  # for how long it has been refused as wrong, without a break
    removed: bool  # the target was, a moment after this was stored
    thread: Thread | None  # None: it begins one


async def put(connection: AsyncConnection, rows: Sequence[ClaimedRow]) -> int:
    """Store messages; what was stored before under the same key stays. How many are new."""
    if not rows:
        return 0
    stored = await connection.execute(PUT, NOTIFICATIONS.given(rows))
    return len(stored.all())


async def targets_told(connection: AsyncConnection, alert_ids: Sequence[int]) -> dict[int, set[int]]:
    """Of each alert, the targets that were told of it, or are being told."""
    statement = text("""
        SELECT DISTINCT alert_id, target_id FROM notifications
        WHERE alert_id = ANY(:ids) AND event = 'trigger' AND gave_up_at IS NULL
        """)
    found: dict[int, set[int]] = {alert_id: set() for alert_id in alert_ids}
    for alert_id, target_id in await connection.execute(statement, {"ids": list(alert_ids)}):
        found[alert_id].add(target_id)
    return found


async def targets_heard(connection: AsyncConnection, incident_id: int) -> set[int]:
    """The targets that were told of an incident or of an alert in it, or are being told."""
    statement = text("""
        SELECT DISTINCT target_id FROM notifications
        WHERE gave_up_at IS NULL AND (incident_id = :id OR event = 'trigger'
              AND alert_id IN (SELECT alert_id FROM incident_alerts WHERE incident_id = :id))
        """)
    return {row.target_id for row in await connection.execute(statement, {"id": incident_id})}


async def targets_told_of_window(connection: AsyncConnection, maintenance_id: int) -> set[int]:
    """The targets that were told of a maintenance window, or are being told."""
    statement = text("""
        SELECT DISTINCT target_id FROM notifications WHERE maintenance_id = :id AND gave_up_at IS NULL
        """)
    return {row.target_id for row in await connection.execute(statement, {"id": maintenance_id})}


class Unacknowledged(NamedTuple):
    """A page that nobody has acknowledged for too long: what was told of it last, and in which step."""

    step: int
    text: str
    alert: Alert


UNACKNOWLEDGED = text("""
    SELECT last.step, last.body::text FROM alerts a, LATERAL (
        SELECT n.id, n.body, n.created_at, max(t.step) OVER () AS step, max(n.created_at) OVER () AS told_at
        FROM notifications n JOIN targets t ON t.id = n.target_id
        WHERE n.alert_id = a.id AND n.event = 'trigger' AND n.body #>> '{alert,urgency}' = 'page'
          AND (n.body #>> '{alert,fired_times}')::int = a.fired_times
        ORDER BY n.id DESC LIMIT 1
    ) AS last
    WHERE a.state = 'firing' AND a.urgency = 'page' AND a.acknowledged_at IS NULL
      AND a.suppressed_by IS NULL AND a.silence_id IS NULL
      AND last.told_at <= now() - make_interval(secs => :wait)
    FOR UPDATE OF a SKIP LOCKED
    """)


async def unacknowledged(connection: AsyncConnection, wait_s: float) -> list[Unacknowledged]:
    """Those whose last step was told so long ago, locked: an acknowledgement waits for us, or we see it."""
    rows = await connection.execute(UNACKNOWLEDGED, {"wait": wait_s})
    found = [(step, readable(body)) for step, body in rows]
    return [Unacknowledged(step, body.text, body.alert) for step, body in found if body is not None and body.alert]


FIRST = "SELECT (f.body || jsonb_build_object('key', f.dedup_key))::text FROM notifications f"
FIRST_OF_FIRING = f"""
    {FIRST}
    WHERE f.alert_id = n.alert_id AND f.target_id = n.target_id AND f.event = 'trigger' AND f.id < n.id
      AND f.body #> '{{alert,fired_times}}' = n.body #> '{{alert,fired_times}}'
    ORDER BY f.id LIMIT 1"""
# What wakes people of an incident is its first alert: what is told of the incident stands beneath that.
FIRST_OF_INCIDENT = f"""
    {FIRST}
    WHERE f.target_id = n.target_id AND f.id < n.id AND (f.incident_id = n.incident_id
          OR f.event = 'trigger' AND f.created_at >= (SELECT i.detected_at FROM incidents i WHERE i.id = n.incident_id)
             AND f.alert_id IN (SELECT m.alert_id FROM incident_alerts m WHERE m.incident_id = n.incident_id))
    ORDER BY f.id LIMIT 1"""
FIRST_OF_WINDOW = f"""
    {FIRST}
    WHERE f.maintenance_id = n.maintenance_id AND f.target_id = n.target_id AND f.id < n.id ORDER BY f.id LIMIT 1"""
ANY_DUE = """EXISTS (SELECT FROM notifications WHERE sent_at IS NULL AND gave_up_at IS NULL AND next_at <= now()
    AND (claimed_until IS NULL OR claimed_until <= now()))"""
ANY_PAGE = """EXISTS (SELECT FROM alerts WHERE state = 'firing' AND urgency = 'page' AND acknowledged_at IS NULL)"""
CLAIM = text(f"""
    WITH due AS (
        SELECT w.id, row_number() OVER (PARTITION BY w.target_id ORDER BY w.next_at, w.id)
               + (SELECT count(*) FROM notifications busy
                  WHERE busy.target_id = w.target_id AND busy.sent_at IS NULL AND busy.gave_up_at IS NULL
                    AND busy.claimed_until > now()) AS place
        FROM notifications w
        WHERE w.sent_at IS NULL AND w.gave_up_at IS NULL AND w.next_at <= now()
          AND (w.alert_id IS NOT NULL OR w.incident_id IS NOT NULL OR w.maintenance_id IS NOT NULL)
          AND (w.claimed_until IS NULL OR w.claimed_until <= now())
          AND NOT EXISTS (SELECT FROM notifications earlier
                          WHERE earlier.alert_id = w.alert_id AND earlier.target_id = w.target_id
                            AND earlier.id < w.id AND earlier.sent_at IS NULL AND earlier.gave_up_at IS NULL)
          AND NOT EXISTS (SELECT FROM notifications earlier
                          WHERE earlier.incident_id = w.incident_id AND earlier.target_id = w.target_id
                            AND earlier.id < w.id AND earlier.sent_at IS NULL AND earlier.gave_up_at IS NULL)
          AND NOT EXISTS (SELECT FROM notifications earlier
                          WHERE earlier.maintenance_id = w.maintenance_id AND earlier.target_id = w.target_id
                            AND earlier.id < w.id AND earlier.sent_at IS NULL AND earlier.gave_up_at IS NULL)
    ), mine AS MATERIALIZED (
        SELECT id FROM notifications
        WHERE id IN (SELECT id FROM due WHERE place <= :each ORDER BY place, id LIMIT :most)
          AND sent_at IS NULL AND gave_up_at IS NULL AND (claimed_until IS NULL OR claimed_until <= now())
        ORDER BY id FOR UPDATE SKIP LOCKED
    )
    UPDATE notifications n
    SET claimed_until = now() + make_interval(secs => :claim), attempts = n.attempts + 1
    FROM mine, targets t
    WHERE n.id = mine.id AND t.id = n.target_id
    RETURNING n.id AS claimed_id, n.alert_id, n.event, n.dedup_key AS key, n.body::text, n.attempts AS attempt,
              extract(epoch FROM now() - n.created_at)::float AS age_s,
              coalesce(extract(epoch FROM now() - n.refused_since), 0)::float AS refused_s,
              t.removed_at IS NOT NULL AS removed, {TARGETS.of("t")},
              CASE WHEN n.maintenance_id IS NOT NULL THEN ({FIRST_OF_WINDOW})
                   WHEN n.incident_id IS NULL THEN ({FIRST_OF_FIRING}) ELSE ({FIRST_OF_INCIDENT}) END AS thread
    """)


async def claim(connection: AsyncConnection, most: int, each: int) -> list[Claimed]:
    """Up to `most` messages that are due, `each` of one target at a time, so that a dead one holds up nobody."""
    rows = await connection.execute(CLAIM, {"most": most, "each": each, "claim": CLAIM_S})
    return sorted((claimed_of(row) for row in rows), key=lambda claimed: claimed.id)


def claimed_of(row: Any) -> Claimed:
    return Claimed(
        id=row.claimed_id,
        alert_id=row.alert_id,
        target=TARGETS.read(row),
        event=row.event,
        key=row.key,
        body=readable(row.body),
        attempt=row.attempt,
        age_s=row.age_s,
        refused_s=row.refused_s,
        removed=row.removed,
        thread=None if row.thread is None else msgspec.json.decode(row.thread, type=Thread),
    )


def readable(body: str) -> StoredBody | None:
    try:
        return msgspec.json.decode(body, type=StoredBody)
    except msgspec.DecodeError:
        return None


async def sent(connection: AsyncConnection, claimed: Claimed, at: float) -> None:
    """It has arrived."""
    statement = "UPDATE notifications SET sent_at = now(), claimed_until = NULL WHERE id = :id AND sent_at IS NULL"
    await connection.execute(text(statement), {"id": claimed.id})
    if claimed.event == "trigger" and claimed.alert_id is not None:
        await mark_notified(connection, claimed.alert_id, at)


async def failed(
    connection: AsyncConnection, claimed: Claimed, error: str, again_s: float, *, refused: bool = False
) -> None:
    """It has not; it is tried again after `again_s` seconds. What another has sent meanwhile stays sent."""
    statement = text("""
        UPDATE notifications
        SET last_error = :error, claimed_until = NULL, next_at = now() + make_interval(secs => :again),
            refused_since = CASE WHEN :refused THEN coalesce(refused_since, now()) END
        WHERE id = :id AND sent_at IS NULL AND gave_up_at IS NULL
        """)
    values = {"id": claimed.id, "error": error, "again": again_s, "refused": refused}
    await connection.execute(statement, values)


async def gave_up(connection: AsyncConnection, claimed: Claimed, error: str) -> None:
    """It never will. Of a trigger nothing more is told there, because nobody knows of the alert."""
    statement = text("""
        UPDATE notifications
        SET gave_up_at = now(), claimed_until = NULL,
            last_error = CASE WHEN id = :id THEN :error ELSE 'its trigger was given up: ' || :error END
        WHERE sent_at IS NULL AND gave_up_at IS NULL
          AND (id = :id OR (:all AND alert_id = :alert AND target_id = :target AND event <> 'trigger'))
        """)
    values = {"alert": claimed.alert_id, "target": claimed.target.id, "all": claimed.event == "trigger"}
    await connection.execute(statement, values | {"id": claimed.id, "error": error})


async def tested(connection: AsyncConnection, target_id: int, key: str, message: str, error: str) -> None:
    """Keep what came of a test. Where it arrived, what waits for that target is tried at once."""
    statement = text("""
        INSERT INTO notifications (target_id, event, dedup_key, body, attempts, sent_at, gave_up_at, last_error)
        VALUES (:target, 'test', :key, jsonb_build_object('text', CAST(:message AS text)), 1,
                CASE WHEN :error = '' THEN now() END, CASE WHEN :error <> '' THEN now() END, :error)
        """)
    values = {"target": target_id, "key": key, "message": message, "error": error}
    await connection.execute(statement, values)
    if not error:
        due = "UPDATE notifications SET next_at = now() WHERE target_id = :target AND next_at > now()"
        await connection.execute(text(f"{due} AND sent_at IS NULL AND gave_up_at IS NULL"), values)


async def undelivered_age_s(connection: AsyncConnection) -> float:
    """The age of the oldest message that has not arrived; 0 where all have."""
    query = text("""
        SELECT coalesce(max(extract(epoch FROM clock_timestamp() - created_at)), 0)::float
        FROM notifications WHERE sent_at IS NULL AND gave_up_at IS NULL
        """)
    return float((await connection.execute(query)).scalar_one())


async def forget(connection: AsyncConnection) -> None:
    """Messages of long ago, of alerts that are over."""
    statement = text("""
        DELETE FROM notifications n
        WHERE created_at < now() - make_interval(days => :days) AND (sent_at IS NOT NULL OR gave_up_at IS NOT NULL)
          AND NOT EXISTS (SELECT FROM alerts WHERE alerts.id = n.alert_id AND state <> 'resolved')
        """)
    await connection.execute(statement, {"days": KEPT_DAYS})
