"""A full disk, under the metrics or the database: no process ends, pages and Config keep working."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, build_opener

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from checks import disk
from server.http.failures import as_api_error
from server.kernel.settings import read_environment
from server.process import embedded
from server.process import reserve as reserve_module
from server.process.reserve import Reserve
from tests.conftest import ROOT
from tests.process.test_supervisor import Start, start  # noqa: F401 - a fixture
from tests.running import Running
from tests.waiting import PATIENCE_S, wait_for

VALUES = """
import sys
from server.telemetry.reserved import Reserved
from tests.process.test_disk_full import fill
from pathlib import Path

def count(kept, begin, end):
    for number in range(begin, end):
        kept.write_value(f"{number} {'x' * 150}", float(number), 0.0)

place = Path(sys.argv[1])
grown = Reserved(str(place / "grown.db"))
count(grown, 0, 100)
fill(place)
late = Reserved(str(place / "late.db"))
for kept in (grown, late):
    count(kept, 0, 9_000)
    count(kept, 100, 200)
    assert sorted(value for _, value, _ in kept.read_all_values()) == list(range(9_000))
assert len(list(Reserved.read_all_values_from_file(str(place / "grown.db")))) > 1000
assert not (place / "late.db").exists(), "an empty file would end a scrape"
"""


@contextmanager
def mounted(place: Path, mib: int) -> Iterator[Path]:
    """A disk of its own, so large."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=755", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs to mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk for temporary files."""
    with mounted(tmp_path / "small", 4) as place:
        yield place


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """DATA_DIR on a disk of its own."""
    parent = Path(tempfile.mkdtemp(prefix="ek-"))
    with mounted(parent / "data", 256) as place:
        yield place
        embedded.stop(embedded.cluster(read_environment({"DATA_DIR": str(place)})))
    shutil.rmtree(parent)


def take_all(place: Path) -> Path:
    """A file with all that is free, taken at once; what others take meanwhile is none of it."""
    with (place / "full").open("wb") as file:
        while True:
            free = os.statvfs(place)
            try:
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
            else:
                return place / "full"


def fill(place: Path) -> None:
    with (place / "full").open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return


@pytest.mark.soak
def test_no_process_ends_and_pages_and_config_work(running: Callable[..., Running], small: Path) -> None:
    server = running(WEB_CONCURRENCY="2", TMPDIR=str(small))
    assert list(small.rglob("*.db")), "the metrics are there"
    key = server.key("ingest", "read", "act")
    children = server.children()
    fill(small)
    routes = server.get("/api/openapi.json", key)[1]["paths"]
    for path in routes:  # each address with each status is one more value to count
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            server.call(method, path, key=key)
            server.call(method, path)
    page = build_opener(HTTPCookieProcessor(CookieJar())).open(server.url + "/sign-in", timeout=PATIENCE_S)
    assert page.status == 200
    changed = server.call(
        "PATCH", "/api/v1/config", key=key, data={"values": {"INGEST_MAX_BATCH_ITEMS": 500}, "reason": "full"},
        headers={"If-Match": '"1"'},
    )  # fmt: skip
    assert changed[0] == 200, changed
    assert server.get("/metrics", key)[0] == 200
    assert server.children() == children, server.output()[-2000:]


@pytest.mark.soak
def test_the_reserve_is_for_what_people_do(start: Start, data_dir: Path) -> None:  # noqa: F811
    server, reserve = start(WEB_CONCURRENCY="1"), Reserve(data_dir / "reserve")
    wait_for((data_dir / "reserve").exists, "the reserve")
    assert (data_dir / "reserve").stat().st_blocks * 512 >= reserve_module.BYTES
    key = server.key("ingest", "read", "act")

    def send() -> tuple[int, Any]:
        outcome = {"service": "shop", "route": "/pay", "method": "GET", "status": 200, "duration_ms": 5}
        return server.call("POST", "/api/v1/outcomes", key=key, data=[outcome])

    def limit(items: int, revision: int) -> int:
        data = {"values": {"INGEST_MAX_BATCH_ITEMS": items}, "reason": "full"}
        return server.call("PATCH", "/api/v1/config", key=key, data=data, headers={"If-Match": f'"{revision}"'})[0]

    assert send()[0] == 201
    full = take_all(data_dir)
    wait_for(lambda: reserve.given_up, "the reserve to be given up")
    status, refused = send()
    assert (status, refused["code"]) == (503, "UNAVAILABLE")
    assert refused["detail"].startswith("The disk is full: nothing more can be stored until there is room. Nothing was")
    assert server.get("/health/ready")[1]["checks"]["database"][0]["mode"] == "database_disk_full"
    assert [limit(500 + number, number) for number in (1, 2, 3)] == [200, 200, 200]
    assert server.command("key", "create", "more", "--scope", "read")
    (found,) = disk.given_up(reserve, data_dir)
    assert "reserve of 64 MiB is given up" in found.what
    full.unlink()
    wait_for(lambda: not reserve.given_up, "the reserve to be taken again")
    wait_for(lambda: send()[0] == 201, "outcomes to be stored again")
    assert disk.given_up(reserve, data_dir) == []


@pytest.mark.parametrize(
    "failure",
    [OperationalError("INSERT", {}, psycopg.errors.DiskFull()), OSError(errno.ENOSPC, "No space left on device")],
)
def test_a_full_disk_is_told_as_that(failure: Exception) -> None:
    told = as_api_error(failure, 500)
    assert (told.status, told.detail.partition(":")[0]) == (503, "The disk is full")


def test_values_that_have_no_space_on_the_disk_are_counted_in_memory(small: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", VALUES, str(small)], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
