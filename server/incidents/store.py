"""SQL of incidents: the row that an act holds, what is in its room, and lists.

Whoever changes an incident holds its row until the end of the transaction, so that acts on it come one after the
other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.alerts.alert import Alert
from server.alerts.store import ALERTS, readable
from server.incidents.incident import DeployAct, Incident, Membership, PreventiveAction, Role, Task, TimelineEntry
from server.incidents.room import IncidentRoom
from server.incidents.verification import KeptStep
from server.tables import incidents as tables
from server.tables.codec import Rows
from server.tables.deploys import deploy_acts

T = TypeVar("T", bound=Struct)


class ServiceAlerts(Struct):
    """How many alerts of a service are in an incident."""

    service: str
    open: int
    total: int


INCIDENTS = Rows(tables.incidents, Incident)
MEMBERS = Rows(tables.incident_alerts, Membership)
ENTRIES = Rows(tables.incident_entries, TimelineEntry)
ROLES = Rows(tables.incident_roles, Role)
TASKS = Rows(tables.incident_tasks, Task)
ACTIONS = Rows(tables.preventive_actions, PreventiveAction)
STEPS = Rows(tables.incident_steps, KeptStep)
DEPLOYS = Rows(deploy_acts, DeployAct)

ENDED_MOST = 200  # of the alerts that have ended; what the end of a failure is told by are the last of them

OPEN = "state NOT IN ('resolved', 'closed')"
ANY_OPEN = f"EXISTS (SELECT FROM incidents WHERE {OPEN})"


async def add(connection: AsyncConnection, incident: Incident) -> Incident:
    """Keep a new incident; with its id."""
    statement = text(f"{INCIDENTS.insert()} RETURNING {INCIDENTS.columns}")
    return INCIDENTS.read((await connection.execute(statement, INCIDENTS.given([incident]))).one())


async def one(
    connection: AsyncConnection, incident_id: int, *, hold: bool = False, wait: bool = True
) -> Incident | None:
    """An incident; `hold`: nobody else changes it until this transaction ends. None also where it would have to `wait`
    and may not."""
    held = "" if not hold else " FOR UPDATE" if wait else " FOR UPDATE SKIP LOCKED"
    statement = f"SELECT {INCIDENTS.columns} FROM incidents WHERE id = :id{held}"
    return INCIDENTS.one(await connection.execute(text(statement), {"id": incident_id}))


async def room(connection: AsyncConnection, incident_id: int, *, hold: bool = False) -> IncidentRoom | None:
    """An incident with all that is in it; None: there is none."""
    incident = await one(connection, incident_id, hold=hold)
    if incident is None:
        return None
    return IncidentRoom(
        incident,
        await _memberships(connection, incident_id),
        await _within(connection, ROLES, incident_id, "id"),
        await _within(connection, TASKS, incident_id, "id"),
        await _within(connection, ACTIONS, incident_id, "id"),
        await _within(connection, STEPS, incident_id, "id"),
        await _within(connection, DEPLOYS, incident_id, "id"),
    )


async def _memberships(connection: AsyncConnection, incident_id: int) -> list[Membership]:
    """In one row: there may be 10,000 of them."""
    statement = f"""
        SELECT coalesce(json_agg(m), '[]')::text FROM (
            SELECT {MEMBERS.columns} FROM incident_alerts WHERE incident_id = :id
            ORDER BY incident_alerts.joined_at, alert_id, outage) m
        """
    found = await connection.execute(text(statement), {"id": incident_id})
    return msgspec.json.decode(found.scalar_one(), type=list[Membership])


async def alerts(connection: AsyncConnection, incident_id: int) -> list[Alert]:
    """The alerts of an incident that are open, and the last ENDED_MOST of those that have ended, by id."""
    statement = f"""
        WITH mine AS MATERIALIZED (
            SELECT id, state, resolved_at FROM alerts
            WHERE id IN (SELECT alert_id FROM incident_alerts WHERE incident_id = :id)
        )
        SELECT {ALERTS.columns} FROM alerts
        WHERE id IN (SELECT id FROM mine WHERE state <> 'resolved')
            OR id IN (SELECT id FROM mine WHERE state = 'resolved' ORDER BY resolved_at DESC, id DESC LIMIT :most)
        ORDER BY alerts.id
        """
    return readable(await connection.execute(text(statement), {"id": incident_id, "most": ENDED_MOST}))


async def alert_counts(connection: AsyncConnection, incident_id: int) -> list[ServiceAlerts]:
    """How many alerts of each service are in an incident, those with the most open ones first."""
    rows = await connection.execute(
        text(
            """
            SELECT service, count(*) FILTER (WHERE state <> 'resolved') AS open, count(*) AS total FROM alerts
            WHERE id IN (SELECT alert_id FROM incident_alerts WHERE incident_id = :id)
            GROUP BY service ORDER BY open DESC, total DESC, service
            """
        ),
        {"id": incident_id},
    )
    return [ServiceAlerts(row.service, row.open, row.total) for row in rows]


async def _within(connection: AsyncConnection, rows: Rows[T], incident_id: int, order: str) -> list[T]:
    table = rows.table.name
    statement = f"SELECT {rows.of(table)} FROM {table} WHERE incident_id = :id ORDER BY {_qualified(table, order)}"
    return rows.every(await connection.execute(text(statement), {"id": incident_id}))


def _qualified(table: str, names: str) -> str:
    return ", ".join(f"{table}.{name.strip()}" for name in names.split(","))


async def save(connection: AsyncConnection, before: IncidentRoom, after: IncidentRoom) -> list[TimelineEntry]:
    """Write what an act has changed; the entries that it added, with their ids."""
    if after.incident != before.incident:
        await _write(connection, after.incident)
    await _save(connection, ROLES, before.roles, after.roles)
    await _save(connection, TASKS, before.tasks, after.tasks)
    await _save(connection, ACTIONS, before.actions, after.actions)
    await _save(connection, STEPS, before.steps, after.steps)
    await _save(connection, DEPLOYS, before.deploys, after.deploys)
    return await add_entries(connection, after.entries)


async def _save(connection: AsyncConnection, rows: Rows[T], before: Sequence[T], after: Sequence[T]) -> None:
    known = {each.id: each for each in before}  # type: ignore[attr-defined]
    changed = [each for each in after if each.id and each != known[each.id]]  # type: ignore[attr-defined]
    new = [each for each in after if not each.id]  # type: ignore[attr-defined]
    table = rows.table.name
    if changed:  # before the new ones: who holds a role gives it up first
        statement = f"UPDATE {table} SET {rows.assignments()} FROM {rows.record} WHERE {table}.id = r.id"
        await connection.execute(text(statement), rows.given(changed))
    if new:
        await connection.execute(text(rows.insert()), rows.given(new))


async def add_entries(connection: AsyncConnection, entries: Sequence[TimelineEntry]) -> list[TimelineEntry]:
    """Lines of timelines, with their ids."""
    if not entries:
        return []
    statement = f"{ENTRIES.insert()} RETURNING {ENTRIES.columns}"
    return ENTRIES.every(await connection.execute(text(statement), ENTRIES.given(entries)))


async def said_under(connection: AsyncConnection, incident_id: int, key: str) -> TimelineEntry | None:
    """The entry of this incident that was kept under a key and the digest of what was asked, of 64 characters."""
    statement = f"""
        SELECT {ENTRIES.columns} FROM incident_entries
        WHERE incident_id = :id AND starts_with(key, :key) AND length(key) = length(:key) + 64
        """
    return ENTRIES.one(await connection.execute(text(statement), {"id": incident_id, "key": key}))


async def entries_after(connection: AsyncConnection, incident_id: int, last: int, most: int) -> list[TimelineEntry]:
    """The entries of an incident that came after one, in their order, at most `most`."""
    statement = f"""
        SELECT {ENTRIES.columns} FROM incident_entries
        WHERE incident_id = :id AND incident_entries.id > :last ORDER BY incident_entries.id LIMIT :most
        """
    return ENTRIES.every(await connection.execute(text(statement), {"id": incident_id, "last": last, "most": most}))


async def entry(connection: AsyncConnection, incident_id: int, entry_id: int) -> TimelineEntry | None:
    """One entry of an incident."""
    statement = f"SELECT {ENTRIES.columns} FROM incident_entries WHERE incident_id = :id AND id = :entry"
    return ENTRIES.one(await connection.execute(text(statement), {"id": incident_id, "entry": entry_id}))


async def open_incidents(connection: AsyncConnection) -> list[Incident]:
    """Every incident that somebody has to look at, by id."""
    order = "ORDER BY id"
    rows = await connection.execute(text(f"SELECT {INCIDENTS.columns} FROM incidents WHERE {OPEN} {order}"))
    return INCIDENTS.every(rows)


async def overdue(connection: AsyncConnection, now: float) -> list[int]:
    """The open incidents whose update was due before `now`, Unix seconds."""
    statement = f"SELECT id FROM incidents WHERE {OPEN} AND update_due_at <= to_timestamp(:now) ORDER BY id"
    return [row.id for row in await connection.execute(text(statement), {"now": now})]


async def resolved_since(connection: AsyncConnection, since: float) -> list[Incident]:
    """Those resolved since a time, Unix seconds, and not closed; newest first."""
    rows = await connection.execute(
        text(
            f"""
            SELECT {INCIDENTS.columns} FROM incidents
            WHERE resolved_at >= to_timestamp(:since) AND state = 'resolved'
            ORDER BY incidents.resolved_at DESC
            """
        ),
        {"since": since},
    )
    return INCIDENTS.every(rows)


async def lately_declared(
    connection: AsyncConnection, title: str, service: str, by: str, since: float
) -> Incident | None:
    """What a person has declared in the same words since then, Unix seconds.

    Nobody else declares until this transaction ends, so that a press and its repeat are one.
    """
    await connection.execute(text("LOCK TABLE incidents IN SHARE ROW EXCLUSIVE MODE"))
    rows = await connection.execute(
        text(
            f"""
            SELECT {INCIDENTS.columns} FROM incidents
            WHERE source = 'person' AND title = :title AND service = :service AND declared_at >= to_timestamp(:since)
                AND id IN (SELECT incident_id FROM incident_roles WHERE person = :by)
            ORDER BY id DESC LIMIT 1
            """
        ),
        {"title": title, "service": service, "by": by, "since": since},
    )
    return INCIDENTS.one(rows)


async def listed(
    connection: AsyncConnection, *, open_only: bool, service: str | None, before: int | None, limit: int
) -> list[Incident]:
    """Incidents, newest first. `before` is the id of the last one already seen."""
    rows = await connection.execute(
        text(
            f"""
            SELECT {INCIDENTS.columns} FROM incidents
            WHERE (NOT :open_only OR {OPEN}) AND (CAST(:service AS text) IS NULL OR service = :service)
                AND (CAST(:before AS bigint) IS NULL OR id < :before)
            ORDER BY id DESC LIMIT :limit
            """
        ),
        {"open_only": open_only, "service": service, "before": before, "limit": limit},
    )
    return INCIDENTS.every(rows)


async def members(connection: AsyncConnection, alert_ids: Iterable[int]) -> dict[tuple[int, int], int]:
    """The incident of each outage of these alerts that is in one: by alert and number."""
    rows = await connection.execute(
        text("SELECT alert_id, outage, incident_id FROM incident_alerts WHERE alert_id = ANY(:ids)"),
        {"ids": list(alert_ids)},
    )
    return {(row.alert_id, row.outage): row.incident_id for row in rows}


async def join(connection: AsyncConnection, rows: Sequence[Membership]) -> set[tuple[int, int]]:
    """Put outages into incidents; those that were in none before, by alert and number."""
    if not rows:
        return set()
    statement = f"{MEMBERS.insert()} ON CONFLICT (alert_id, outage) DO NOTHING RETURNING alert_id, outage"
    found = await connection.execute(text(statement), MEMBERS.given(rows))
    return {(row.alert_id, row.outage) for row in found}


async def move_members(connection: AsyncConnection, source: int, target: int, alert_ids: Sequence[int] | None) -> int:
    """Put outages of one incident into another, all or those of some alerts; how many there were."""
    rows = await connection.execute(
        text(
            """
            UPDATE incident_alerts SET incident_id = :target
            WHERE incident_id = :source AND (CAST(:ids AS bigint[]) IS NULL OR alert_id = ANY(:ids)) RETURNING 1 AS one
            """
        ),
        {"source": source, "target": target, "ids": None if alert_ids is None else list(alert_ids)},
    )
    return len(rows.all())


async def move_work(connection: AsyncConnection, source: int, target: int) -> None:
    """Put the open tasks of an incident and its preventive actions into another."""
    moved = {"source": source, "target": target}
    for table, which in (("incident_tasks", " AND done_at IS NULL"), ("preventive_actions", "")):
        statement = f"UPDATE {table} SET incident_id = :target WHERE incident_id = :source{which}"
        await connection.execute(text(statement), moved)


async def services(connection: AsyncConnection, incident_ids: Iterable[int]) -> Mapping[int, set[str]]:
    """The services whose alerts are in each incident."""
    rows = await connection.execute(
        text(
            """
            SELECT DISTINCT m.incident_id, a.service FROM incident_alerts m JOIN alerts a ON a.id = m.alert_id
            WHERE m.incident_id = ANY(:ids)
            """
        ),
        {"ids": list(incident_ids)},
    )
    found: dict[int, set[str]] = {}
    for row in rows:
        found.setdefault(row.incident_id, set()).add(row.service)
    return found


async def by_alert(connection: AsyncConnection, alert_id: int) -> int | None:
    """The incident of an alert's last outage."""
    statement = "SELECT incident_id FROM incident_alerts WHERE alert_id = :id ORDER BY outage DESC LIMIT 1"
    row: Any = (await connection.execute(text(statement), {"id": alert_id})).one_or_none()
    return None if row is None else int(row.incident_id)


