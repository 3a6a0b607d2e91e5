"""An evening by a pretended clock: what is sent while it passes, and the service that sees it."""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from server.picture.picture import read_picture
from tests.conftest import made_database, variables
from tests.dashboard.conftest import Served
from tests.journey.pretended import CLOCK
from tests.running import Running
from tests.waiting import wait_for

STEP_S = 20  # what senders gather: three times as long without any is a silence
SURGE_S = 5  # what the surging one gathers
MINUTE_S = 60


@dataclass(slots=True)
class Traffic:
    """What one service sends each second over one route; every nth fails, so that nothing is left to chance."""

    service: str
    route: str = "/"
    per_second: int = 10
    version: str = "v1"
    fails: float = 0.0
    duration_ms: float = 20
    sent: int = 0

    def outcomes(self, start: float, seconds: int) -> Iterator[dict[str, Any]]:
        for number in range(seconds * self.per_second):
            before, self.sent = int(self.sent * self.fails), self.sent + 1
            at = datetime.fromtimestamp(start + (number + 0.5) / self.per_second, UTC)
            yield {
                "service": self.service,
                "route": self.route,
                "method": "GET",
                "version": self.version,
                "status": 500 if int(self.sent * self.fails) > before else 200,
                "duration_ms": self.duration_ms,
                "timestamp": at.isoformat().replace("+00:00", "Z"),
            }


class Clock:
    """The clock of a service that `tests.journey.pretended` runs."""

    def __init__(self, path: Path, at: float) -> None:
        path.write_bytes(struct.pack("d", at))
        with path.open("r+b") as file:
            self._kept = mmap.mmap(file.fileno(), 8)
        self.at = at

    def set(self, at: float) -> None:
        self._kept[:8] = struct.pack("d", at)
        self.at = at


@contextmanager
def by_clock(
    cluster: Any, template: str, directory: Path, behind_s: int, **given: str
) -> Iterator[tuple[Served, Clock]]:
    """A service whose clock stands `behind_s` behind the real one, at a whole minute."""
    databases = made_database(cluster, template)
    url = next(databases)
    clock = Clock(directory / "clock", int(time.time()) // 60 * 60 - behind_s)
    environment = variables(url, directory, WEB_CONCURRENCY="1", **{CLOCK: str(directory / "clock")} | given)
    running = Running(environment, directory / "server.log", module="tests.journey.pretended")
    try:
        wait_for(running.ready, "the server to be ready")
        yield Served(running, url), clock
    finally:
        running.stop()
        next(databases, None)


@dataclass(slots=True)
class Counted:
    """Outcomes of one service: sent and taken, failed, and refused."""

    n: int = 0
    bad: int = 0
    refused: int = 0


@dataclass(slots=True)
class Evening:
    """What goes on, and how time passes. A `surge` is sent by a key of its own, whatever of it is refused."""

    served: Served
    clock: Clock
    surge_key: str = ""
    surge: Traffic | None = None
    traffic: dict[str, Traffic] = field(default_factory=dict)
    counted: dict[tuple[str, int], Counted] = field(default_factory=dict)  # by service and second

    def passes(self, seconds: int, step_s: int = STEP_S) -> None:
        """So many seconds, step by step: what was sent in each is in the picture before the next begins."""
        for _ in range(seconds // step_s):
            start = self.clock.at
            for second in range(0, step_s, SURGE_S):
                self.clock.set(start + second + SURGE_S)
                if self.surge is not None:
                    self._surges(list(self.surge.outcomes(start + second, SURGE_S)))
            sent = [one for each in self.traffic.values() for one in each.outcomes(start, step_s)]
            if sent:
                self.served.send(*sent)
                self._count(sent, refused=False)
            self._seen()

    def until(self, what: Callable[[], Any], most_s: int, told: str) -> Any:
        """Let time pass until it is so."""
        start = self.clock.at
        while not (found := what()):
            assert self.clock.at < start + most_s, f"after {most_s} s there is not {told}"
            self.passes(STEP_S)
        return found

    def last(self, service: str, seconds: int = MINUTE_S) -> Counted:
        """What was sent in the window that ends with the picture's second, which has only begun."""
        since, found = self.clock.at + 1 - seconds, Counted()
        for (of, second), one in self.counted.items():
            if of == service and second >= since:
                found = Counted(found.n + one.n, found.bad + one.bad, found.refused + one.refused)
        return found

    def _surges(self, sent: list[dict[str, Any]]) -> None:
        status, answer = self.served.running.call("POST", "/api/v1/outcomes", key=self.surge_key, data=sent)
        assert status == 201 or answer["code"] == "THROTTLED", answer
        self._count(sent, refused=status != 201)

    def _count(self, sent: list[dict[str, Any]], *, refused: bool) -> None:
        for one in sent:
            second = int(datetime.fromisoformat(one["timestamp"]).timestamp())
            counted = self.counted.setdefault((one["service"], second), Counted())
            counted.n += not refused
            counted.bad += one["status"] >= 500
            counted.refused += refused

    def _seen(self) -> None:
        """Wait for a picture of this time that was begun after all was sent: the second one from now."""
        first = self._picture()[0]

        def came() -> bool:
            seq, made = self._picture()
            return seq >= first + 2 and made >= self.clock.at

        wait_for(came, "a picture of what was sent")

    def _picture(self) -> tuple[int, float]:
        with psycopg.connect(self.served.database_url) as connection:
            row = connection.execute("SELECT seq, body FROM picture").fetchone()
        return (0, 0.0) if row is None else (row[0], read_picture(bytes(row[1]))[0].at)
