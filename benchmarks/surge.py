"""A surge: five times what one process can take in, and whether health, pages and acts answer meanwhile.

What it can take is measured first, by senders that wait for their answers. The surge does not wait: batches of 1000
are sent at five times that rate by a process of its own, over up to 512 connections, whatever is answered.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import IO
from urllib.parse import urlsplit

from benchmarks.cpu import of_process
from benchmarks.figure import Figure
from benchmarks.ingest import BATCH, URL
from benchmarks.signed_in import signed_in
from benchmarks.stand import ROOT, percentile, stand
from tests.running import Running

TIMES = 5.0
SECONDS = 15.0
LIMIT_MS = 500.0  # p95
CONNECTIONS = 12
GOODPUT = 0.7  # of what it takes in without a surge
PAGES = ("/", "/incidents", "/incidents/1", "/objectives", "/config", "/setup")


@dataclass(slots=True)
class Visits:
    """Milliseconds of each kind of request, what the process worked meanwhile, and what was answered wrongly."""

    took: dict[str, list[float]] = field(default_factory=dict)
    worked: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def run() -> list[Figure]:
    """Milliseconds, p95, while five times as much comes as can be taken; and how much is taken of it."""
    with stand(WEB_CONCURRENCY="1") as server:
        key = server.command("key", "create", "bench", "--scope", "ingest")
        commander = server.command("key", "create", "commander", "--scope", "act", "--scope", "read")
        server.call("POST", "/api/v1/incidents", key=commander, data={"title": "bench"})
        cookie, url = signed_in(server, "admin"), server.url + URL
        rate = capacity(url, key)
        calm = visits(server, commander, cookie, 3.0)
        with offered(url, key, rate * TIMES) as surge:
            surged = visits(server, commander, cookie, SECONDS)
            told = json.loads(surge.communicate()[0])
    taken = (told["201"] + told["202"]) / told["seconds"]
    note = f"offered {told['offered'] / told['seconds']:.0f}/s, refused {told['503'] / told['seconds']:.0f}/s"
    return [
        Figure("batches of 1000 that can be taken", rate, "req/s"),
        Figure("taken of the surge", taken / rate, "", GOODPUT, "at least", note),
        Figure("answered by anything but 201, 202 and 503", told["wrong"], "", 0),
        Figure("visits that went wrong", len(surged.wrong), "", 0, "at most", "; ".join(surged.wrong[:2])),
        *(figure for name in surged.took for figure in figures_of(name, calm, surged)),
    ]


def figures_of(name: str, calm: Visits, surged: Visits) -> list[Figure]:
    """How long it took, and how much the web process worked meanwhile: that says it also on a busy machine."""

    def figure(what: str, before: list[float], values: list[float]) -> Figure:
        note = f"calm {percentile(before, 0.95):.0f}, slowest {max(values):.0f}, of {len(values)}"
        return Figure(f"{name}, {what}p95", percentile(values, 0.95), "ms", LIMIT_MS, "at most", note)

    return [
        figure("", calm.took[name], surged.took[name]),
        figure("CPU of the process meanwhile, ", calm.worked[name], surged.worked[name]),
    ]


def capacity(url: str, key: str) -> float:
    """Batches a second that senders who wait for their answers get stored."""
    command = [sys.executable, "-m", "benchmarks.load", url, key, str(CONNECTIONS), str(BATCH), "4"]
    told = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    return float(told["answered"] / told["seconds"])


def offered(url: str, key: str, rate: float) -> subprocess.Popen[bytes]:
    """The surge, under way."""
    command = [sys.executable, "-m", "benchmarks.offer", url, key, str(rate), str(BATCH), str(SECONDS + 1)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    first_line(process.stdout)
    return process


def first_line(output: IO[bytes]) -> None:
    """Wait until the surge has begun."""
    assert output.readline() == b"sending\n"


def visits(server: Running, key: str, cookie: str, seconds: float) -> Visits:
    """What a commander does, one after the other: looks at health and at pages, and writes a note."""
    found = Visits()
    until = time.monotonic() + seconds
    head = {"Cookie": cookie}
    while time.monotonic() < until:
        for path in PAGES:
            visit(server, found, "page", ("GET", path), head)
        visit(server, found, "health", ("GET", "/health/ready"), {})
        note = json.dumps({"act": "note", "text": "seen"})
        heads = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        visit(server, found, "act", ("POST", "/api/v1/incidents/1/acts"), heads, note)
        time.sleep(0.05)
    return found


def visit(  # noqa: PLR0917 - what is asked, and of whom
    server: Running, found: Visits, kind: str, what: tuple[str, str], headers: dict[str, str], body: str = ""
) -> None:
    """One request on a connection of its own, as somebody who comes newly."""
    began, worked = time.perf_counter(), web_ms(server)
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        connection.request(*what, body or None, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 201):
            found.wrong.append(f"{what[1]} {answer.status}")
    except OSError as error:
        found.wrong.append(f"{what[1]} {error!r}")
    finally:
        connection.close()
    found.took.setdefault(kind, []).append((time.perf_counter() - began) * 1000)
    found.worked.setdefault(kind, []).append(web_ms(server) - worked)


def web_ms(server: Running) -> float:
    """CPU milliseconds of the web process, which is forked first."""
    return 1000 * of_process(min(server.children()))
