"""SQL of an incident's timeline: its own entries, what its alerts say of themselves, and what changed meanwhile."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.incidents.incident import Incident
from server.kernel.names import OWN

LINES_MAX = 5000
NEVER = 32_503_680_000.0  # the year 3000
BEFORE_S = 3600.0  # changes from so long before the onset stand in it

Origin = Literal["incident", "alert", "signal", "change"]


class Line(Struct):
    """One line: where it comes from, with its number there. `at` in Unix seconds; `machine`: no person wrote it.

    `corrected` is the text of an entry before it was put right; the newest text stands.
    """

    origin: Origin
    id: int
    at: float
    kind: str
    text: str
    author: str
    link: str = ""
    service: str = ""
    corrected: list[str] = []

    @property
    def machine(self) -> bool:
        """Whether nobody has written it by hand."""
        return self.origin != "incident" or self.author == OWN


TIMELINE = text(
    """
    WITH corrections AS MATERIALIZED (
        SELECT corrects, array_agg(text ORDER BY id) AS texts FROM incident_entries
        WHERE incident_id = :id AND corrects IS NOT NULL AND at <= to_timestamp(:known_s) GROUP BY corrects
    ), newest AS (
        (SELECT 'incident' AS origin, e.id, e.at, e.kind, e.text, e.author, e.link, '' AS service, c.texts
         FROM incident_entries e LEFT JOIN corrections c ON c.corrects = e.id
         WHERE e.incident_id = :id AND e.corrects IS NULL AND e.at <= to_timestamp(:known_s)
         ORDER BY e.at DESC, e.id DESC LIMIT :most)
        UNION ALL
        (SELECT 'alert', v.id, v.at, v.kind, v.text, v.author, '', a.service, NULL
         FROM alert_events v JOIN alerts a ON a.id = v.alert_id
         WHERE v.alert_id IN (SELECT m.alert_id FROM incident_alerts m WHERE m.incident_id = :id)
             AND v.at >= to_timestamp(:from_s) AND v.at < to_timestamp(:to_s)
         ORDER BY v.at DESC, v.id DESC LIMIT :most)
        UNION ALL
        (SELECT 'signal', s.id, s.over_at, s.state, s.name || CASE s.state WHEN 'ended' THEN ' ended.'
             ELSE ' is absent: nobody says that it ended.' END, '', '', s.service, NULL
         FROM signals s WHERE s.incident_id = :id AND s.over_at <= to_timestamp(:known_s)
         ORDER BY s.over_at DESC, s.id DESC LIMIT :most)
        UNION ALL
        (SELECT 'change', c.id, c.at, c.kind,
             CASE WHEN c.kind = 'deploy' AND position(c.version IN c.summary) = 0
                 THEN 'version ' || c.version || ': ' || c.summary ELSE c.summary END,
             c.author, '', c.service, NULL
         FROM changes c
         WHERE c.at >= to_timestamp(:changes_s) AND c.at < to_timestamp(:to_s)
             AND (c.kind IN ('revision', 'environment', 'policy', 'maintenance') OR c.service = ANY(:services))
         ORDER BY c.at DESC, c.id DESC LIMIT :most)
    )
    SELECT origin, id, extract(epoch FROM at)::float8 AS at, kind, coalesce(texts[cardinality(texts)], text) AS text,
        author, link, service,
        CASE WHEN texts IS NULL THEN '{}' ELSE text || texts[1 : cardinality(texts) - 1] END AS olds
    FROM newest ORDER BY newest.at DESC, origin, id DESC LIMIT :most
    """
)


async def timeline(
    connection: AsyncConnection,
    incident: Incident,
    services: set[str],
    now: float,
    most: int = LINES_MAX,
    *,
    known: float | None = None,
) -> list[Line]:
    """What happened, newest first, at most `most` lines; as it stood at the time `known`, Unix seconds, where given."""
    ends = [at for at in (incident.resolved_at, incident.closed_at) if at is not None]
    begins = min(incident.onset, incident.captured.onset, incident.detected_at)
    rows = await connection.execute(
        TIMELINE,
        {
            "id": incident.id,
            "from_s": begins,
            "changes_s": begins - BEFORE_S,
            "to_s": min(now + 1 if incident.open or not ends else max(ends) + 1, known or NEVER),
            "known_s": known or NEVER,
            "services": sorted(services | {incident.service}),
            "most": most,
        },
    )
    return [
        Line(row.origin, row.id, row.at, row.kind, row.text, row.author, row.link, row.service, list(row.olds))
        for row in rows
    ]
