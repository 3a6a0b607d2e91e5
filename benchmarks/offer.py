"""An open-loop load generator: `python -m benchmarks.offer URL KEY RATE ITEMS SECONDS`.

Requests leave at the rate, whatever is answered, each on a connection that is free, up to 512 of them; what finds none
is offered and not sent. Prints `sending`, and at the end a line of JSON: what was offered and how it was answered.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from urllib.parse import urlsplit

from benchmarks.traffic import bodies

LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d+)")
CONNECTIONS = 512
TICK_S = 0.01
KNOWN = ("201", "202", "503")


class Offer:
    """What all connections share."""

    def __init__(self, host: str, port: int, requests: Iterator[bytes]) -> None:
        self.host, self.port = host, port
        self.requests = requests
        self.free: deque[Sender] = deque()
        self.open = 0
        self.answered: Counter[str] = Counter()
        self.tasks: set[asyncio.Task[None]] = set()

    def send(self) -> None:
        """One more request, where a connection is free or may be made."""
        if self.free:
            self.free.popleft().send(next(self.requests))
        elif self.open < CONNECTIONS:
            self.open += 1
            task = asyncio.create_task(self.connect(next(self.requests)))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def connect(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, sender = await loop.create_connection(lambda: Sender(self), self.host, self.port)
        except OSError:
            self.open -= 1
            self.answered["lost"] += 1
            return
        sender.send(request)


class Sender(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.buffer = b""
        self.waits = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: bytes) -> None:
        self.waits = True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = LENGTH.search(self.buffer, 0, end)
        assert length is not None
        if len(self.buffer) < end + 4 + int(length[1]):
            return
        self.offer.answered[self.buffer[9:12].decode()] += 1
        self.buffer, self.waits = b"", False
        self.offer.free.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.offer.open -= 1
        self.offer.answered["lost"] += self.waits
        if self in self.offer.free:
            self.offer.free.remove(self)


async def run(url: str, key: str, rate: float, items: int, seconds: float) -> dict[str, float]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    )
    made = [body.fresh() for body in bodies(50, items)]
    requests = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in made]
    offer = Offer(parts.hostname, parts.port, itertools.cycle(requests))
    print("sending", flush=True)
    began = time.monotonic()
    offered = 0
    while (passed := time.monotonic() - began) < seconds:
        while offered < rate * passed:
            offer.send()
            offered += 1
        await asyncio.sleep(TICK_S)
    answered = offer.answered
    wrong = sum(count for status, count in answered.items() if status not in KNOWN)
    return {"offered": offered, "seconds": seconds, "wrong": wrong} | {each: answered[each] for each in KNOWN}


if __name__ == "__main__":
    url, key, rate, items, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(run(url, key, float(rate), int(items), float(seconds)))))
