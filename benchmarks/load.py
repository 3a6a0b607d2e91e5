"""A load generator in a process of its own: `python -m benchmarks.load URL KEY CONNECTIONS ITEMS SECONDS`.

Each connection sends its next request when the last one is answered. Writes one
line of JSON: what was answered, what was not a 201, how long it took, and the longest time without an answer.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from benchmarks.traffic import Body, bodies

AGAIN_S = 1.0  # after which the same is sent again, where that is asked for
LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d+)")


class Load:
    """What all connections share."""

    def __init__(self, requests: Iterator[bytes], seconds: float, right: bytes = b"HTTP/1.1 201") -> None:
        self.requests = requests
        self.right = right  # what a good answer begins with
        self.again = b""  # what an answer begins with after which the same is sent again; empty: none
        self.until = time.monotonic() + seconds
        self.answered = 0
        self.wrong = 0
        self.open = 0
        self.done = asyncio.Event()
        self.first_wrong = b""
        self.answered_at = time.monotonic()
        self.longest_gap_s = 0.0  # in which nobody was answered


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.load.open += 1
        self.send()

    def send(self) -> None:
        if time.monotonic() >= self.load.until:
            self.transport.close()
            return
        self.sent = next(self.load.requests)
        self.transport.write(self.sent)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = LENGTH.search(self.buffer, 0, end)
        assert length is not None
        if len(self.buffer) < end + 4 + int(length[1]):
            return
        load = self.load
        if load.again and self.buffer.startswith(load.again):
            self.buffer = b""
            asyncio.get_running_loop().call_later(AGAIN_S, self.transport.write, self.sent)
            return
        load.answered += 1
        now = time.monotonic()
        load.longest_gap_s, load.answered_at = max(load.longest_gap_s, now - load.answered_at), now
        if not self.buffer.startswith(load.right):
            load.wrong += 1
            load.first_wrong = load.first_wrong or self.buffer
        self.buffer = b""
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        self.load.open -= 1
        if not self.load.open:
            self.load.done.set()


async def run(url: str, key: str, connections: int, items: int, seconds: float) -> dict[str, object]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    )
    requests = itertools.cycle([opened(head, body) for body in bodies(50, items)])
    load = Load((request.fresh() for request in requests), seconds)
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(load), parts.hostname, parts.port)
    await load.done.wait()
    return {
        "answered": load.answered,
        "wrong": load.wrong,
        "seconds": time.monotonic() - began,
        "longest_gap": load.longest_gap_s,
        "first_wrong": load.first_wrong.decode(errors="replace"),
    }


def opened(head: str, body: Body) -> Body:
    """The request of a body; that is as long with one id as with another."""
    first, *rest = body.pieces
    return Body([f"{head}{len(body.fresh())}\r\n\r\n".encode() + first, *rest])


if __name__ == "__main__":
    url, key, connections, items, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(run(url, key, int(connections), int(items), float(seconds)))))
