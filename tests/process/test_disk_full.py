"""A full disk under the metrics: no process ends, pages and Config keep working."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from tests.conftest import ROOT
from tests.running import Running
from tests.waiting import PATIENCE_S

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


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB, for temporary files."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs to mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> None:
    with (place / "full").open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return


def test_no_process_ends_and_pages_and_config_work(running: Callable[..., Running], small: Path) -> None:
    server = running(WEB_CONCURRENCY="2", TMPDIR=str(small))
    assert list(small.rglob("*.db")), "the metrics are there"
    key = server.command("key", "create", "full", "--scope", "ingest", "--scope", "read", "--scope", "act")
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


def test_values_that_have_no_space_on_the_disk_are_counted_in_memory(small: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", VALUES, str(small)], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
