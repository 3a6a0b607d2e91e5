"""Resident memory of each process at 200 series, before and after a million outcomes."""

from __future__ import annotations

import concurrent.futures
import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.figure import Figure
from benchmarks.stand import stand
from tests.running import Running

SERIES = 200
BATCH = 1000
LIMIT_MIB = 150.0
GROWTH_MIB = 10.0
OUTCOMES = 1_000_000
MIB = 1024 * 1024


def run() -> list[Figure]:
    """MiB by process: its largest at the end, and what the second half million added."""
    with stand(WEB_CONCURRENCY="1") as server:
        key = server.command("key", "create", "bench", "--scope", "ingest", "--scope", "read")
        send(server, key, OUTCOMES // 2)
        half = resident(server)
        send(server, key, OUTCOMES // 2)
        whole = resident(server)
    figures = []
    for name, bytes_ in whole.items():
        grown = (bytes_ - half[name]) / MIB
        figures.append(Figure(f"{name}: memory after {OUTCOMES:,} outcomes", bytes_ / MIB, "MiB", LIMIT_MIB))
        figures.append(Figure(f"{name}: added by the second half", grown, "MiB", GROWTH_MIB))
    return figures


def send(server: Running, key: str, outcomes: int) -> None:
    """Batches of 1000 over 4 connections."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: sender(server.url, key, outcomes // 4 // BATCH), range(4)))


def sender(url: str, key: str, batches: int) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = json.dumps([outcome(i) for i in range(BATCH)])
    for _ in range(batches):
        connection.request("POST", "/api/v1/outcomes", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 201, text
    connection.close()


def outcome(i: int) -> dict[str, Any]:
    place = i % SERIES
    return {
        "service": f"service-{place % 5}",
        "route": f"/route/{place % 20}",
        "method": "GET" if place % 40 < 20 else "POST",
        "status": 500 if place >= 195 else 200,
        "version": f"v{place // 100}",
        "duration_ms": 1 + (i * 37) % 900,
    }


def resident(server: Running) -> dict[str, float]:
    """Bytes by process, now. They are forked in this order: the web processes, then the watch."""
    pids = sorted(server.children())
    names = [*(f"web.{i}" for i in range(1, len(pids))), "watch.1"]
    return {name: resident_bytes(pid) for name, pid in zip(names, pids, strict=True)}


def resident_bytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024
