"""Waiting in tests: for as long as it takes. How soon something comes, benchmarks measure."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 60.0  # a busy machine stands still for seconds
NEVER_S = 3600.0  # for the poll of what a signal alone must bring

Found = TypeVar("Found")


def wait_for(condition: Callable[[], Found], what: str, timeout_s: float = PATIENCE_S) -> Found:
    """Wait until the condition holds, and give what it gave; fail naming what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.02)
    return found


async def until(condition: Callable[[], Found], what: str, timeout_s: float = PATIENCE_S) -> Found:
    """As `wait_for`, while the test's loop goes on."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        await asyncio.sleep(0.005)
    return found
