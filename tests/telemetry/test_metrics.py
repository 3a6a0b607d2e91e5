"""Metrics: the rules of `promtool check metrics`, several processes, and gauges from the database."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics_families
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from server.kernel import shared_clock
from server.kernel.names import HOST
from server.picture.picture import Picture
from server.telemetry import metrics
from server.telemetry.exemplars import EVERY_S, Exemplars, records
from tests.promtool import promtool
from tests.site import Site
from tests.telemetry.test_negotiation import REAL

ROOT = Path(__file__).resolve().parents[2]

# What promtool's linter refuses (client_golang, prometheus/testutil/promlint).
ABBREVIATED = {"s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"}
NOT_BASE = {
    "milliseconds",
    "microseconds",
    "nanoseconds",
    "minutes",
    "hours",
    "days",
    "weeks",
    "percent",
    "kilobytes",
    "megabytes",
    "bits",
}
KINDS = {"gauge", "counter", "summary", "histogram", "untyped"}


def complaints(name: str, kind: str, help: str, labels: tuple[str, ...]) -> list[str]:
    words = name.split("_")
    found = {
        "no help": not help,
        "counter without _total": kind == "counter" and not name.endswith("_total"),
        "_total on no counter": kind != "counter" and name.endswith("_total"),
        "reserved suffix": name.endswith(("_count", "_sum", "_bucket", "_created")),
        "abbreviated unit": bool(ABBREVIATED & set(words)),
        "no base unit": bool(NOT_BASE & set(words)),
        "type in the name": bool(KINDS & set(words)),
        "not snake case": not re.fullmatch(r"[a-z][a-z0-9_]*", name),
        "label not snake case": any(not re.fullmatch(r"[a-z][a-z0-9_]*", label) or label == "le" for label in labels),
    }
    return [what for what, wrong in found.items() if wrong]


@pytest.mark.parametrize("metric", metrics.METRICS, ids=lambda metric: metric.name)
def test_every_metric_passes_promtools_rules(metric: metrics.Metric) -> None:
    assert complaints(metric.name, metric.kind, metric.help, metric.labels) == []
    assert metric.name.startswith("evenkeel_")


def test_the_rules_can_fail() -> None:
    assert complaints("evenkeel_lag_ms", "gauge", "", ("leSs",)) == [
        "no help",
        "abbreviated unit",
        "label not snake case",
    ]


def samples(body: bytes) -> dict[tuple[str, ...], float]:
    """name and label values -> value; fails where the text is not valid or a family comes twice."""
    found: dict[tuple[str, ...], float] = {}
    families = list(text_string_to_metric_families(body.decode()))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        for sample in family.samples:
            key = (sample.name, *(sample.labels[name] for name in sorted(sample.labels)))
            assert key not in found, key
            found[key] = sample.value
    return found


def opened(body: bytes) -> dict[tuple[str, ...], float]:
    """As `samples`, of OpenMetrics; fails where a unit is not its name's, or the end is missing."""
    families = list(open_metrics_families(body.decode()))
    assert {family.unit for family in families} >= {"", "seconds", "bytes"}
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in families
        for sample in family.samples
    }


def exemplars(body: bytes) -> dict[tuple[str, str, str], tuple[str, float]]:
    """handler, status and bucket -> the request id and its seconds."""
    return {
        (sample.labels["handler"], sample.labels["status"], sample.labels["le"]): (
            sample.exemplar.labels["request_id"],
            sample.exemplar.value,
        )
        for family in open_metrics_families(body.decode())
        for sample in family.samples
        if sample.exemplar
    }


def declared(body: bytes) -> dict[str, str]:
    """name -> type of what a scrape declares."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", body.decode(), re.MULTILINE))


COUNTING = """
import sys
from server.telemetry import metrics
from server.telemetry.exemplars import EVERY_S, Exemplars, records
from tests.promtool import promtool
from server.kernel.names import name_process
name_process(sys.argv[1])
for _ in range(int(sys.argv[2])):
    metrics.request("/api/v1/services", "GET", 200, 0.02, sys.argv[3])
    metrics.ingest_accepted(1, 10, 500)
