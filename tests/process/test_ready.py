"""A process that starts again leaves the connections to those that have started."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from server.ingest.native import counting
from tests.running import Running
from tests.waiting import wait_for


def test_while_a_process_starts_again_every_answer_is_of_one_that_has_started(running: Callable[..., Running]) -> None:
    server = running(WEB_CONCURRENCY="2")
    wait_for(lambda: all(f"web.{number} is ready" in server.output() for number in (1, 2)), "both")
    assert f"web.1 is ready; it counts with the {counting()} code" in server.output()
    assert server.get("/health/live")[1]["counting"] == counting()
    (web,) = [pid for pid in server.children() if Path(f"/proc/{pid}/comm").read_text() == "ek:web.2\n"]
    os.kill(web, signal.SIGKILL)
    statuses: list[int] = []
    while server.output().count("web.2 is ready") < 2:
        statuses.append(server.get("/sign-in")[0])
    assert set(statuses) == {200}, "the page of a process that is starting is 503"
