"""Clients as teams have them: single outcomes and batches, JSON and NDJSON, gzip, with keys and without."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.running import Running

GIVES_UP_S = 10.0  # as the exporters of OpenTelemetry do
TRIES_AGAIN_S = 0.1
PAUSE_S = 0.04  # less than the server can take: what it does when it can take no more, benchmarks measure
KINDS = ("single", "batch", "lines", "packed")
SIZES = {"single": 1, "batch": 20, "lines": 50, "packed": 100}


class Answer(NamedTuple):
    """One try. `at` and `took_s` by the monotonic clock; status 0: the connection broke."""

    at: float
    took_s: float
    status: int


@dataclass
class Client(threading.Thread):
    """A batch with a key is sent until it is acknowledged, one without only once."""

    server: Running
    key: str
    kind: str
    answers: list[Answer] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)  # sent without a key, and no answer came
    failed: list[str] = field(default_factory=list)  # answers that no sender should get

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.ending = threading.Event()
        self.connection: http.client.HTTPConnection | None = None

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        keyed = False
        while not self.ending.is_set():
            keyed = not keyed
            ids = [uuid.uuid4().hex for _ in range(SIZES[self.kind])]
            body, headers = packed(self.kind, [outcome(number, one) for number, one in enumerate(ids)])
            if keyed:
                headers["Idempotency-Key"] = ids[0]
            self.deliver(ids, body, headers, keyed)
            time.sleep(PAUSE_S)

    def deliver(self, ids: list[str], body: bytes, headers: dict[str, str], keyed: bool) -> None:
        while True:
            begun = time.monotonic()
            status, said = self.post(body, headers)
            self.answers.append(Answer(time.monotonic(), time.monotonic() - begun, status))
            if status in (201, 202):
                self.acknowledged += ids
                return
            if status not in (0, 409, 503):
                self.failed.append(f"{status}: {said[:300]!r}")
                return
            if not keyed:
                self.unsure += ids if status == 0 else []
                return
            time.sleep(TRIES_AGAIN_S)

    def post(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """The status and the body of the answer; 0 where none came."""
        if self.connection is None:
            host, _, port = self.server.url.removeprefix("http://").partition(":")
            self.connection = http.client.HTTPConnection(host, int(port), timeout=GIVES_UP_S)
        try:
            sent = {"Authorization": f"Bearer {self.key}"} | headers
            self.connection.request("POST", "/api/v1/outcomes", body, sent)
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.connection = None
            return 0, str(error).encode()


def outcome(number: int, request_id: str) -> dict[str, Any]:
    """One in twenty fails."""
    return {
        "service": "loaded",
        "route": f"/route/{number % 5}",
        "method": "GET",
        "status": 503 if number % 20 == 3 else 200,
        "duration_ms": 1 + number % 90,
        "request_id": request_id,
    }


def packed(kind: str, outcomes: list[dict[str, Any]]) -> tuple[bytes, dict[str, str]]:
    """The body of a kind of client, and its headers."""
    if kind in ("single", "batch"):
        return json.dumps(outcomes).encode(), {"Content-Type": "application/json"}
    lines = "\n".join(map(json.dumps, outcomes)).encode()
    headers = {"Content-Type": "application/x-ndjson"}
    return (lines, headers) if kind == "lines" else (gzip.compress(lines, 1), headers | {"Content-Encoding": "gzip"})
