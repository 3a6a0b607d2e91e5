"""Services that begin to fail, and what the API shows of them: the traffic of benchmarks/detection.py."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest

STEP_S = 0.2  # each service sends this often
LOOK_S = 0.2  # and the objectives are asked for
WARM_S = 8.0


@dataclass(slots=True)
class Failing:
    """One service: `per_second` requests, of which `ratio` fail from `begins` on (seconds after the start)."""

    name: str
    per_second: int
    ratio: float
    begins: float
    first_bad: float | None = None  # when the first failure was sent, monotonic
    shown: float | None = None  # when the API first said that it burns
    owed: float = 0.0
    chance: random.Random = field(default_factory=random.Random)

    def batch(self, since_start: float) -> list[dict[str, Any]]:
        """What it sends in this step."""
        self.owed += self.per_second * STEP_S
        n, self.owed = int(self.owed), self.owed % 1
        failing = since_start >= self.begins
        bad = [failing and self.chance.random() < self.ratio for _ in range(n)]
        if any(bad) and self.first_bad is None:
            self.first_bad = time.monotonic()
        return [
            {"service": self.name, "route": "/", "method": "GET", "status": 500 if each else 200, "duration_ms": 5}
            for each in bad
        ]

    @property
    def took_s(self) -> float | None:
        """From the sending of the first failure to the API."""
        return None if self.shown is None or self.first_bad is None else self.shown - self.first_bad


@dataclass(frozen=True, slots=True)
class Place:
    """Where to send and to look, until when (monotonic)."""

    client: AsyncHTTPClient
    url: str
    start: float
    until: float


async def watch(url: str, keys: tuple[str, str], services: list[Failing], limit_s: float) -> None:
    """Send and look until every service is shown to burn, `limit_s` after the last began at most."""
    client = AsyncHTTPClient(max_clients=400, force_instance=True)
    start = time.monotonic()
    place = Place(client, url, start, start + max(each.begins for each in services) + limit_s)
    try:
        senders = [asyncio.create_task(send(place, keys[0], each)) for each in services]
        await look(place, keys[1], services)
        for sender in senders:
            sender.cancel()
        for ended in await asyncio.gather(*senders, return_exceptions=True):
            assert ended is None or isinstance(ended, asyncio.CancelledError), ended
    finally:
        client.close()


async def send(place: Place, key: str, service: Failing) -> None:
    """One service's traffic, a batch each step."""
    at = place.start + random.random() * STEP_S
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    while at < place.until:
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        batch = service.batch(time.monotonic() - place.start)
        if batch:
            body, address = json.dumps(batch), f"{place.url}/api/v1/outcomes"
            await place.client.fetch(HTTPRequest(address, "POST", headers, body, request_timeout=30))
        at += STEP_S


async def look(place: Place, key: str, services: list[Failing]) -> None:
    """Note when each is first shown to burn."""
    waiting = {each.name: each for each in services}
    headers = {"Authorization": f"Bearer {key}"}
    while waiting and time.monotonic() < place.until:
        address = f"{place.url}/api/v1/slos"
        answer = await place.client.fetch(HTTPRequest(address, headers=headers, request_timeout=30))
        now = time.monotonic()
        for name, state in json.loads(answer.body)["services"].items():
            if state == "burning" and name in waiting:
                waiting.pop(name).shown = now
        await asyncio.sleep(LOOK_S)