metrics.ingest_refused("QUEUE_FULL", None)
metrics.ingest_refused("BATCH_TOO_LARGE", 2000)
"""
RENDERING = """
import sys
from server.telemetry.scrape import render
sys.stdout.buffer.write(render([]) + b"<then>" + render([], open_metrics=True))
"""


def in_process(directory: Path, program: str, *arguments: str) -> bytes:
    env = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(directory), "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", program, *arguments], env=env, check=True, capture_output=True).stdout


def test_several_processes_add_up_and_a_restarted_one_goes_on(tmp_path: Path) -> None:
    # The second web.1 after a kill -9; an id of 119 characters is one more than an exemplar may have beside its name.
    for name, times, request_id in (("web.1", "3", "a-1"), ("web.2", "4", "b-1"), ("web.1", "5", "c" * 119)):
        in_process(tmp_path, COUNTING, name, times, request_id)
    body, open_metrics = in_process(tmp_path, RENDERING).split(b"<then>")
    found = samples(body)
    assert exemplars(open_metrics) == {("/api/v1/services", "200", "0.025"): ("b-1", 0.02)}
    assert opened(open_metrics) == found  # the same numbers
    promtool("check", "metrics", given=body)
    assert found["evenkeel_http_requests_total", "/api/v1/services", HOST, "GET", "200"] == 12
    assert found["evenkeel_http_request_duration_seconds_count", "/api/v1/services", HOST, "200"] == 12
    assert found["evenkeel_ingest_accepted_items_total", HOST] == 120
    assert found["evenkeel_ingest_accepted_bytes_total", HOST] == 6000
    assert found["evenkeel_ingest_refused_items_total", HOST, "BATCH_TOO_LARGE"] == 6000
    assert found["evenkeel_ingest_refused_items_total", HOST, "QUEUE_FULL"] == 3
    assert not any(name.endswith("_created") for name in declared(body))
    assert all(re.findall(r"^# HELP \S+ ?(.*)$", body.decode(), re.MULTILINE))
    assert len(list(tmp_path.glob("counter_web.1*"))) == 1  # restarts leave no files behind


def test_an_exemplar_is_the_newest_and_one_half_written_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_790_000_000.0
    monkeypatch.setattr(shared_clock, "now", lambda: now)
    kept, place = Exemplars(), ("/x", "200", "1.0")
    kept.keep(place, "first", 0.5)
    kept.keep(place, "too soon", 0.6)
    now += EVERY_S
    kept.keep(place, "second", 0.7)
    kept.keep(("/x", "200", "+Inf"), "slow", 11.0)
    found = kept.newest()
    assert found[place].labels == {"request_id": "second"}
    assert (found[place].value, found[place].timestamp) == (0.7, now)
    memory = kept._memory
    assert memory is not None
    memory[20:21] = b"X"  # while it is written over
    assert [one.request_id for one in records(memory[:])] == ["slow"]
    assert list(records(memory[:3])) == list(records(b"")) == []  # of a file that is being made


def test_an_invented_method_makes_no_series() -> None:
    before = len(samples(render()))
    for n in range(100):
        metrics.request("/api/v1/services", f"M{n}", 405, 0.001)
    after = samples(render())
    assert after["evenkeel_http_requests_total", "/api/v1/services", HOST, "other", "405"] >= 100
    assert len(after) - before <= 20


def render() -> bytes:
    from server.telemetry.scrape import render

    return render([])


def test_counting_a_request_costs_microseconds() -> None:
    metrics.request("/bench", "GET", 200, 0.01)
    began = time.process_time()
    for _ in range(2000):
        metrics.request("/bench", "GET", 200, 0.01)
    assert (time.process_time() - began) / 2000 < 50e-6


async def scraped(site: Site) -> tuple[dict[tuple[str, ...], float], bytes]:
    response = await site.fetch("/metrics", key=await site.key("read"))
    assert response.code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return samples(response.body), response.body


@pytest.mark.gen_test
async def test_a_scrape_shows_every_process_of_every_machine(web: Any) -> None:
    site = await web()
    await web("web.2")
    async with site.parts.db.act() as connection:
        await connection.execute(
            text(
                "INSERT INTO processes (kind, name, host, pid, version, queue_items, queue_bytes, flush_items,"
                " loop_lag_ms, rss_bytes, heartbeat_at)"
                " VALUES ('web', 'web.1', 'far', 1, '0', 7, 700, 900, 25, 1e8, now()),"
                " ('web', 'web.9', 'far', 1, '0', 7, 700, 0, 25, 1e8, now() - interval '5 minutes')"
            )
        )
        await connection.execute(
            text("INSERT INTO check_results (name, status, duration_ms, findings) VALUES ('disk', 'warn', 1, '[]')")
        )
        await connection.execute(text("UPDATE lease SET renewed_at = now() - interval '2 seconds'"))
    found, body = await scraped(site)
    assert found["evenkeel_ingest_queue_items", "far", "web.1"] == 7
    assert found["evenkeel_ingest_queue_bytes", "far", "web.1"] == 700
    assert found["evenkeel_ingest_flush_limit_items", "far", "web.1"] == 900
    assert found["evenkeel_event_loop_lag_seconds", "far", "web.1"] == 0.025
    assert found["evenkeel_process_resident_memory_bytes", "far", "web.1"] == 1e8
    assert ("evenkeel_ingest_queue_items", HOST, "web.2") in found
    assert ("evenkeel_ingest_queue_items", "far", "web.9") not in found  # gone
    assert found["evenkeel_check_status", "disk", "warn"] == 1
    assert found["evenkeel_check_status", "disk", "fail"] == 0
    assert (
        found["evenkeel_config_revision",]
        == found["evenkeel_config_applied_revision", HOST, "web.1"]
        == site.parts.settings.revision
    )
    assert found["evenkeel_database_up", HOST] == 1
    assert 2 <= found["evenkeel_watch_lease_age_seconds",] < 10
    known = {metric.name: metric.kind for metric in metrics.METRICS}
    shown = declared(body)
    assert shown.items() <= known.items()  # nothing undeclared, nothing with another type


@pytest.mark.gen_test
async def test_budgets_come_from_the_picture_and_go_when_it_is_old(web: Any) -> None:

    from server.slo.model.status import ObjectiveStatus, Status

    site = await web()
    objectives = [
        ObjectiveStatus(
            "pay", "shop", "availability", 0.999, None, 28, "ok", 9, 1, 0, left, None, None, None, None, None, None
        )
        for left in (0.25, None)
    ]
    slo = Status(1, 0.0, objectives[:1], {})
    site.parts.relay.picture = Picture(1, time.time(), 1, "w", [], [], 1, None, slo)
    site.parts.relay._made = time.time() - 1
    found, _ = await scraped(site)
    assert found["evenkeel_slo_budget_left_ratio", "pay", "shop"] == 0.25
    assert 1 <= found["evenkeel_picture_age_seconds", HOST] < 10
    site.parts.relay._made = time.time() - 120
    found, _ = await scraped(site)
    assert ("evenkeel_slo_budget_left_ratio", "pay", "shop") not in found
    no_traffic = Status(1, 0.0, objectives[1:], {})
    site.parts.relay.picture.slo, site.parts.relay._made = no_traffic, time.time()
    found, _ = await scraped(site)
    assert ("evenkeel_slo_budget_left_ratio", "pay", "shop") not in found  # never 0 for no value


@pytest.mark.gen_test
async def test_without_the_database_the_counters_still_come(web: Any) -> None:
    from server.kernel.db import Database

    site = await web()
    key = await site.key("read")
    assert (await site.fetch("/api/v1/services", key=key)).code == 200
    kept, site.parts.db = site.parts.db, Database("postgresql://nobody@127.0.0.1:1/none")
    response = await site.fetch("/metrics", key=key)
    found = samples(response.body)
    assert found["evenkeel_database_up", HOST] == 0
    assert found["evenkeel_http_requests_total", "/api/v1/services", HOST, "GET", "200"] >= 1
    await site.parts.db.close()
    site.parts.db = kept


@pytest.mark.gen_test
async def test_a_prometheus_gets_open_metrics_with_the_ids_of_requests(
    web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "exemplars", Exemplars())
    site = await web()
    key = await site.key("read")
    assert (await site.fetch("/api/v1/services", key=key, headers={"X-Request-Id": "looked-at-1"})).code == 200
    asked = {"Accept": REAL["3.14"][0], "Accept-Encoding": "gzip"}
    response = await site.fetch("/metrics", key=key, headers=asked)
    assert response.headers["Content-Type"] == REAL["3.14"][1]
    assert response.headers["X-Consumed-Content-Encoding"] == "gzip"
    assert response.headers["Vary"] == "Accept, Accept-Encoding"
    assert "looked-at-1" in {request_id for request_id, _ in exemplars(response.body).values()}
    plain, _ = await scraped(site)
    assert opened(response.body).keys() <= plain.keys()


@pytest.mark.gen_test
async def test_metrics_are_closed_to_strangers_unless_set(web: Any) -> None:
    site = await web()
    assert (await site.fetch("/metrics")).code == 401
    assert (await site.fetch("/metrics", key=await site.key("ingest"))).code == 403
    open_site = await web("web.2", METRICS_PUBLIC="true")
    assert (await open_site.fetch("/metrics")).code == 200
