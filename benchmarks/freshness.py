"""From an acknowledged outcome to the page: what a browser on the Now page of another process receives.

Each probe is a service of its own, on the page that shows every row: of more than 20, a new one may have to wait for
its first evaluation to be among the first. The time runs from the 201 to the event of the stream that names it.
"""

from __future__ import annotations

import http.client
import random
import re
import threading
import time
from urllib.parse import urlsplit

from benchmarks.figure import Figure
from benchmarks.signed_in import signed_in
from benchmarks.stand import percentile, stand
from tests.running import Running

PROBES = 40
LIMIT_S = 1.5


def run() -> list[Figure]:
    """Seconds, over 40 probes at random moments, two web processes."""
    with stand(WEB_CONCURRENCY="2") as server:
        key = server.command("key", "create", "bench", "--scope", "ingest")
        stream = Stream(server, signed_in(server, "viewer"))
        stream.start()
        took = [probe(server, stream, key, i + 1) for i in range(PROBES)]
    return [
        Figure("acknowledged outcome on the page, p50", percentile(took, 0.5), "s"),
        Figure("acknowledged outcome on the page, p95", percentile(took, 0.95), "s", LIMIT_S),
        Figure("acknowledged outcome on the page, slowest", max(took), "s"),
    ]


class Stream(threading.Thread):
    """A browser's stream of the Now page; when each probe was first named in it."""

    def __init__(self, server: Running, cookie: str) -> None:
        super().__init__(daemon=True)
        self.server, self.cookie = server, cookie
        self.seen: dict[str, float] = {}
        self.news = threading.Condition()

    def run(self) -> None:
        connection = http.client.HTTPConnection(urlsplit(self.server.url).netloc, timeout=60)
        connection.request("GET", "/live?page=now&all=1", headers={"Cookie": self.cookie})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        while line := answer.readline():
            names = set(re.findall(r"probe-\d+", line.decode(errors="replace")))
            with self.news:
                for name in names:
                    self.seen.setdefault(name, time.monotonic())
                self.news.notify_all()

    def when(self, name: str) -> float:
        with self.news:
            assert self.news.wait_for(lambda: name in self.seen, 20), f"{name} was not shown within 20 s"
            return self.seen[name]


def probe(server: Running, stream: Stream, key: str, count: int) -> float:
    """Send `count` outcomes of a new service at a random moment; seconds from the answer to the page."""
    time.sleep(random.random())
    name = f"probe-{count}"
    batch = [{"service": name, "route": "/", "method": "GET", "status": 200, "duration_ms": 1}] * count
    status, body = server.call("POST", "/api/v1/outcomes", key=key, data=batch)
    acknowledged = time.monotonic()
    assert status == 201, body
    return max(0.0, stream.when(name) - acknowledged)
