"""How long from the command to readiness: the first start, and the second on the same data."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.stand import begin, scratch

SECOND_START_S = 3.0


def run() -> list[Figure]:
    """Seconds from starting `python -m server` to a 200 of /health/ready."""
    with scratch() as directory:
        first, second = (timed(directory), timed(directory))
    return [
        Figure("first start: initdb, migrate, ready", first, "s"),
        Figure("second start, ready", second, "s", SECOND_START_S, "at most"),
    ]


def timed(directory: Path) -> float:
    began = time.monotonic()
    server = begin(directory)
    took = time.monotonic() - began
    server.stop(signal.SIGTERM)
    return took
