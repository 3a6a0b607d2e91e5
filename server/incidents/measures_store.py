"""SQL of the measures of incidents, of their preventive actions, and of those of the past that are alike."""

from __future__ import annotations

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.incidents.incident import Incident
from server.incidents.measures import QUARTER_S, BacklogAction, CauseSpent, MeasuredIncident
from server.incidents.similar import PastIncident, failing_routes
from server.incidents.store import ACTIONS, OPEN
from server.kernel.names import OWN
from server.tables import incidents as tables
from server.tables.codec import Rows

MEASURED = Rows(tables.incidents, MeasuredIncident)
# See Incident.measured.
COUNTS = "i.declined = '' AND i.merged_into IS NULL AND NOT i.drill"
OF_SERVICE = "(CAST(:service AS text) IS NULL OR i.service = :service)"
# An alert counts for the incident of its last outage: its evidence is of that one.
CAUSES = text(
    f"""
    SELECT i.cause_class, count(DISTINCT i.id) AS incidents, coalesce(sum(last.spent), 0)::float8 AS spent
    FROM incidents i LEFT JOIN (
        SELECT DISTINCT ON (m.alert_id) m.incident_id, (a.evidence ->> 'spent')::float8 AS spent
        FROM incident_alerts m JOIN alerts a ON a.id = m.alert_id ORDER BY m.alert_id, m.outage DESC
    ) last ON last.incident_id = i.id
    WHERE i.detected_at >= to_timestamp(:since) AND {COUNTS} AND {OF_SERVICE}
    GROUP BY i.cause_class ORDER BY spent DESC, i.cause_class
    """
)

PAST_DAYS = 400
PAST_MOST = 200  # of which the most alike are taken
# What ended it: the last change that can have, else the last that a person wrote down before the end.
PAST = text(
    f"""
    SELECT i.id, i.title, i.service, i.severity, extract(epoch FROM i.onset)::float8 AS onset,
        extract(epoch FROM i.over_at)::float8 AS over_at, i.cause_class, i.root_cause,
        coalesce(
            (SELECT c.summary FROM changes c
             WHERE c.at >= i.onset AND c.at <= coalesce(i.over_at, i.resolved_at)
                 AND (c.service = i.service OR c.kind IN ('revision', 'environment')) AND c.kind <> 'policy'
             ORDER BY c.at DESC, c.id DESC LIMIT 1),
            (SELECT e.text FROM incident_entries e
             WHERE e.incident_id = i.id AND e.author <> :own AND e.kind IN ('note', 'task')
                 AND e.at <= coalesce(i.resolved_at, i.over_at)
             ORDER BY e.id DESC LIMIT 1), '') AS ended_by,
        ARRAY(SELECT r ->> 'name' FROM jsonb_array_elements(i.captured -> 'routes') r WHERE (r ->> 'bad')::int > 0)
            AS routes
    FROM incidents i
    WHERE i.state IN ('resolved', 'closed') AND {COUNTS} AND i.id <> :id
        AND i.detected_at >= now() - make_interval(days => :days)
        AND (i.service = :service AND :service <> '' OR i.cause_class = :cause AND :cause <> 'unknown'
             OR EXISTS (SELECT FROM jsonb_array_elements(i.captured -> 'routes') r
                        WHERE r ->> 'name' = ANY(:routes) AND (r ->> 'bad')::int > 0))
    ORDER BY i.detected_at DESC LIMIT :most
    """
)


async def past(connection: AsyncConnection, incident: Incident) -> list[PastIncident]:
    """Those that are over and share something with an incident, newest first."""
    values = {
        "id": incident.id,
        "service": incident.service,
        "cause": incident.cause_class,
        "routes": failing_routes(incident),
        "own": OWN,
        "days": PAST_DAYS,
        "most": PAST_MOST,
    }
    return [msgspec.convert(row, PastIncident, from_attributes=True) for row in await connection.execute(PAST, values)]


async def measured(connection: AsyncConnection, since: float, service: str | None = None) -> list[MeasuredIncident]:
    """Those detected since then, Unix seconds, that count; of one service, or of all."""
    statement = f"""
        SELECT {MEASURED.of("i")} FROM incidents i
        WHERE i.detected_at >= to_timestamp(:since) AND {COUNTS} AND {OF_SERVICE} ORDER BY i.detected_at
        """
    return MEASURED.every(await connection.execute(text(statement), {"since": since, "service": service}))


async def causes(connection: AsyncConnection, now: float, service: str | None = None) -> list[CauseSpent]:
    """What each cause class has spent in the 90 days before `now`, the most first."""
    rows = await connection.execute(CAUSES, {"since": now - QUARTER_S, "service": service})
    return [CauseSpent(row.cause_class, row.incidents, row.spent) for row in rows]


async def actions(
    connection: AsyncConnection, *, open_only: bool, service: str | None = None, most: int
) -> list[BacklogAction]:
    """Preventive actions with what they are of, at most `most`, those that are open and due first before the others."""
    statement = f"""
        SELECT {ACTIONS.of("p")}, i.title AS incident_title, i.service, i.severity, i.cause_class
        FROM preventive_actions p JOIN incidents i ON i.id = p.incident_id
        WHERE (NOT :open_only OR p.done_at IS NULL) AND NOT i.drill AND {OF_SERVICE}
        ORDER BY p.done_at IS NOT NULL, p.done_at DESC, p.due_at, p.id LIMIT :most
        """
    values = {"open_only": open_only, "service": service, "most": most}
    return [
        BacklogAction(ACTIONS.read(row), row.incident_title, row.service, row.severity, row.cause_class)
        for row in await connection.execute(text(statement), values)
    ]


async def open_now(connection: AsyncConnection) -> dict[int, int]:
    """How many incidents are open, by severity."""
    statement = f"SELECT severity, count(*) FROM incidents WHERE {OPEN} AND NOT drill GROUP BY severity"
    rows = await connection.execute(text(statement))
    return {row[0]: row[1] for row in rows}


async def actions_now(connection: AsyncConnection) -> dict[tuple[int, bool], int]:
    """How many preventive actions are open, by priority and whether they are overdue."""
    statement = """
        SELECT p.priority, p.due_at < now(), count(*) FROM preventive_actions p
        JOIN incidents i ON i.id = p.incident_id WHERE p.done_at IS NULL AND NOT i.drill GROUP BY 1, 2
        """
    return {(row[0], row[1]): row[2] for row in await connection.execute(text(statement))}
