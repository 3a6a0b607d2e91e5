"""What deploys a service: a receiver of deploy webhooks, which runs the version that it is told to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Rollout:
    """The version that runs, and the orders that came."""

    url: str
    version: str = "v1"
    orders: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def rolling_out() -> Iterator[Rollout]:
    """Listen on a free port."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.orders.append(order)
            if order["act"] == "roll_back":
                made.version = order["version"]
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    made = Rollout(f"http://127.0.0.1:{server.server_port}/deploys")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