async def follow(connection: AsyncConnection, before: Incident, after: Incident) -> bool:
    """Write how the machine sees an incident, unless somebody has changed it meanwhile, or is about to."""
    held = await one(connection, before.id, hold=True, wait=False)
    if held != before:
        return False
    await _write(connection, after)
    return True


async def _write(connection: AsyncConnection, incident: Incident) -> None:
    statement = f"UPDATE incidents SET {INCIDENTS.assignments()}, updated_at = now() FROM {INCIDENTS.record}"
    await connection.execute(text(f"{statement} WHERE incidents.id = r.id"), INCIDENTS.given([incident]))


async def commanders(connection: AsyncConnection, incident_ids: Iterable[int]) -> dict[int, Role]:
    """Who commands each of these incidents."""
    rows = await connection.execute(
        text(
            f"""
            SELECT {ROLES.of("incident_roles")} FROM incident_roles
            WHERE incident_id = ANY(:ids) AND role = 'commander' AND until IS NULL
            """
        ),
        {"ids": list(incident_ids)},
    )
    return {role.incident_id: role for role in ROLES.every(rows)}


async def kept_steps(connection: AsyncConnection, incident_ids: Iterable[int]) -> dict[int, list[KeptStep]]:
    """What is kept of the steps of each of these incidents."""
    statement = f"SELECT {STEPS.of('incident_steps')} FROM incident_steps WHERE incident_id = ANY(:ids)"
    rows = await connection.execute(text(statement), {"ids": list(incident_ids)})
    found: dict[int, list[KeptStep]] = {}
    for step in STEPS.every(rows):
        found.setdefault(step.incident_id, []).append(step)
    return found


async def keep_steps(
    connection: AsyncConnection, incident_id: int, looks: Sequence[tuple[KeptStep | None, KeptStep]]
) -> set[str]:
    """Write what live data says of steps, each as it was read and is now; those written: a person may have been
    faster."""
    if await one(connection, incident_id, hold=True) is None:
        return set()
    before = {each.step: each for each in await _within(connection, STEPS, incident_id, "id")}
    after = [now for read, now in looks if before.get(now.step) == read]
    await _save(connection, STEPS, list(before.values()), after)
    return {now.step for now in after}
