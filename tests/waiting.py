"""Waiting in tests: for as long as it takes. How soon something comes, benchmarks measure."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 60.0  # a busy machine stands still for seconds
NEVER_S = 3600.0  # for the poll of what a signal alone must bring

Found = TypeVar("Found")


def pause_s(waited_s: float, least_s: float) -> float:
    """How long until the next look: one that asks a server takes the cores of what is waited for."""
    return min(max(least_s, waited_s / 10), 0.25)


def wait_for(condition: Callable[[], Found], what: str, timeout_s: float = PATIENCE_S) -> Found:
    """Wait until the condition holds, and give what it gave; fail naming what was waited for."""
    begun = time.monotonic()
    while not (found := condition()):
        waited_s = time.monotonic() - begun
        assert waited_s < timeout_s, f"waited {timeout_s} s for {what}"
        time.sleep(pause_s(waited_s, 0.02))
    return found


async def until(condition: Callable[[], Found], what: str, timeout_s: float = PATIENCE_S) -> Found:
    """As `wait_for`, while the test's loop goes on."""
    begun = time.monotonic()
    while not (found := condition()):
        waited_s = time.monotonic() - begun
        assert waited_s < timeout_s, f"waited {timeout_s} s for {what}"
        await asyncio.sleep(pause_s(waited_s, 0.005))
    return found
