"""Resident memory of each process, at 200 and at 5,000 live series, and what more outcomes add to it."""

from __future__ import annotations

import concurrent.futures
import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.figure import Figure, aimed
from benchmarks.stand import stand
from tests.running import Running

BATCH = 1000
SIZES = {200: "200", 5000: "5,000"}  # series
GROWTH_MIB = 10.0
OUTCOMES = 200_000  # twice
MIB = 1024 * 1024


def run() -> list[Figure]:
    """MiB by process: the largest is held to the aim; and what the second half of the outcomes added."""
    return [figure for series in SIZES for figure in measure(series)]


def measure(series: int) -> list[Figure]:
    """One server with so many live series."""
    with stand(WEB_CONCURRENCY="1", SPOOL="off") as server:
        key = server.command("key", "create", "bench", "--scope", "ingest", "--scope", "read")
        send(server, key, series)
        half = resident(server)
        send(server, key, series)
        whole = resident(server)
    name = f"{SIZES[series]} series"
    largest = max(whole, key=lambda process: whole[process][0])
    figures = [aimed(f"memory of the largest process, {name}", [whole[largest][0]], "MiB", note=largest)]
    for process, (rss, pss) in whole.items():
        grown = rss - half[process][0]
        figures += [
            Figure(f"{process}, {name}: resident", rss, "MiB", note=f"{pss:.0f} MiB of its own and its share"),
            Figure(f"{process}, {name}: added by {OUTCOMES:,} more", grown, "MiB", GROWTH_MIB),
        ]
    return figures


def send(server: Running, key: str, series: int) -> None:
    """Batches of 1000 over 4 connections."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda at: sender(server.url, key, series, at), range(4)))


def sender(url: str, key: str, series: int, at: int) -> None:
    """A quarter of the outcomes, over all series in turn."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    for batch in range(OUTCOMES // 4 // BATCH):
        first = (4 * batch + at) * BATCH
        body = json.dumps([outcome(i, series) for i in range(first, first + BATCH)])
        connection.request("POST", "/api/v1/outcomes", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 201, text
    connection.close()


def outcome(i: int, series: int) -> dict[str, Any]:
    """Of each service 100 series: 50 routes, of two versions."""
    place = i % series
    return {
        "service": f"service-{place // 100}",
        "route": f"/route/{place % 50}",
        "method": "GET",
        "status": 200,
        "version": f"v{place % 100 // 50}",
        "duration_ms": 1 + (i * 37) % 900,
    }


def resident(server: Running) -> dict[str, tuple[float, float]]:
    """MiB by process: resident, and that with each shared page divided among those who share it.

    They are forked in this order: the web processes, then the watch.
    """
    pids = sorted(server.children())
    names = [*(f"web.{i}" for i in range(1, len(pids))), "watch.1"]
    sizes = [(read(pid, "status", "VmRSS"), read(pid, "smaps_rollup", "Pss")) for pid in pids]
    return dict(zip(names, sizes, strict=True))


def read(pid: int, file: str, name: str) -> float:
    lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) * 1024 / MIB
