"""A webhook that is down, slow, or stalls."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.conftest import free_port
from tests.waiting import PATIENCE_S


class Hook:
    """A receiver in threads of its own, which can be down."""

    def __init__(self) -> None:
        self.port = free_port()
        self.keys: list[str] = []  # every copy, as it came
        self.bodies: list[Any] = []
        self.takes_s = 0.0
        self.stalls_after: int | None = None  # so many it answers
        self.goes_on = threading.Event()

    @contextmanager
    def up(self) -> Iterator[None]:
        hook = self

        class Take(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                hook.keys.append(self.headers["Evenkeel-Delivery"])
                time.sleep(hook.takes_s)
                if hook.stalls_after is not None and len(hook.keys) > hook.stalls_after:
                    hook.goes_on.wait(PATIENCE_S)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Take)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
