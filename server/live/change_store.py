"""SQL of changes: what a service counted by route before and since each of its changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.names import OTHER
from server.live.service import VersionCount
from server.live.version_store import BEFORE_S, NEW_S, SLOT_S

SINCE_S = 3600  # of what is no version, so much is compared with the hour before
# What may alter what fails; each ends the time of the one before. A staged revision is in force in some processes only.
ENDING = ("deploy", "revision", "scale", "flag")
# What is compared with what was before it: beside those what happens to Evenkeel itself, and often within a deploy.
COMPARED = (*ENDING, "other", "environment", "migration", "restart")


class ChangeCount(NamedTuple):
    """What a version counted on one route in one slot from the change on; slots before it are below 0. `stop` is where
    its time ends, Unix seconds."""

    change: int
    kind: str
    stop: float
    counted: VersionCount


# The minute of the change itself is of both; a version says by itself what it counted. A deploy is compared with what
# had come before it, by its first outcome or its own deploy: of what came later nothing counts, nor of what comes back
# with the next deploy in the minute in which it does.
COUNTS = text(
    """
    WITH asked AS (
        SELECT c.id, c.kind, c.service, c.version, c.at, extract(epoch FROM c.at)::float8 AS first,
            date_trunc('minute', c.at, 'UTC') AS cut,
            CASE WHEN c.kind = 'deploy' THEN c.at - make_interval(secs => :before)
                ELSE greatest(c.at - make_interval(secs => :before), (
                    SELECT max(o.at) FROM changes o WHERE o.service = c.service AND o.kind = ANY(:kinds) AND o.at < c.at
                )) END AS start,
            least(to_timestamp(:now),
                c.at + make_interval(secs => CASE WHEN c.kind = 'deploy' THEN :new ELSE :since END), (
                    SELECT min(o.at) FROM changes o WHERE o.service = c.service AND o.kind = ANY(:kinds) AND o.at > c.at
                )) AS stop, (
                    SELECT o.version FROM changes o WHERE o.service = c.service AND o.kind = 'deploy' AND o.at > c.at
                    ORDER BY o.at LIMIT 1
                ) AS next
        FROM changes c
        WHERE c.id = ANY(:ids) AND c.kind = ANY(:compared) AND coalesce(c.detail ->> 'where', '') = ''
    ), came AS (
        SELECT service, version, min(at) AS at FROM (
            SELECT service, version, first_seen_at AS at FROM series
            UNION ALL SELECT service, version, at FROM changes WHERE kind = 'deploy'
        ) AS seen WHERE service IN (SELECT service FROM asked WHERE kind = 'deploy') GROUP BY 1, 2
    )
    SELECT asked.id, asked.kind, extract(epoch FROM asked.stop)::float8 AS stop,
        asked.service, asked.version AS newest, asked.first,
        series.version, series.method || ' ' || series.route AS route,
        floor(extract(epoch FROM minutes.minute - asked.cut) / :slot)::int AS slot,
        sum(minutes.n)::bigint AS n, sum(minutes.bad)::bigint AS bad,
        extract(epoch FROM max(minutes.minute))::bigint, extract(epoch FROM min(minutes.minute))::bigint
    FROM asked JOIN series ON series.service = asked.service AND :other NOT IN (series.version, series.route)
    JOIN minutes ON minutes.series_id = series.id
        AND minutes.minute >= asked.start AND minutes.minute < asked.stop
        AND (asked.kind = 'deploy' OR minutes.minute <> asked.cut)
    LEFT JOIN came ON came.service = series.service AND came.version = series.version
    WHERE asked.kind <> 'deploy' OR series.version = asked.version OR (
        came.at < asked.at
        AND (series.version IS DISTINCT FROM asked.next OR minutes.minute + interval '1 minute' <= asked.stop)
    )
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
    """
)


async def change_counts(connection: AsyncConnection, changes: Sequence[int], now: float) -> list[ChangeCount]:
    """Of each of these changes that can be compared, by its id."""
    values = {
        "ids": list(changes),
        "kinds": list(ENDING),
        "compared": list(COMPARED),
        "now": now,
        "before": BEFORE_S,
        "since": SINCE_S,
        "new": NEW_S,
        "slot": SLOT_S,
        "other": OTHER,
    }
    rows = await connection.execute(COUNTS, values)
    return [ChangeCount(row[0], row[1], row[2], VersionCount(*row[3:])) for row in rows]
