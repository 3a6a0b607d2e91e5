"""Starting and closing parts in order, and the signal that ends a process."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from server.kernel.db import AWAY
from server.kernel.text import first_line

log = logging.getLogger("evenkeel.lifecycle")

RETRY_S = 1.0


async def start_each(
    steps: Sequence[Callable[[], Awaitable[Any]]], failed: Callable[[Exception], object] = lambda _: None
) -> None:
    """One after the other, each tried again for as long as the database is away; `failed` is told why it is."""
    for step in steps:
        while True:
            try:
                await step()
                break
            except AWAY as error:
                log.error("not started yet: %s; trying again in %g s", first_line(error), RETRY_S)
                failed(error)
                await asyncio.sleep(RETRY_S)


async def close_each(parts: Sequence[Any]) -> None:
    """Close them in this order; one that fails does not keep the others open."""
    for part in parts:
        try:
            await part.close()
        except Exception:
            log.exception("%s did not close", type(part).__name__)


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM sets."""
    event = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, event.set)
    return event


def on_hangup(act: Callable[[], None]) -> None:
    """Call `act` in the loop at each SIGHUP."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, act)
