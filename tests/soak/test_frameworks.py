"""Real frameworks under their real instrumentation send what their clients got: each request once, with its route."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import answers, free_port
from tests.soak.frameworks import APPS, PINNED
from tests.soak.place import Place, made
from tests.waiting import wait_for

TIMES = 3


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="ek-", dir="/var/tmp"))
    root.chmod(0o755)
    yield root
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def frameworks(root: Path) -> Path:
    """The programs of a virtual environment in which they all are."""
    subprocess.run([sys.executable, "-m", "venv", root / "venv"], check=True)
    programs = root / "venv" / "bin"
    installed = subprocess.run(
        [programs / "pip", "install", "--quiet", *PINNED], capture_output=True, text=True, check=False
    )
    if installed.returncode:
        pytest.skip(f"pip does not reach the packages: {installed.stderr[-300:]}")
    return programs


@pytest.fixture(scope="module")
def place(root: Path, frameworks: Path) -> Iterator[Place]:  # which may skip
    (root / "place").mkdir()
    with made(root / "place", root / "place" / "first") as place:
        yield place


@contextmanager
def running(name: str, programs: Path, place: Place, key: str) -> Iterator[int]:
    """A framework's application, its SDK told of our server; its port."""
    port = free_port()
    source = place.root / f"{name}_app.py"
    source.write_text(APPS[name][0])
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PORT": str(port),
        "OTEL_SERVICE_NAME": name,
        "OTEL_EXPORTER_OTLP_ENDPOINT": place.server.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer {key}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    process = subprocess.Popen(
        [programs / "opentelemetry-instrument", "python", source],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: process.poll() is not None or answers(port), f"{name} to listen")
        assert process.poll() is None, f"{name} ended"
        yield port
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()


def asked(port: int, path: str) -> int:
    """What a client gets."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def truth_of(name: str, port: int) -> Counter[tuple[str, int]]:
    """Ask for everything, and say what was answered by route."""
    _, order, item = APPS[name]
    truth: Counter[tuple[str, int]] = Counter()
    paths = {"/orders/7": order, "/orders/8": order, "/boom": "/boom", "/down": "/down", "/nobody": "(not found)"}
    if item:
        paths |= {"/api/items/7": item, "/api/nobody": "(not found)"}
    for path, route in paths.items():
        for _ in range(TIMES):
            truth[route, asked(port, path)] += 1
    return truth


def counted(place: Place, service: str, what: str = "n") -> Counter[tuple[str, int]]:
    """What we have of a service, by route and status; of `bad` only what failed."""
    with place.connect() as connection:
        found = connection.execute(
            f"SELECT route, status, sum({what})::bigint FROM deltas JOIN series ON id = series_id"
            " WHERE service = %s GROUP BY 1, 2",
            (service,),
        ).fetchall()
    return +Counter({(str(route), int(str(status))): int(str(n)) for route, status, n in found})


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", APPS)
def test_a_framework_tells_what_its_clients_got(name: str, frameworks: Path, place: Place) -> None:
    key = place.server.key("ingest", name=name)
    with running(name, frameworks, place, key) as port:
        truth = truth_of(name, port)
        wait_for(lambda: counted(place, name).total() >= truth.total(), f"the requests of {name}")
    assert counted(place, name) == truth
    assert counted(place, name, "bad") == {("/boom", 500): TIMES, ("/down", 503): TIMES}
