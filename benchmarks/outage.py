"""A total outage at 50 requests a second: how soon Evenkeel says so, and how soon Prometheus fires by the rules that we
export.

Prometheus has seven healthy hours behind it, scrapes and evaluates each second, and is asked for its alerts ten times a
second. Evenkeel has four healthy weeks behind it, and is asked for its objectives five times a second.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.detection import remember
from benchmarks.failing import WARM_S, Failing, watch
from benchmarks.figure import Figure, aimed
from benchmarks.stand import free_port, percentile, stand
from server.slo.policy.prometheus import EVENTS, rules
from tests.slo.judging import objective
from tests.slo.making import availability, service

ROUNDS = 3
EACH = 5  # services a round
RATE = 50
WAIT_S = 30.0
BEHIND_S = 7 * 3600  # more than the longest window that pages
SETTLED_S = 20.0  # of scrapes, before it fails
PATIENCE_S = 300.0
NAME = "total outage to firing, 50/s"


def run() -> list[Figure]:
    """Seconds from the first failure, a median of each round."""
    ours = [percentile(evenkeel(), 0.5) for _ in range(ROUNDS)]
    theirs = [prometheus() for _ in range(ROUNDS)]
    return [aimed(NAME, ours, "s", theirs, note=f"{EACH} services a round")]


def evenkeel() -> list[float]:
    """From the first failure sent to the API, of each service."""
    names = [f"s{RATE}-100-{i}" for i in range(EACH)]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write("".join(service(name) + availability(f"{name}-works", name) for name in names))
        file.flush()
        with stand(SLO_FILE=file.name) as server:
            remember(server)
            ingest, read = (server.command("key", "create", scope, "--scope", scope) for scope in ("ingest", "read"))
            failing = [Failing(name, RATE, 1.0, WARM_S + 2 * random.random()) for name in names]
            asyncio.run(watch(server.url, (ingest, read), failing, WAIT_S))
    return [WAIT_S if each.took_s is None else each.took_s for each in failing]


class Counters:
    """What a service shows at /metrics: it is healthy until `fails_at`, Unix seconds."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.fails_at = float("inf")

    def at(self, now: float) -> tuple[int, int]:
        """Good and bad requests by then."""
        fails_at = min(self.fails_at, now)
        return int((fails_at - self.since) * RATE), int((now - fails_at) * RATE)

    def lines(self, now: float, labels: str = "", stamp: str = "") -> Iterator[str]:
        """They as Prometheus reads them."""
        for outcome, n in zip(("good", "bad"), self.at(now), strict=True):
            yield f'{EVENTS}{{objective="shop-works",service="shop",outcome="{outcome}"{labels}}} {n}{stamp}\n'


def prometheus() -> float:
    """From the first failure to an alert that pages, in seconds."""
    with tempfile.TemporaryDirectory() as directory:
        place, counters = Path(directory), Counters(time.time() - BEHIND_S)
        with shown(counters) as target, scraping(place, counters, target) as asked:
            wait(lambda: up(asked))
            time.sleep(SETTLED_S + random.random())
            counters.fails_at = time.time()
            wait(lambda: fires(asked))
            return time.time() - counters.fails_at


@contextmanager
def shown(counters: Counters) -> Iterator[str]:
    """A server of these counters; where it is."""

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = "".join(counters.lines(time.time())).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    site = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{site.server_address[1]}"
    finally:
        site.shutdown()
        site.server_close()


@contextmanager
def scraping(place: Path, counters: Counters, target: str) -> Iterator[str]:
    """A Prometheus that has scraped this target for seven hours; where it is asked."""
    past(place, counters, target)
    (place / "rules.yml").write_text(rules([objective()]))
    (place / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        "rule_files: [rules.yml]\n"
        f"scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    asked = f"127.0.0.1:{free_port()}"
    command = [f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data"]
    process = subprocess.Popen(
        ["prometheus", *command, f"--web.listen-address={asked}", "--log.level=error"], stderr=subprocess.DEVNULL
    )
    try:
        yield asked
    finally:
        process.terminate()
        process.wait(30)


def past(place: Path, counters: Counters, target: str) -> None:
    """Seven healthy hours in its storage, to the present."""
    now = time.time()
    with (place / "past.txt").open("w") as file:
        file.write(f"# TYPE {EVENTS.removesuffix('_total')} counter\n")
        for back in range(BEHIND_S, 0, -1):
            labels = f',instance="{target}",job="shop"'
            file.writelines(counters.lines(now - back, labels, f" {now - back:.3f}"))
        file.write("# EOF\n")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", file.name, str(place / "data")]
    subprocess.run(command, check=True, capture_output=True)


def told(asked: str, path: str) -> list[dict[str, Any]]:
    """What it answers; nothing where it does not."""
    connection = http.client.HTTPConnection(asked, timeout=5)
    try:
        connection.request("GET", path)
        data = json.loads(connection.getresponse().read())["data"]
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return []
    finally:
        connection.close()
    return list(data.get("alerts", data.get("activeTargets", [])))


def up(asked: str) -> bool:
    return any(one["health"] == "up" for one in told(asked, "/api/v1/targets"))


def fires(asked: str) -> bool:
    return any(
        one["state"] == "firing" and one["labels"]["severity"] == "page" for one in told(asked, "/api/v1/alerts")
    )


def wait(until: Callable[[], bool]) -> None:
    """Wait for it, looking ten times a second."""
    limit = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < limit, "Prometheus did not"
        time.sleep(0.1)
