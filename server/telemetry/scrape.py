"""One scrape: this machine's counters, added up over its processes, and the gauges of the whole deployment."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as MetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics.exposition import generate_latest as generate_open_metrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString
from sqlalchemy.exc import SQLAlchemyError

from server import __version__
from server.ingest.spool.spool_place import SpoolWaiting
from server.kernel import shared_clock
from server.kernel.names import HOST, is_drill
from server.kernel.text import first_line
from server.live.service_totals_store import BOUNDS_S, ServiceTotal
from server.picture.picture import Picture
from server.process.degraded import degraded
from server.selfcheck.degrade import MODES, Degraded
from server.selfcheck.findings import CheckStatus
from server.selfcheck.forecast import Forecast
from server.slo.model.counts import NOTHING, Counts
from server.slo.model.objective import Objective
from server.slo.model.status import ObjectiveStatus
from server.slo.model.tiers import Urgency, span
from server.telemetry import metrics, metrics_store
from server.telemetry.exemplars import Place
from server.telemetry.metrics import Metric
from server.telemetry.metrics_store import DeploymentGauges, IncidentGauges, ProcessGauges

if TYPE_CHECKING:
    from server.parts import Parts

log = logging.getLogger("evenkeel.metrics")

LIMIT_S = 3.0  # for the database; a scraper gives up after 10 s
STATUSES: tuple[str, ...] = get_args(CheckStatus)
STALE_S = 60.0  # an older picture says nothing of the budgets of now

UNITS = ("seconds", "bytes", "ratio")  # that end a name: OpenMetrics names them apart

BOUNDS = tuple(map(floatToGoString, (*BOUNDS_S, float("inf"))))

Value = tuple[tuple[str, ...], float]


class Families(Collector):
    """Families made beforehand."""

    def __init__(self, made: Sequence[MetricFamily]) -> None:
        self.made = made

    def collect(self) -> Iterable[MetricFamily]:
        return self.made


class Shown(Collector):
    """What OpenMetrics shows beyond the plain text: the unit of a name, and exemplars."""

    def __init__(self, inner: Collector) -> None:
        self.inner = inner

    def collect(self) -> Iterator[MetricFamily]:
        newest = metrics.exemplars.newest()
        for found in self.inner.collect():
            found.unit = next((unit for unit in UNITS if found.name.endswith(f"_{unit}")), "")
            if found.name == metrics.HTTP_SECONDS.name:
                found.samples = [sample._replace(exemplar=newest.get(place_of(sample))) for sample in found.samples]
            yield found


def place_of(sample: Sample) -> Place:
    """Of a bucket, what its exemplar is kept under."""
    return sample.labels["handler"], sample.labels["status"], sample.labels.get("le", "")


async def scrape(parts: Parts, *, open_metrics: bool = False) -> bytes:
    """What /metrics answers. Without the database the gauges that come from it are left out."""
    gauges = await read_gauges(parts)
    now = shared_clock.now()
    made = list(families(gauges, parts.relay.picture, parts.relay.age_s(now), parts.policies.objectives))
    made.append(modes(degraded(parts, now)))
    if not parts.intake.no_spool:
        made += spool(parts.intake.waiting(), now)
    return await asyncio.to_thread(
        render, made, open_metrics=open_metrics
    )  # reading the files of all processes would hold up the loop


async def read_gauges(parts: Parts) -> DeploymentGauges | None:
    try:
        async with asyncio.timeout(LIMIT_S), parts.db.ask() as connection:
            return await metrics_store.read(connection, parts.db, parts.env)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        log.warning("gauges not read: %s", first_line(error))
        return None


def render(made: Sequence[MetricFamily], *, open_metrics: bool = False) -> bytes:
    """Counters and gauges as Prometheus text, version 0.0.4, or as OpenMetrics."""
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(metrics.registry)
    registry.register(Families(made))
    if open_metrics:
        text: bytes = generate_open_metrics(Shown(registry))  # type: ignore[no-untyped-call]
        return text
    return generate_latest(registry)


def families(
    gauges: DeploymentGauges | None,
    picture: Picture | None,
    picture_age_s: float | None,
    objectives: Sequence[Objective],
) -> Iterator[MetricFamily]:
    """Every gauge that has a value; without the database (`gauges` None) those that this process knows."""
    yield family(metrics.BUILD_INFO, [((HOST, __version__), 1)])
    yield family(metrics.DATABASE_UP, [((HOST,), 0 if gauges is None else 1)])
    if picture is not None and picture_age_s is not None:
        yield family(metrics.PICTURE_AGE, [((HOST,), picture_age_s)])
        if picture_age_s < STALE_S:
            standing = [one for one in picture.slo.objectives if not one.drill] if picture.slo else []
            yield family(metrics.BUDGET_LEFT, budgets(standing))
            yield family(metrics.ALERTS_OPEN, alerts(picture))
            yield family(metrics.BURN_RATE, burns(standing))
    if gauges is not None:
        yield from of_database(gauges)
        yield from of_services(gauges.services)
        yield family(metrics.SLO_EVENTS, events([one for one in objectives if not one.drill], gauges.events))


def modes(seen: Sequence[Degraded]) -> MetricFamily:
    """Every degrade mode, 0 too; it is known without the database."""
    names = {one.mode.name for one in seen}
    return family(metrics.DEGRADED, [((HOST, mode.name), float(mode.name in names)) for mode in MODES])


def spool(waiting: SpoolWaiting, now: float) -> Iterator[MetricFamily]:
    """What waits on this machine; it is known without the database."""
    yield family(metrics.SPOOL_ITEMS, [((HOST,), waiting.items)])
    yield family(metrics.SPOOL_BYTES, [((HOST,), waiting.bytes)])
    age_s = max(0.0, now - waiting.since) if waiting.since is not None else 0.0
    yield family(metrics.SPOOL_AGE, [((HOST,), age_s)])


def of_database(gauges: DeploymentGauges) -> Iterator[MetricFamily]:
    if gauges.lease_age_s is not None:
        yield family(metrics.WATCH_AGE, [((), max(0.0, gauges.lease_age_s))])
    if gauges.revision is not None:
        yield family(metrics.REVISION, [((), gauges.revision)])
        yield family(metrics.STAGED, [((), float(gauges.staged))])
    rows = gauges.processes
    yield family(metrics.QUEUE_ITEMS, [(place(row), row.queue_items) for row in rows])
    yield family(metrics.QUEUE_BYTES, [(place(row), row.queue_bytes) for row in rows])
    yield family(metrics.FLUSH_ITEMS, [(place(row), row.flush_items) for row in rows if row.flush_items])
    yield family(metrics.LOOP_LAG, [(place(row), row.loop_lag_ms / 1000) for row in rows])
    yield family(metrics.MEMORY, [(place(row), row.rss_bytes) for row in rows])
    yield family(metrics.HEARTBEAT_AGE, [(place(row), row.heartbeat_age_s) for row in rows])
    applied = [(place(row), row.revision) for row in rows if row.revision is not None]
    yield family(metrics.APPLIED_REVISION, applied)
    yield from of_incidents(gauges.incidents)
    firing = [((str(joined).lower(),), gauges.signals.get(joined, 0)) for joined in (False, True)]
    yield family(metrics.SIGNALS_FIRING, firing)
    yield family(metrics.NOTIFICATION_AGE, [((), gauges.undelivered_age_s)])
    yield from of_storage(gauges.storage)
    yield family(metrics.CHECK_STATUS, [((n, s), float(s == seen)) for n, seen, _ in gauges.checks for s in STATUSES])
    yield family(metrics.CHECK_RUN, [((name,), at) for name, _, at in gauges.checks])


def of_services(found: Sequence[ServiceTotal]) -> Iterator[MetricFamily]:
    """What each service has sent. As many services as SERVICES_MAX lets be."""
    counted = [((one.service, what), n) for one in found for what, n in (("good", one.n - one.bad), ("bad", one.bad))]
    yield family(metrics.SERVICE_REQUESTS, counted)
    metric = metrics.SERVICE_SECONDS
    made = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for one in found:
        made.add_metric([one.service], list(zip(BOUNDS, map(float, one.upto), strict=True)), one.duration_us / 1e6)
    yield made


def of_storage(found: Forecast) -> Iterator[MetricFamily]:
    stored = [*found.stored, found.apart] if found.apart else found.stored
    yield family(metrics.STORED_BYTES, [((one.what,), one.bytes) for one in stored])
    yield family(metrics.STORED_RATE, [((one.what,), one.bytes_a_day) for one in stored])
    if found.full_in_days is not None:
        yield family(metrics.FULL_IN, [((), found.full_in_days * 86_400)])


def of_incidents(found: IncidentGauges) -> Iterator[MetricFamily]:
    """Their numbers, 0 too; a median only where there is one."""
    yield family(metrics.INCIDENTS_OPEN, [((str(n),), found.open.get(n, 0)) for n in (1, 2, 3)])
    pairs = [(priority, late) for priority in range(4) for late in (False, True)]
    actions = [((str(p), str(late).lower()), found.actions.get((p, late), 0)) for p, late in pairs]
    yield family(metrics.ACTIONS_OPEN, actions)
    medians = [
        ((name, str(row.severity)), one.median_s)
        for row in found.quarter
        for name, one in row.times
        if one.median_s is not None
    ]
    yield family(metrics.INCIDENT_TIME, medians)


def place(row: ProcessGauges) -> tuple[str, str]:
    return row.host, row.name


def budgets(objectives: Iterable[ObjectiveStatus]) -> list[Value]:
    """What is left of each objective's budget; none for an objective without traffic."""
    return [((o.name, o.service), o.budget_left) for o in objectives if o.budget_left is not None]


