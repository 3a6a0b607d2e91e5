"""SQL of deploy targets, and of what is known of a service's deploys."""

from __future__ import annotations

from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from server.changes.target import DeployTarget
from server.kernel.names import DRILL
from server.tables.codec import Rows
from server.tables.deploys import deploy_targets

TARGETS = Rows(deploy_targets, DeployTarget)


async def every(connection: AsyncConnection) -> list[DeployTarget]:
    """All of them, by service."""
    return TARGETS.every(await connection.execute(TARGETS.select().order_by(deploy_targets.c.service)))


async def of_service(connection: AsyncConnection, service: str) -> DeployTarget | None:
    """The one of a service."""
    found = TARGETS.select().where(deploy_targets.c.service == service)
    return TARGETS.one(await connection.execute(found))


async def put(
    connection: AsyncConnection, service: str, *, kind: str, address: str, secret: str, by: str
) -> DeployTarget:
    """Add one, or put another in the place of the service's; `secret` is sealed."""
    values = {"kind": kind, "address": address, "secret": secret, "created_by": by}
    statement = insert(deploy_targets).values(service=service, **values)
    statement = statement.on_conflict_do_update(index_elements=["service"], set_=values)
    return TARGETS.read((await connection.execute(statement.returning(*TARGETS.selected))).one())


async def remove(connection: AsyncConnection, service: str) -> bool:
    """Forget one; whether there was one."""
    gone = delete(deploy_targets).where(deploy_targets.c.service == service).returning(deploy_targets.c.id)
    return (await connection.execute(gone)).one_or_none() is not None


# The deploy that runs is the last that has not failed; the one before it brought another version, and was not rolled
# back while that one ran.
RUNNING = text(
    """
    SELECT running.version, running.migration, coalesce(
        (SELECT c.version FROM changes c
         WHERE c.kind = 'deploy' AND c.service = running.service AND c.version <> running.version
            AND c.state <> 'failed' AND (c.at, c.id) < (running.at, running.id)
            AND NOT EXISTS (SELECT FROM changes b WHERE b.kind = 'deploy' AND b.service = c.service
                AND b.detail ->> 'rolls_back' = c.version AND b.state <> 'failed' AND (b.at, b.id) > (c.at, c.id))
         ORDER BY c.at DESC, c.id DESC LIMIT 1),
        (SELECT s.version FROM series s
         WHERE s.service = running.service AND s.version NOT IN ('', '(other)', running.version)
            AND s.first_seen_at < running.at
            AND NOT EXISTS (SELECT FROM changes b WHERE b.kind = 'deploy' AND b.service = s.service
                AND b.detail ->> 'rolls_back' = s.version AND b.state <> 'failed')
         ORDER BY s.first_seen_at DESC, s.id DESC LIMIT 1), '') AS before
    FROM (SELECT * FROM changes WHERE kind = 'deploy' AND service = :service AND state <> 'failed'
          ORDER BY at DESC, id DESC LIMIT 1) AS running
    """
)


async def running(connection: AsyncConnection, service: str) -> tuple[str, str, str]:
    """The version that a service was deployed last, its migration, and the version before; empty where not known."""
    row = (await connection.execute(RUNNING, {"service": service})).one_or_none()
    return (row.version, row.migration, row.before) if row else ("", "unknown", "")


async def without_target(connection: AsyncConnection) -> list[str]:
    """Services that were deployed within 30 days and have no target."""
    rows = await connection.execute(
        text(
            """
            SELECT DISTINCT service FROM changes WHERE kind = 'deploy' AND at > now() - interval '30 days'
                AND service <> 'evenkeel' AND NOT starts_with(service, :drill)
                AND service NOT IN (SELECT service FROM deploy_targets) ORDER BY service
            """
        ),
        {"drill": DRILL},
    )
    return [row.service for row in rows]


async def unannounced(connection: AsyncConnection) -> list[str]:
    """Services whose deploys of 30 days were all found by their first outcome: nobody tells of them."""
    rows = await connection.execute(
        text(
            """
            SELECT service FROM changes WHERE kind = 'deploy' AND at > now() - interval '30 days'
                AND service <> 'evenkeel' AND NOT starts_with(service, :drill)
            GROUP BY service HAVING bool_and(author = 'evenkeel') ORDER BY service
            """
        ),
        {"drill": DRILL},
    )
    return [row.service for row in rows]


async def paused_by(connection: AsyncConnection, service: str) -> str:
    """Who has paused the deploys of a service, until somebody resumes them or the incident is closed; empty: nobody."""
    rows = await connection.execute(
        text(
            """
            SELECT d.act, d.asked_by FROM deploy_acts d JOIN incidents i ON i.id = d.incident_id
                JOIN incidents stays ON stays.id = coalesce(i.merged_into, i.id)
            WHERE d.service = :service AND d.act IN ('pause', 'resume') AND stays.state <> 'closed'
            ORDER BY d.id DESC LIMIT 1
            """
        ),
        {"service": service},
    )
    row = rows.one_or_none()
    return str(row.asked_by) if row is not None and row.act == "pause" else ""
