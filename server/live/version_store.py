"""SQL of versions: what each version of a service counted by route, before and since its newest one was first seen."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.names import OTHER
from server.kernel.times import utc
from server.live.service import VersionCount

NEW_S = 6 * 3600  # a version is compared for so long
BEFORE_S = 3600  # with so much of what was before it
SLOT_S = 600

# The newest version of each service that has one of the last hours, and every version of that service by route and
# slot of ten minutes, counted from the minute in which the newest was first seen: slots before it are below 0.
COUNTS = text(
    """
    WITH newest AS (
        SELECT DISTINCT ON (service) service, version, first_seen_at AS first,
               date_trunc('minute', first_seen_at, 'UTC') AS cut
        FROM (
            SELECT service, version, min(first_seen_at) AS first_seen_at FROM series
            WHERE version NOT IN ('', :other) AND service <> :other GROUP BY service, version
        ) AS versions
        WHERE first_seen_at > :since AND EXISTS (
            SELECT FROM series AS others
            WHERE others.service = versions.service AND others.version NOT IN (versions.version, :other)
        )
        ORDER BY service, first_seen_at DESC, version
    )
    SELECT newest.service, newest.version AS newest, extract(epoch FROM newest.first)::float8 AS first,
           series.version, series.method || ' ' || series.route AS route,
           floor(extract(epoch FROM minutes.minute - newest.cut) / :slot)::int AS slot,
           sum(minutes.n)::bigint AS n, sum(minutes.bad)::bigint AS bad,
           extract(epoch FROM max(minutes.minute))::bigint AS last,
           extract(epoch FROM min(minutes.minute))::bigint AS began
    FROM newest JOIN series ON series.service = newest.service AND series.version <> :other
    JOIN minutes ON minutes.series_id = series.id
        AND minutes.minute >= newest.cut - make_interval(secs => :before)
    GROUP BY 1, 2, 3, 4, 5, 6
    """
)


async def version_counts(connection: AsyncConnection, now: float) -> list[VersionCount]:
    """Of every service whose newest version is one of the last hours."""
    values = {"other": OTHER, "since": utc(now - NEW_S), "slot": SLOT_S, "before": BEFORE_S}
    return [VersionCount(*row) for row in await connection.execute(COUNTS, values)]