def burns(objectives: Iterable[ObjectiveStatus]) -> list[Value]:
    """The burn rate of each objective over each window that decides; none for a window without traffic."""
    return [
        ((o.name, o.service, span(each.window_s)), each.burn)
        for o in objectives
        for each in o.windows
        if each.burn is not None
    ]


def alerts(picture: Picture) -> list[Value]:
    """How many fire or are resolving; 0 too, so that its absence says something."""
    counted = Counter(
        (a.severity, a.urgency)
        for a in picture.alerts
        if a.state in ("firing", "resolving") and not is_drill(a.service)
    )
    return [((str(s), urgency), counted[s, urgency]) for s in (1, 2, 3) for urgency in get_args(Urgency)]


def events(objectives: Iterable[Objective], counted: Mapping[int, Counts]) -> list[Value]:
    """What each objective has counted; 0 before its first outcome, so that its first failure is an increase."""
    return [
        ((o.name, o.service, o.kind, outcome), value)
        for o in objectives
        for outcome, value in zip(("good", "bad"), counted.get(o.id, NOTHING)[:2], strict=True)
    ]


def family(metric: Metric, values: Iterable[Value]) -> MetricFamily:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    made: CounterMetricFamily | GaugeMetricFamily = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in values:
        made.add_metric(labels, value)
    return made
