"""SQL of the gate: overrides, what alerts and hours spent of the budgets, and what each deploy cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import bindparam, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from server.gate.answer import Override, Postmortem, SpentHour
from server.gate.ship import DeployHours
from server.kernel.times import utc
from server.slo.ledger.ledger_store import MINUTES_KEPT_DAYS
from server.tables.codec import Rows
from server.tables.slo import gate_overrides

# One at a time: two presses of the same button make one override. No unique index can say that: one that ends later
# may stand beside one in force, and which are in force changes with the time.
LOCK = 0x45564B47

OVERRIDES = Rows(gate_overrides, Override)

# Alerts of some objectives since a time: open ones and those that are over.
SPENT_BY_ALERTS = text(
    """
    SELECT id AS alert, objective, detected_at AS at, (evidence->>'spent')::double precision AS spent
    FROM alerts
    WHERE detected_at >= :since AND objective = ANY(:names) AND (evidence->>'spent')::double precision > :share
    ORDER BY spent DESC LIMIT 20
    """
).bindparams(bindparam("names", type_=ARRAY(Text)))

# The hours that had failures, without what exclusions take out. An hour that the window has begun to leave is left
# out: of its failures some have returned already.
SPENT_HOURS = text(
    """
    SELECT hours.objective_id, extract(epoch FROM hours.hour)::bigint AS at,
           hours.bad - coalesce(out.bad, 0) AS bad
    FROM unnest(CAST(:ids AS integer[]), CAST(:since AS timestamptz[])) AS asked (id, since)
    JOIN ledger_hours AS hours ON hours.objective_id = asked.id AND hours.hour >= asked.since AND hours.bad > 0
    LEFT JOIN LATERAL (
        SELECT sum(ledger_left_out.bad)::bigint AS bad FROM ledger_left_out
        WHERE ledger_left_out.objective_id = hours.objective_id
          AND ledger_left_out.minute >= hours.hour AND ledger_left_out.minute < hours.hour + interval '1 hour'
    ) AS out ON true
    WHERE hours.bad > coalesce(out.bad, 0)
    ORDER BY hours.hour
    """
)

DEPLOYS_MAX = 2000  # the newest

# The hour after a deploy begins with the minute after its own, which may hold what failed before it. What exclusions
# take out of the ledger is not a deploy's doing.
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
               sum(m.bad - coalesce(out.bad, 0)) FILTER (WHERE m.minute > cut)::bigint AS after
        FROM ledger_minutes m
        LEFT JOIN ledger_left_out AS out ON out.objective_id = m.objective_id AND out.minute = m.minute
        WHERE NOT by_hours AND m.objective_id = asked.id
          AND m.minute >= cut - interval '1 hour' AND m.minute <= cut + interval '1 hour'
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


async def lock(connection: AsyncConnection) -> None:
    """Nobody else changes overrides until this transaction ends."""
    await connection.execute(select(func.pg_advisory_xact_lock(LOCK)))


async def active(connection: AsyncConnection, service: str, kind: str | None = None) -> list[Override]:
    """The overrides of a service that are in force, the one that ends last first."""
    found = OVERRIDES.select().where(
        gate_overrides.c.service == service,
        gate_overrides.c.expires_at > func.clock_timestamp(),
        gate_overrides.c.revoked_at.is_(None),
    )
    if kind is not None:
        found = found.where(gate_overrides.c.kind == kind)
    rows = await connection.execute(found.order_by(gate_overrides.c.expires_at.desc(), gate_overrides.c.id))
    return OVERRIDES.every(rows)


async def listed(connection: AsyncConnection, service: str | None, limit: int) -> list[Override]:
    """Overrides, also those that are over, newest first."""
    found = OVERRIDES.select()
    if service is not None:
        found = found.where(gate_overrides.c.service == service)
    rows = await connection.execute(found.order_by(gate_overrides.c.id.desc()).limit(limit))
    return OVERRIDES.every(rows)


async def numbered(connection: AsyncConnection, override_id: int) -> Override | None:
    """One override, locked until this transaction ends."""
    found = OVERRIDES.select().where(gate_overrides.c.id == override_id).with_for_update()
    return OVERRIDES.one(await connection.execute(found))


async def add(
    connection: AsyncConnection, service: str, kind: str, *, reason: str, author: str, minutes: int
) -> Override:
    """A new override, from now by the database's clock."""
    values = {
        "service": service,
        "kind": kind,
        "reason": reason,
        "author": author,
        "created_at": func.clock_timestamp(),
        "expires_at": func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, minutes),
    }
    row = (await connection.execute(insert(gate_overrides).values(values).returning(*OVERRIDES.selected))).one()
    return OVERRIDES.read(row)


async def revoke(connection: AsyncConnection, override_id: int, by: str) -> Override:
    """End an override now."""
    values = {"revoked_at": func.clock_timestamp(), "revoked_by": by}
    mine = update(gate_overrides).where(gate_overrides.c.id == override_id)
    row = (await connection.execute(mine.values(values).returning(*OVERRIDES.selected))).one()
    return OVERRIDES.read(row)


async def now(connection: AsyncConnection) -> datetime:
    """The database's time."""
    found: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return found


async def spent_by_alerts(
    connection: AsyncConnection, names: Sequence[str], since: float, share: float
) -> list[Postmortem]:
    """The alerts that spent more than a share of a budget, the worst first."""
    rows = await connection.execute(SPENT_BY_ALERTS, {"names": list(names), "since": utc(since), "share": share})
    return [msgspec.convert(row, Postmortem, from_attributes=True) for row in rows]


async def spent_hours(connection: AsyncConnection, since: dict[int, float]) -> dict[int, list[SpentHour]]:
    """The hours with failures of each ledger since a time of its own (Unix seconds), the oldest first."""
    found: dict[int, list[SpentHour]] = {ledger: [] for ledger in since}
    values = {"ids": list(since), "since": [utc(at) for at in since.values()]}
    for row in await connection.execute(SPENT_HOURS, values):
        found[row.objective_id].append(SpentHour(row.at, row.bad))
    return found


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
