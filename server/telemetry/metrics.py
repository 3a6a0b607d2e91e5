"""Every metric, and the counting that happens in this process.

Counters and histograms live in the files of PROMETHEUS_MULTIPROC_DIR, which the
supervisor sets before prometheus_client is imported; /metrics adds them up over
this machine's processes and labels them with `host`, because a scrape through a
load balancer reaches one machine. Gauges come from the database at scrape
(server/telemetry/scrape.py). `METRICS` is the whole list: docs/metrics.md is
checked against it.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, values
from prometheus_client.utils import floatToGoString

from server.kernel.names import HOST, process_name
from server.telemetry.exemplars import Exemplars
from server.telemetry.reserved import Reserved

if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    values.MmapedDict = Reserved  # type: ignore[attr-defined,assignment]
    # By name, not by pid: a restarted web.1 goes on counting in the file of the one that died.
    values.ValueClass = values.MultiProcessValue(process_name)  # type: ignore[no-untyped-call]

disable_created_metrics()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as /metrics shows it. Base units: seconds, bytes, ratios from 0 to 1."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    help: str
    labels: tuple[str, ...] = ("host",)


def _metric(name: str, kind: Literal["counter", "histogram", "gauge"], help: str, *labels: str) -> Metric:
    return Metric(name, kind, help, labels)


HTTP_REQUESTS = _metric(
    "evenkeel_http_requests_total", "counter", "HTTP requests answered.", "host", "handler", "method", "status"
)
HTTP_SECONDS = _metric(
    "evenkeel_http_request_duration_seconds",
    "histogram",
    "Time to answer an HTTP request.",
    "host",
    "handler",
    "status",
)
ACCEPTED_REQUESTS = _metric(
    "evenkeel_ingest_accepted_requests_total", "counter", "Ingest requests acknowledged after their commit.", "host"
)
ACCEPTED_ITEMS = _metric("evenkeel_ingest_accepted_items_total", "counter", "Outcomes acknowledged.", "host")
ACCEPTED_BYTES = _metric(
    "evenkeel_ingest_accepted_bytes_total", "counter", "Body bytes of acknowledged ingest requests.", "host"
)
REFUSED_REQUESTS = _metric(
    "evenkeel_ingest_refused_requests_total", "counter", "Ingest requests refused, by error code.", "host", "reason"
)
REFUSED_ITEMS = _metric(
    "evenkeel_ingest_refused_items_total",
    "counter",
    "Outcomes refused, by error code; 1 a request where their number is not known.",
    "host",
    "reason",
)
FLUSH_SECONDS = _metric(
    "evenkeel_ingest_flush_duration_seconds", "histogram", "Time to store one batch, commit included.", "host"
)
INTAKE_LOST = _metric(
    "evenkeel_intake_lost_requests_total",
    "counter",
    "Ingest requests missing from the counts per key and service, which could not be written.",
    "host",
)
SPOOLED_ITEMS = _metric("evenkeel_spool_stored_items_total", "counter", "Outcomes acknowledged to the spool.", "host")
REPLAYED_ITEMS = _metric(
    "evenkeel_spool_replayed_items_total", "counter", "Outcomes of the spool that are in the database now.", "host"
)
SIGNINS = _metric(
    "evenkeel_signins_total", "counter", "Attempts to sign in, by result: ok, wrong, slowed.", "host", "result"
)
NOTIFIED = _metric(
    "evenkeel_notifications_total",
    "counter",
    "Tries to send a notification, by kind of target and result: sent, failed (and tried again), given_up.",
    "host",
    "kind",
    "result",
)
LOG_LINES_DROPPED = _metric(
    "evenkeel_log_lines_dropped_total", "counter", "Own log lines not kept for look-up because too many came.", "host"
)
LINES_TAKEN = _metric("evenkeel_service_lines_total", "counter", "Log lines of services taken in.", "host")
LINES_LEFT = _metric(
    "evenkeel_service_lines_left_total",
    "counter",
    "Log lines of services not kept, by reason: refused, over (the bytes of a day), old.",
    "host",
    "reason",
)

BUILD_INFO = _metric("evenkeel_build_info", "gauge", "1, labelled with the version that runs.", "host", "version")
DATABASE_UP = _metric("evenkeel_database_up", "gauge", "1 while the database answers, else 0.", "host")
DEGRADED = _metric(
    "evenkeel_degraded", "gauge", "1 while this machine sees Evenkeel in the degrade mode, else 0.", "host", "mode"
)
PICTURE_AGE = _metric("evenkeel_picture_age_seconds", "gauge", "Age of the picture that this machine shows.", "host")
WATCH_AGE = _metric("evenkeel_watch_lease_age_seconds", "gauge", "Time since the watch renewed its lease.")
QUEUE_ITEMS = _metric("evenkeel_ingest_queue_items", "gauge", "Outcomes waiting to be stored.", "host", "process")
SPOOL_ITEMS = _metric("evenkeel_spool_items", "gauge", "Outcomes that wait in this machine's spool.", "host")
SPOOL_BYTES = _metric("evenkeel_spool_bytes", "gauge", "Bytes that wait in this machine's spool.", "host")
SPOOL_AGE = _metric(
    "evenkeel_spool_oldest_seconds", "gauge", "Age of what has waited longest in it; 0 where nothing waits.", "host"
)
QUEUE_BYTES = _metric("evenkeel_ingest_queue_bytes", "gauge", "Bytes waiting to be stored.", "host", "process")
FLUSH_ITEMS = _metric(
    "evenkeel_ingest_flush_limit_items",
    "gauge",
    "Outcomes that the next flush may take: fewer while commits take long.",
    "host",
    "process",
)
LOOP_LAG = _metric(
    "evenkeel_event_loop_lag_seconds", "gauge", "Longest delay of the event loop in the last second.", "host", "process"
)
MEMORY = _metric("evenkeel_process_resident_memory_bytes", "gauge", "Resident memory.", "host", "process")
HEARTBEAT_AGE = _metric(
    "evenkeel_process_heartbeat_age_seconds", "gauge", "Time since a process was last heard of.", "host", "process"
)
REVISION = _metric("evenkeel_config_revision", "gauge", "The newest revision of the settings, in force or staged.")
STAGED = _metric("evenkeel_config_staged", "gauge", "1 while the newest revision is staged, running or paused, else 0.")
APPLIED_REVISION = _metric(
    "evenkeel_config_applied_revision", "gauge", "The revision in force in a process.", "host", "process"
)
BUDGET_LEFT = _metric(
    "evenkeel_slo_budget_left_ratio",
    "gauge",
    "Error budget left: 1 untouched, 0 used up, below 0 overspent; absent without traffic.",
    "objective",
    "service",
)
ALERTS_FIRED = _metric(
    "evenkeel_alerts_fired_total", "counter", "Alerts that fired, each time they did.", "host", "severity", "urgency"
)
ALERTS_OPEN = _metric(
    "evenkeel_alerts_open",
    "gauge",
    "Alerts that fire or are resolving, by severity and urgency.",
    "severity",
    "urgency",
)
INCIDENTS_OPEN = _metric("evenkeel_incidents_open", "gauge", "Incidents that are open, by severity.", "severity")
INCIDENT_TIME = _metric(
    "evenkeel_incident_time_median_seconds",
    "gauge",
    "Median time from the onset to detect, acknowledge, mitigate, recover, over the incidents of the last 90 days.",
    "measure",
    "severity",
)
ACTIONS_OPEN = _metric(
    "evenkeel_preventive_actions_open",
    "gauge",
    "Preventive actions that are not done, by priority and whether they are overdue.",
    "priority",
    "overdue",
)
SIGNALS = _metric(
    "evenkeel_signals_total",
    "counter",
    "Signals that were told, by what was told: firing, resolved; left_out: not of the key's services, and not kept.",
    "host",
    "status",
)
SIGNALS_FIRING = _metric(
    "evenkeel_signals_firing",
    "gauge",
    "Signals whose end is not known, by whether they are in an incident.",
    "joined",
)
BURN_RATE = _metric(
    "evenkeel_slo_burn_rate",
    "gauge",
    "How fast the error budget goes: at 1 it lasts exactly its window; absent without traffic.",
    "objective",
    "service",
    "window",
)
SLO_EVENTS = _metric(
    "evenkeel_slo_events_total",
    "counter",
    "Outcomes that an objective has counted as they arrived, good and bad; the same from every machine.",
    "objective",
    "service",
    "kind",
    "outcome",
)
SERVICE_REQUESTS = _metric(
    "evenkeel_service_requests_total",
    "counter",
    "Outcomes of a service as they arrived, good and bad; the same from every machine.",
    "service",
    "outcome",
)
SERVICE_SECONDS = _metric(
    "evenkeel_service_request_duration_seconds",
    "histogram",
    "How long the requests of a service took, as far as it says; the same from every machine.",
    "service",
)
NOTIFICATION_AGE = _metric(
    "evenkeel_notification_oldest_undelivered_seconds",
    "gauge",
    "Age of the oldest notification that has neither arrived nor been given up; 0 where there is none.",
)
STORED_BYTES = _metric("evenkeel_stored_bytes", "gauge", "Bytes in the database, indexes too, by kind.", "kind")
STORED_RATE = _metric(
    "evenkeel_stored_bytes_per_day", "gauge", "Bytes that come a day at the rate of now, by kind.", "kind"
)
FULL_IN = _metric(
    "evenkeel_storage_full_in_seconds",
    "gauge",
    "Until the disk or the plan is full at the rate of now; absent where it is not within 400 days, or not known.",
)
CHECK_STATUS = _metric(
    "evenkeel_check_status", "gauge", "1 for the status that a check's last run had, else 0.", "check", "status"
)
CHECK_RUN = _metric("evenkeel_check_last_run_timestamp_seconds", "gauge", "When a check last ran, Unix time.", "check")

METRICS: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 1.0, 2.5, 10.0)
BOUNDS = tuple(map(floatToGoString, (*BUCKETS, float("inf"))))  # as they are shown
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

registry = CollectorRegistry()  # ours alone: the default one carries numbers of one process


def _counter(metric: Metric) -> Counter:
    return Counter(metric.name, metric.help, metric.labels, registry=registry)


def _histogram(metric: Metric) -> Histogram:
    return Histogram(metric.name, metric.help, metric.labels, buckets=BUCKETS, registry=registry)


exemplars = Exemplars()  # of HTTP_SECONDS

_http_requests = _counter(HTTP_REQUESTS)
_http_seconds = _histogram(HTTP_SECONDS)
_accepted_requests = _counter(ACCEPTED_REQUESTS).labels(HOST)
_accepted_items = _counter(ACCEPTED_ITEMS).labels(HOST)
_accepted_bytes = _counter(ACCEPTED_BYTES).labels(HOST)
_refused_requests = _counter(REFUSED_REQUESTS)
_refused_items = _counter(REFUSED_ITEMS)
_flush_seconds = _histogram(FLUSH_SECONDS).labels(HOST)
_intake_lost = _counter(INTAKE_LOST).labels(HOST)
_spooled = _counter(SPOOLED_ITEMS).labels(HOST)
_replayed = _counter(REPLAYED_ITEMS).labels(HOST)
_signins = _counter(SIGNINS)
_alerts_fired = _counter(ALERTS_FIRED)
_notified = _counter(NOTIFIED)
_signals = _counter(SIGNALS)
_dropped = _counter(LOG_LINES_DROPPED).labels(HOST)
_lines_taken = _counter(LINES_TAKEN).labels(HOST)
_lines_left = _counter(LINES_LEFT)

_answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}  # bounded: routes, METHODS and statuses are ours


def request(route: str, method: str, status: int, seconds: float, request_id: str = "") -> None:
    """One request was answered; one that can be looked up gives its id. A few microseconds: the label look-ups are
    done once."""
    children = _answered.get((route, method, status))
    if children is None:
        method = method if method in METHODS else "other"
        children = (
            _http_requests.labels(HOST, route, method, str(status)),
            _http_seconds.labels(HOST, route, str(status)),
        )
        if method != "other":
            _answered[(route, method, status)] = children
    children[0].inc()
    children[1].observe(seconds)
    if request_id:
        exemplars.keep((route, str(status), BOUNDS[bisect_left(BUCKETS, seconds)]), request_id, seconds)


def ingest_accepted(requests: int, items: int, size: int) -> None:
    """Requests acknowledged after their commit; `size` in bytes."""
    _accepted_requests.inc(requests)
    _accepted_items.inc(items)
    _accepted_bytes.inc(size)


def ingest_refused(reason: str, items: int | None) -> None:
    """One request refused; `reason` is an error code, `items` None where their number is not known."""
    _refused_requests.labels(HOST, reason).inc()
    _refused_items.labels(HOST, reason).inc(1 if items is None else items)


def ingest_refused_items(reason: str, items: int) -> None:
    """Items of a request were refused, the others stored."""
    _refused_items.labels(HOST, reason).inc(items)


def ingest_flushed(seconds: float) -> None:
    """One batch was stored, commit included."""
    _flush_seconds.observe(seconds)


def spooled(items: int) -> None:
    """Outcomes were acknowledged to the spool."""
    _spooled.inc(items)


def replayed(items: int) -> None:
    """Outcomes of the spool are in the database."""
    _replayed.inc(items)


def intake_lost(requests: int) -> None:
    """Requests are missing from the counts per key and service."""
    _intake_lost.inc(requests)


def signed_in(result: Literal["ok", "wrong", "slowed"]) -> None:
    """One attempt to sign in."""
    _signins.labels(HOST, result).inc()


def alert_fired(severity: int, urgency: str) -> None:
    """An alert fired, or fired again."""
    _alerts_fired.labels(HOST, str(severity), urgency).inc()


def signals_told(firing: int, kept: int, left_out: int) -> None:
    """A group of signals was kept, `firing` of `kept`."""
    for status, number in (("firing", firing), ("resolved", kept - firing), ("left_out", left_out)):
        _signals.labels(HOST, status).inc(number)


def notified(kind: str, result: Literal["sent", "failed", "given_up"]) -> None:
    """One try to send a notification has ended."""
    _notified.labels(HOST, kind, result).inc()


def lines_taken(kept: int, refused: int, over: int, old: int) -> None:
    """Log lines of services are taken in; the others are not kept."""
    _lines_taken.inc(kept)
    for reason, lines in (("refused", refused), ("over", over), ("old", old)):
        if lines:
            _lines_left.labels(HOST, reason).inc(lines)


def log_lines_dropped(lines: int) -> None:
    """Lines were not kept for look-up."""
    _dropped.inc(lines)
