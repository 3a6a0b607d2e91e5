"""The gauges of a scrape, from the database and the picture, as Prometheus families."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import get_args

import msgspec
from prometheus_client.core import GaugeMetricFamily

from server import __version__, metrics
from server.findings import CheckStatus
from server.host import HOST
from server.live.picture import Picture
from server.metrics import Metric
from server.metrics_store import Gauges, ProcessRow
from server.slo.status import Status

STATUSES: tuple[str, ...] = get_args(CheckStatus)
STALE_S = 60.0  # an older picture says nothing of the budgets of now

Value = tuple[tuple[str, ...], float]


def families(
    gauges: Gauges | None, picture: Picture | None, picture_age_s: float | None
) -> Iterator[GaugeMetricFamily]:
    """Every gauge that has a value; without the database (`gauges` None) those that this process knows."""
    yield family(metrics.BUILD_INFO, [((HOST, __version__), 1)])
    yield family(metrics.DATABASE_UP, [((HOST,), 0 if gauges is None else 1)])
    if picture is not None and picture_age_s is not None:
        yield family(metrics.PICTURE_AGE, [((HOST,), picture_age_s)])
        if picture_age_s < STALE_S:
            yield family(metrics.BUDGET_LEFT, budgets(picture))
    if gauges is not None:
        yield from of_database(gauges)


def of_database(gauges: Gauges) -> Iterator[GaugeMetricFamily]:
    if gauges.lease_age_s is not None:
        yield family(metrics.WATCH_AGE, [((), max(0.0, gauges.lease_age_s))])
    if gauges.revision is not None:
        yield family(metrics.REVISION, [((), gauges.revision)])
    rows = gauges.processes
    yield family(metrics.QUEUE_ITEMS, [(place(row), row.queue_items) for row in rows])
    yield family(metrics.QUEUE_BYTES, [(place(row), row.queue_bytes) for row in rows])
    yield family(metrics.LOOP_LAG, [(place(row), row.loop_lag_ms / 1000) for row in rows])
    yield family(metrics.MEMORY, [(place(row), row.rss_bytes) for row in rows])
    yield family(metrics.HEARTBEAT_AGE, [(place(row), row.heartbeat_age_s) for row in rows])
    applied = [(place(row), row.revision) for row in rows if row.revision is not None]
    yield family(metrics.APPLIED_REVISION, applied)
    yield family(metrics.CHECK_STATUS, [((n, s), float(s == seen)) for n, seen, _ in gauges.checks for s in STATUSES])
    yield family(metrics.CHECK_RUN, [((name,), at) for name, _, at in gauges.checks])


def place(row: ProcessRow) -> tuple[str, str]:
    return row.host, row.name


def budgets(picture: Picture) -> list[Value]:
    """What is left of each objective's budget; none for an objective without traffic."""
    status = msgspec.json.decode(picture.slo, type=Status | None)
    found = status.objectives if status is not None else []
    return [((o.name, o.service), o.budget_left) for o in found if o.budget_left is not None]


def family(metric: Metric, values: Iterable[Value]) -> GaugeMetricFamily:
    made = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values:
        made.add_metric(labels, value)
    return made
