"""SQL of the gauges: what every process says of itself, and what the checks found."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import func, literal_column, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from server.config import store as config_store
from server.incidents import measures_store
from server.incidents.measures import QUARTER_S, Measures, of_quarter
from server.kernel import shared_clock
from server.kernel.db import Database
from server.kernel.names import is_drill
from server.kernel.settings import Environment
from server.live import service_totals_store
from server.live.service_totals_store import ServiceTotal
from server.notify.outbox_store import undelivered_age_s
from server.process.process_store import REVISION_IN_FORCE
from server.selfcheck import forecast_store
from server.selfcheck import store as check_store
from server.selfcheck.forecast import Forecast
from server.signals import store as signals_store
from server.slo.ledger import ledger_store
from server.slo.model.counts import Counts
from server.tables.config import revisions
from server.tables.processes import lease, processes

HEARD_OF = text("interval '1 minute'")  # a process silent for longer is no longer shown


class ProcessGauges(msgspec.Struct):
    """One process as its heartbeat shows it."""

    host: str
    name: str
    queue_items: int
    queue_bytes: int
    flush_items: int
    loop_lag_ms: float
    rss_bytes: int
    heartbeat_age_s: float
    revision: int | None


class DeploymentGauges(msgspec.Struct):
    """What a scrape shows of the whole deployment."""

    processes: list[ProcessGauges]
    revision: int | None
    staged: bool
    lease_age_s: float | None
    checks: Sequence[tuple[str, str, float]]  # name, status, Unix time
    events: dict[int, Counts]  # good and bad by objective id
    undelivered_age_s: float  # of notifications
    incidents: IncidentGauges
    storage: Forecast
    services: list[ServiceTotal]
    signals: dict[bool, int]  # whose end is not known, by whether they are in an incident


class IncidentGauges(msgspec.Struct):
    """What a scrape shows of incidents."""

    open: dict[int, int]  # by severity
    actions: dict[tuple[int, bool], int]  # by priority, and whether they are overdue
    quarter: list[Measures]


async def read(connection: AsyncConnection, db: Database, env: Environment) -> DeploymentGauges:
    """All of it, in the caller's snapshot."""
    revision = await connection.execute(select(func.max(revisions.c.number)))
    age = func.extract("epoch", func.clock_timestamp() - lease.c.renewed_at)
    lease_age = (await connection.execute(select(age).where(lease.c.name == "watch"))).scalar_one_or_none()
    checks = [(check.name, check.status, check.at.timestamp()) for check in await check_store.latest(connection)]
    lease_age_s = None if lease_age is None else float(lease_age)
    rows = await process_rows(connection)
    events = await ledger_store.events(connection)
    staged = await config_store.live_staged(connection) is not None
    undelivered_s = await undelivered_age_s(connection)
    incidents = await incident_gauges(connection)
    storage = await forecast_store.forecast(connection, db, env, shared_clock.now())
    services = [one for one in await service_totals_store.totals(connection) if not is_drill(one.service)]
    return DeploymentGauges(
        rows,
        revision.scalar_one(),
        staged,
        lease_age_s,
        checks,
        events,
        undelivered_s,
        incidents,
        storage,
        services,
        await signals_store.firing_now(connection),
    )


async def incident_gauges(connection: AsyncConnection) -> IncidentGauges:
    """How many incidents and preventive actions are open, and what the last quarter came to."""
    now = shared_clock.now()
    measured = await measures_store.measured(connection, now - QUARTER_S)
    return IncidentGauges(
        await measures_store.open_now(connection),
        await measures_store.actions_now(connection),
        of_quarter(measured, now),
    )


async def process_rows(connection: AsyncConnection) -> list[ProcessGauges]:
    """The processes that are running; of those with the same name, the newest."""
    query = (
        select(
            processes.c.host,
            processes.c.name,
            processes.c.queue_items,
            processes.c.queue_bytes,
            processes.c.flush_items,
            processes.c.loop_lag_ms,
            processes.c.rss_bytes,
            func.extract("epoch", func.clock_timestamp() - processes.c.heartbeat_at),
            literal_column(REVISION_IN_FORCE),
        )
        .ext(distinct_on(processes.c.host, processes.c.name))
        .where(processes.c.stopped_at.is_(None), processes.c.heartbeat_at > func.now() - HEARD_OF)
        .order_by(processes.c.host, processes.c.name, processes.c.id.desc())
    )
    found = await connection.execute(query)
    return [
        ProcessGauges(host, name, items, size, flush, lag_ms, rss, max(0.0, float(age_s)), revision)
        for host, name, items, size, flush, lag_ms, rss, age_s, revision in found
    ]
