"""SQL: what each deploy cost, from the ledger's minutes, or its hours where those are gone."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.gate.ship import DeployHours
from server.kernel.times import utc
from server.slo.ledger.ledger_store import MINUTES_KEPT_DAYS

DEPLOYS_MAX = 2000  # the newest

# A minute belongs to the hour after a deploy when it is the deploy's own or a later one. What exclusions take out of
# the ledger is not a deploy's doing.
COSTS = text(
    """
    WITH deploys AS (
        SELECT version, at, at < :minutes_since AS by_hours,
               date_trunc(CASE WHEN at < :minutes_since THEN 'hour' ELSE 'minute' END, at, 'UTC') AS cut
        FROM changes WHERE kind = 'deploy' AND service = :service AND at >= :since
        ORDER BY at DESC LIMIT :most
    )
    SELECT asked.id AS objective_id, version, extract(epoch FROM at)::double precision AS at, by_hours,
           coalesce(CASE WHEN by_hours THEN hours.before ELSE minutes.before END, 0) AS before,
           coalesce(CASE WHEN by_hours THEN hours.after ELSE minutes.after END, 0) AS after
    FROM deploys CROSS JOIN unnest(CAST(:ids AS integer[])) AS asked (id)
    LEFT JOIN LATERAL (
        SELECT sum(m.bad - coalesce(out.bad, 0)) FILTER (WHERE m.minute < cut)::bigint AS before,
               sum(m.bad - coalesce(out.bad, 0)) FILTER (WHERE m.minute >= cut)::bigint AS after
        FROM ledger_minutes m
        LEFT JOIN ledger_left_out AS out ON out.objective_id = m.objective_id AND out.minute = m.minute
        WHERE NOT by_hours AND m.objective_id = asked.id
          AND m.minute >= cut - interval '1 hour' AND m.minute < cut + interval '1 hour'
    ) AS minutes ON true
    LEFT JOIN LATERAL (
        SELECT max(h.bad - coalesce(out.bad, 0)) FILTER (WHERE h.hour < cut) AS before,
               max(h.bad - coalesce(out.bad, 0)) FILTER (WHERE h.hour >= cut) AS after
        FROM ledger_hours h
        LEFT JOIN LATERAL (
            SELECT sum(o.bad)::bigint AS bad FROM ledger_left_out o
            WHERE o.objective_id = h.objective_id AND o.minute >= h.hour AND o.minute < h.hour + interval '1 hour'
        ) AS out ON true
        WHERE by_hours AND h.objective_id = asked.id
          AND h.hour >= cut - interval '1 hour' AND h.hour <= cut + interval '1 hour'
    ) AS hours ON true
    ORDER BY at DESC
    """
)


async def deploy_costs(
    connection: AsyncConnection, service: str, ids: Sequence[int], since: float, now: float
) -> dict[int, list[DeployHours]]:
    """Every deploy of a service since a time (Unix seconds), by ledger, the newest first."""
    values = {
        "service": service,
        "ids": list(ids),
        "since": utc(since),
        "minutes_since": utc(now - MINUTES_KEPT_DAYS * 86_400 + 3600),
        "most": DEPLOYS_MAX,
    }
    found: dict[int, list[DeployHours]] = {ledger: [] for ledger in ids}
    for row in await connection.execute(COSTS, values):
        found[row.objective_id].append(DeployHours(row.version, row.at, row.before, row.after, row.by_hours))
    return found
